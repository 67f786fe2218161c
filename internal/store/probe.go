package store

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// A probe is a count that several nodes raise at the same time. Each raise is a
// conditional save; if the store keeps its word, none is lost and all nodes see
// the same sum.

// probeRaises is how often each node raises the count.
const probeRaises = 40

// probeState is the value that is raised.
type probeState struct {
	Total int `json:"total"`
	// By is how often each node has, in the nodes' order of first coming.
	By []probeShare `json:"by,omitempty"`
}

type probeShare struct {
	Node  cluster.NodeID `json:"node"`
	Count int            `json:"count"`
}

// LostError: the store lost conditional saves, or shows nodes different things.
type LostError struct {
	Node       cluster.NodeID
	Want, Have int
}

func (e *LostError) Error() string {
	return fmt.Sprintf("it lost conditional saves: node n%d saved %d times, and %d are left", uint64(e.Node), e.Want, e.Have)
}

// AbsentError: a node's saves were never seen.
type AbsentError struct{ Node cluster.NodeID }

func (e *AbsentError) Error() string {
	return fmt.Sprintf("nothing that node n%d saved there was seen: is it the same store on every node?", uint64(e.Node))
}

// SlowError: the store is too slow for the detection time.
type SlowError struct{ Took, Limit time.Duration }

func (e *SlowError) Error() string {
	return fmt.Sprintf("a save takes %v, at most %v are good enough", e.Took, e.Limit)
}

// Probe tries the store together with the others named, until the context ends.
// limit is how long a conditional save may take, but for one in a hundred.
func Probe(ctx context.Context, s *cluster.Storage, id Identity, self cluster.NodeID, limit time.Duration, lives Lives) error {
	dev, err := openDevice(s.Location, s.Kind)
	if err != nil {
		return err
	}
	st, err := openDisk(dev, id, self, probeRegister, lives)
	if err != nil {
		return err
	}
	defer st.Close()
	return probe(ctx, st, s.Asked, self, limit)
}

func probe(ctx context.Context, st Store, all []cluster.NodeID, self cluster.NodeID, limit time.Duration) error {
	var took []time.Duration
	for mine := range probeRaises {
		began := time.Now()
		if err := raise(ctx, st, self, mine); err != nil {
			return fmt.Errorf("after %d of %d saves: %w", mine, probeRaises, err)
		}
		took = append(took, time.Since(began))
	}
	// All must be seen with all their raises, by all.
	for {
		p, _, err := loadProbe(st)
		if err != nil {
			return err
		}
		if have := p.share(self).Count; have != probeRaises {
			return &LostError{Node: self, Want: probeRaises, Have: have}
		}
		waiting := cluster.NodeID(0)
		for _, id := range all {
			if i := slices.IndexFunc(p.By, func(s probeShare) bool { return s.Node == id }); i < 0 || p.By[i].Count < probeRaises {
				waiting = id
			}
		}
		if waiting == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return &AbsentError{Node: waiting}
		case <-time.After(20 * time.Millisecond):
		}
	}
	slices.Sort(took)
	// Others raise at the same time here; the median is what a node alone needs.
	if m := took[len(took)/2]; m > limit {
		return &SlowError{Took: m.Round(time.Millisecond), Limit: limit}
	}
	return nil
}

func (p *probeState) share(id cluster.NodeID) *probeShare {
	for i := range p.By {
		if p.By[i].Node == id {
			return &p.By[i]
		}
	}
	p.By = append(p.By, probeShare{Node: id})
	return &p.By[len(p.By)-1]
}

func loadProbe(st Store) (*probeState, Version, error) {
	b, v, err := st.Load()
	if err != nil {
		return nil, 0, err
	}
	p := new(probeState)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, 0, fmt.Errorf("read the probe: %w", err)
	}
	return p, v, nil
}

// raise saves the node's next count. After a save of which nobody knows the end
// it is either there or not, and is saved once more to be certain.
func raise(ctx context.Context, st Store, self cluster.NodeID, mine int) error {
	unsure := false
	for try := 1; ; try++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("try the store: %w", err)
		}
		p, v, err := loadProbe(st)
		if err != nil {
			return err
		}
		me := p.share(self)
		if mine > 0 && me.Count != mine && !(unsure && me.Count == mine+1) {
			return &LostError{Node: self, Want: mine, Have: me.Count}
		}
		me.Count = mine + 1
		p.Total++
		b, err := json.Marshal(p)
		if err != nil {
			return fmt.Errorf("write the probe: %w", err)
		}
		switch err := st.Save(v, b); err {
		case nil:
			return nil
		case ErrConflict:
		case ErrUnsure:
			unsure = true
		default:
			return err
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(rand.Int64N(int64(time.Millisecond) * int64(min(try, 20))))):
		}
	}
}
