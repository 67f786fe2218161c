package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// room is shared storage in memory on which processes act one access at a time,
// in an order drawn from a seed, so that every interleaving can come.
type room struct {
	rand *rand.Rand
	life [16]uint64 // of each node, remembered
	mem  []byte
	fail int // per mille of writes that fail: done, not done or torn
	late []func()
}

// actor is one process; it does an access when it is told to.
type actor struct {
	r    *room
	turn chan bool // false: it is killed
	back chan bool // true: it has ended
}

var errKilled = errors.New("killed")

var _ device = (*actor)(nil)

func (a *actor) wait() error {
	a.back <- false
	if !<-a.turn {
		return errKilled
	}
	return nil
}

func (a *actor) readAt(b []byte, off int64) error {
	if err := a.wait(); err != nil {
		return err
	}
	copy(b, a.r.mem[off:])
	return nil
}

func (a *actor) writeAt(b []byte, off int64) error {
	b = slices.Clone(b)
	do := func(b []byte) { copy(a.r.mem[off:], b) }
	if err := a.wait(); err != nil {
		// Killed while it wrote: the write may land later, torn or whole, as
		// long as the process's next life has another slot.
		switch a.r.rand.IntN(4) {
		case 0:
			do(b)
		case 1:
			do(b[:len(b)/8*a.r.rand.IntN(8)])
		case 2:
			a.r.late = append(a.r.late, func() { do(b) })
		}
		return err
	}
	if a.r.rand.IntN(1000) < a.r.fail {
		switch a.r.rand.IntN(3) {
		case 0:
			do(b)
		case 1:
			do(b[:len(b)/8*a.r.rand.IntN(8)])
		}
		return errors.New("i/o error")
	}
	do(b)
	return nil
}

func (a *actor) buffer(n int) []byte  { return make([]byte, n) }
func (a *actor) size() (int64, error) { return int64(len(a.r.mem)), nil }
func (a *actor) close() error         { return nil }

func (r *room) lives(node cluster.NodeID) Lives {
	return func(atLeast uint64) (uint64, error) {
		r.life[node] = max(r.life[node]+1, atLeast)
		return r.life[node], nil
	}
}

// account is what became of every save.
type account struct {
	done, unsure map[int]bool
	next         int
}

// worker appends numbers of its own to the list in the register, until it fails.
func (a *actor) work(node cluster.NodeID, times int, acc *account, broken func(*register)) {
	defer func() { a.back <- true }()
	if !<-a.turn {
		return
	}
	r, err := openRegister(a, probeRegister, node, placeOf(node), a.r.lives(node))
	if err != nil {
		return
	}
	if broken != nil {
		broken(r)
	}
	for range times {
		b, v, err := r.load()
		if err != nil {
			return
		}
		var list []int
		if err := json.Unmarshal(b, &list); err != nil {
			panic(err)
		}
		acc.next++
		n := acc.next
		b, _ = json.Marshal(append(list, n))
		acc.unsure[n] = true // until more is known
		switch err := r.save(v, b); {
		case err == nil:
			acc.done[n] = true
		case errors.Is(err, ErrConflict):
			delete(acc.unsure, n)
		}
		if r.broken != nil {
			return
		}
	}
}

// play has three nodes save at the same time, die and live again. It reports
// what the store lost or made up.
func play(seed uint64, broken func(*register)) error {
	r := &room{rand: rand.New(rand.NewPCG(seed, 1)), mem: make([]byte, probeRegister.values+2*slots*block), fail: int(seed%3) * 10}
	h := head{seq: 2, promised: slots, accepted: slots, length: 2}
	copy(r.mem[probeRegister.values:], "[]")
	h.sum = sumOf([]byte("[]"))
	h.put(r.mem[probeRegister.heads:][:block])
	acc := &account{done: map[int]bool{}, unsure: map[int]bool{}}
	const nodes = 3
	var live [nodes]*actor
	lives := 0
	for lives < 14 || slices.ContainsFunc(live[:], func(a *actor) bool { return a != nil }) {
		i := r.rand.IntN(nodes)
		if live[i] == nil {
			if lives < 14 {
				lives++
				live[i] = &actor{r: r, turn: make(chan bool), back: make(chan bool)}
				go live[i].work(cluster.NodeID(i+1), 6, acc, broken)
			}
			continue
		}
		if len(r.late) > 0 && r.rand.IntN(20) == 0 {
			r.late[0]()
			r.late = r.late[1:]
		}
		live[i].turn <- r.rand.IntN(40) != 0
		if <-live[i].back {
			live[i] = nil
		}
	}
	r.fail = 0 // whoever reads the end must succeed
	last := &actor{r: r, turn: make(chan bool), back: make(chan bool)}
	var list []int
	go func() {
		defer func() { last.back <- true }()
		reg, err := openRegister(last, probeRegister, 9, placeOf(9), r.lives(9))
		if err != nil {
			return
		}
		b, _, _ := reg.load()
		_ = json.Unmarshal(b, &list)
	}()
	for !<-last.back {
		last.turn <- true
	}
	seen := map[int]bool{}
	for _, n := range list {
		switch {
		case seen[n]:
			return fmt.Errorf("%d is there twice", n)
		case !acc.unsure[n]:
			return fmt.Errorf("%d is there, and its save was a conflict", n)
		}
		seen[n] = true
	}
	for n := range acc.done {
		if !seen[n] {
			return fmt.Errorf("%d was saved and is lost", n)
		}
	}
	return nil
}

// TestRegister: whatever the order of accesses, and whoever dies where, no save
// that was reported is lost and no conflict comes true.
func TestRegister(t *testing.T) {
	for seed := range uint64(100) {
		if err := play(seed, nil); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

// TestRegisterControls: without each rule something is lost.
func TestRegisterControls(t *testing.T) {
	for name, broken := range map[string]func(*register){
		"a save isn't looked at again":               func(r *register) { r.rules.noLook = true },
		"nothing is prepared":                        func(r *register) { r.rules.noPrepare = true },
		"a process goes on with its last one's slot": func(r *register) { r.slot = placeOf(cluster.NodeID(r.own.node)) * lives },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(2000) {
				if err := play(seed, broken); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}
