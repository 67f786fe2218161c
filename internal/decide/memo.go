package decide

import (
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// memo is what the planner remembers of one hierarchy. It is volatile: a new
// leader counts every wait from its own start, which only makes waits longer.
type memo struct {
	name string
	sent proposal
	// fence counts from when the wait for a fencing was first seen, marks from
	// the newest failure mark, serving from the start of unbroken service,
	// trouble from the present reason why nobody takes it.
	fence, marks, serving, trouble since
	// question counts from when a person was first asked about a failover.
	question since
	// machine counts from when an evicted owner's machine was first waited for.
	machine  since
	reason   cluster.Reason
	evidence []cluster.Evidence
	noted    bool
}

// since is the time at which something was first seen with the same key.
type since struct {
	set bool
	key [3]uint64
	at  time.Duration
}

// seen returns when key was first seen, which is now if it wasn't.
func (t *since) seen(now time.Duration, key ...uint64) time.Duration {
	var k [3]uint64
	copy(k[:], key)
	if !t.set || t.key != k {
		*t = since{set: true, key: k, at: now}
	}
	return t.at
}

func (t *since) forget() { *t = since{} }

// proposal is a command that may be on its way. Proposing it again would be
// harmless, because every command is conditional, but each costs a commit and
// a line that people read.
type proposal struct {
	what  string
	epoch cluster.Epoch
	node  cluster.NodeID
	gen   cluster.Generation
	entry uint64 // that asked for the move
	until time.Duration
}

// memoOf finds or makes the memo; memos are sorted by name.
func (p *Planner) memoOf(name string) *memo {
	i, ok := slices.BinarySearchFunc(p.memos, name, func(m *memo, n string) int { return strings.Compare(m.name, n) })
	if !ok {
		p.memos = slices.Insert(p.memos, i, &memo{name: name})
	}
	return p.memos[i]
}

// forgetDeleted drops the memos of hierarchies that are gone.
func (p *Planner) forgetDeleted(s *cluster.State) {
	p.memos = slices.DeleteFunc(p.memos, func(m *memo) bool { return s.Hierarchy(m.name) == nil })
}

// propose adds a command unless the same one may still be on its way.
func (p *Planner) propose(now time.Duration, s *cluster.State, m *memo, what proposal, c cluster.Command) {
	same := m.sent
	same.until = 0
	if same == what && now < m.sent.until {
		p.wake(m.sent.until)
		return
	}
	m.sent = what
	m.sent.until = now + s.Timing().LeaderSilence
	p.wake(m.sent.until)
	p.out = append(p.out, c)
}

// wake makes sure that the planner looks again at t.
func (p *Planner) wake(t time.Duration) { p.next = min(p.next, t) }
