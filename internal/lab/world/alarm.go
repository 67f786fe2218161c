package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/guard"
)

// alarm wakes a process of a node at its own wish. There is at most one in the
// queue that counts; one that comes too early asks again when it rings.
type alarm struct {
	at   time.Duration // real; in the past: none
	turn uint32
}

// The processes of a node that have an alarm.
const (
	alarmDaemon = iota
	alarmGuardian
	alarms
)

// wake plans that the process is called when its clock shows mono.
func (n *node) wake(who int, now cluster.Instant, mono time.Duration) {
	a := &n.alarm[who]
	if mono == cluster.Never {
		return
	}
	at := n.w.now + max(n.real(mono-now.Mono)+1, 10*time.Microsecond)
	if a.at > n.w.now && a.at <= at {
		return
	}
	a.at = at
	a.turn++
	n.w.queue.push(at, item{rings: true, from: int32(n.idx), to: int32(who), turn: a.turn})
}

// silence makes what is planned for the process void, because it ended.
func (n *node) silence(who int) {
	n.alarm[who].at = 0
	n.alarm[who].turn++
}

// ring is the time of an alarm.
func (n *node) ring(who int, turn uint32) {
	a := &n.alarm[who]
	if a.turn != turn || !n.power {
		return
	}
	a.at = 0
	now := n.local()
	switch {
	case who == alarmDaemon && n.core != nil:
		if next := n.core.Next(now); next > now.Mono && !n.stands() {
			n.wake(who, now, next)
			return
		}
		n.deliver(core.Tick{})
	case who == alarmGuardian && n.guardian != nil:
		n.guardian.step(guard.Tick{})
	}
}
