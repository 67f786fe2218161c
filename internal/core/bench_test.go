package core

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// bench is a few cores on one table: disks and paths take no time, unless a
// test holds them.
type bench struct {
	t     *testing.T
	now   cluster.Instant
	cores map[cluster.NodeID]*Core
	// cut keeps packets and messages of a node; slow keeps its writes.
	// mute keeps its packets alone, as a wrong packet filter does.
	cut, slow, mute map[cluster.NodeID]bool
	written         map[cluster.NodeID]*Persist // under way on a slow disk
	queue           []func()
	all             map[cluster.NodeID]*Effects // everything since the last look
}

const benchD = cluster.DetectionBalanced

func newBench(t *testing.T, roles ...cluster.Role) *bench {
	t.Helper()
	b := &bench{t: t, now: cluster.Instant{Mono: time.Hour, Boot: time.Hour}, cores: make(map[cluster.NodeID]*Core),
		cut: make(map[cluster.NodeID]bool), slow: make(map[cluster.NodeID]bool), mute: make(map[cluster.NodeID]bool),
		written: make(map[cluster.NodeID]*Persist), all: make(map[cluster.NodeID]*Effects)}
	s := cluster.New("c", "bench", cluster.AddNode{Name: "n1", Role: roles[0]}, 0)
	for i := 1; i < len(roles); i++ {
		id := cluster.NodeID(i + 1)
		s.Nodes = append(s.Nodes, cluster.Node{ID: id, Name: id.String(), Role: roles[i], Presence: cluster.Joining})
		s.Voters = append(s.Voters, id)
	}
	s.NextID = cluster.NodeID(len(roles) + 1)
	for i, role := range roles {
		id := cluster.NodeID(i + 1)
		b.start(Config{Self: id, Role: role, Seed: uint64(id), Session: session(role, id), Disk: Genesis(s)})
	}
	return b
}

func session(role cluster.Role, id cluster.NodeID) string {
	if role == cluster.RoleWitness {
		return ""
	}
	return id.String() + "-1"
}

func (b *bench) start(cfg Config) *Core {
	b.t.Helper()
	c, err := New(b.now, cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.cores[cfg.Self] = c
	b.step(cfg.Self, Tick{})
	return c
}

func (b *bench) step(id cluster.NodeID, ev Event) {
	c := b.cores[id]
	eff := c.Step(b.now, ev)
	a := b.all[id]
	if a == nil {
		a = &Effects{}
		b.all[id] = a
	}
	a.Replies = append(a.Replies, eff.Replies...)
	a.Alarms = append(a.Alarms, eff.Alarms...)
	a.Messages = append(a.Messages, eff.Messages...)
	if eff.Departed != nil {
		a.Departed = eff.Departed
	}
	if eff.Fatal != nil {
		b.t.Fatalf("%v: %v", id, eff.Fatal)
	}
	if op := eff.Persist; op != nil {
		if b.slow[id] {
			b.written[id] = op
		} else {
			b.queue = append(b.queue, func() { b.step(id, Persisted{ID: op.ID}) })
		}
	}
	to := func(to cluster.NodeID, ev Event) {
		b.queue = append(b.queue, func() {
			if packet := isPacket(ev); b.cores[to] != nil && !b.cut[id] && !b.cut[to] && !(packet && (b.mute[id] || b.mute[to])) {
				b.step(to, ev)
			}
		})
	}
	for _, x := range eff.BeatTo {
		if eff.Beat != nil {
			to(x, BeatReceived{From: id, Beat: eff.Beat})
		}
	}
	for _, ack := range eff.Acks {
		to(ack.To, AckReceived{From: id, Ack: ack.Ack})
	}
	for _, m := range eff.Messages {
		copied := *m
		to(m.Via, MessageReceived{From: id, Message: &copied})
	}
}

func isPacket(ev Event) bool {
	switch ev.(type) {
	case BeatReceived, AckReceived:
		return true
	}
	return false
}

func (b *bench) drain() {
	for n := 0; len(b.queue) > 0; n++ {
		if n > 100_000 {
			b.t.Fatal("no end")
		}
		do := b.queue[0]
		b.queue = b.queue[1:]
		do()
	}
}

// run lets time pass.
func (b *bench) run(d time.Duration) {
	b.t.Helper()
	b.drain()
	for end := b.now.Mono + d; b.now.Mono < end; {
		next := end
		for _, c := range b.cores {
			next = min(next, c.Next(b.now))
		}
		b.now = b.now.Add(max(next-b.now.Mono, time.Microsecond))
		for id := cluster.NodeID(1); id <= 9; id++ {
			if c := b.cores[id]; c != nil && c.Next(b.now) <= b.now.Mono {
				b.step(id, Tick{})
				b.drain()
				if again := c.Next(b.now); again <= b.now.Mono {
					b.t.Fatalf("%v wants to be called again at once (%v)", id, again-b.now.Mono)
				}
			}
		}
	}
}

func (b *bench) until(what string, cond func() bool) {
	b.t.Helper()
	for end := b.now.Mono + 10*benchD; !cond(); {
		if b.now.Mono > end {
			b.t.Fatalf("never %s", what)
		}
		b.run(5 * time.Millisecond)
	}
}

// leader is the one that all agree on.
func (b *bench) leader() (found *Core) {
	b.until("led", func() bool {
		found = nil
		for _, c := range b.cores {
			if l := c.View(b.now).Leader; l == 0 || found != nil && l != found.self {
				return false
			} else {
				found = b.cores[l]
			}
		}
		return found != nil
	})
	return found
}

// others are all but one, in order.
func (b *bench) others(c *Core) (out []*Core) {
	for id := cluster.NodeID(1); id <= 9; id++ {
		if o := b.cores[id]; o != nil && o != c {
			out = append(out, o)
		}
	}
	return out
}

func (b *bench) present() bool {
	for _, c := range b.cores {
		for _, n := range c.state.Nodes {
			if n.Role == cluster.RoleNode && n.Presence != cluster.Present {
				return false
			}
		}
	}
	return true
}
