package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/durable"
	"github.com/perdure-ha/perdure/internal/store"
)

// storages are what this node has to do with stores of storage witnesses.
type storages struct {
	d *Daemon
	// workers are the loop's alone.
	workers map[cluster.NodeID]*worker

	mu     sync.Mutex // the count of uses
	trying map[cluster.NodeID]bool
}

// worker is one store's.
type worker struct {
	*store.Worker
	id string // of the store
}

// do hands an operation of the core to its store. It doesn't wait.
func (s *storages) do(op *core.StorageOp) {
	n := s.d.core.State().Node(op.Voter)
	if n == nil || n.Storage == nil {
		return
	}
	w := s.workers[op.Voter]
	if w == nil || w.id != n.Storage.ID {
		at := *n.Storage
		st := core.NewStepper(s.d.id.Node, op.Voter, op.Store, seed(), arbiter.Broken{})
		w = &worker{id: at.ID, Worker: store.NewWorker(func() (store.Store, error) {
			return store.Open(&at, op.Store, s.d.id.Node, s.lives(at.ID, "main"))
		}, st)}
		if s.workers == nil {
			s.workers = make(map[cluster.NodeID]*worker)
		}
		s.workers[op.Voter] = w
	}
	w.Do(op, func(done core.StorageDone) {
		if done.Err != nil {
			s.d.alarms.renew(core.AlarmStorage) // if it stands, its cause goes on
		}
		s.d.post(done)
	})
}

// closePatience is how long the end of the daemon waits for each store.
const closePatience = 200 * time.Millisecond

func (s *storages) close() {
	for _, w := range s.workers {
		w.Close(closePatience)
	}
}

// lives counts the uses of a store, in STATE_DIR/stores. What is written there
// was never used before, so that a write of an earlier process that is still
// under way can't meet one of this process.
func (s *storages) lives(id, register string) store.Lives {
	return func(atLeast uint64) (uint64, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		dir := filepath.Join(s.d.cfg.StateDir, "stores")
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return 0, fmt.Errorf("make %s: %w", dir, err)
		}
		path := filepath.Join(dir, id+"."+register)
		var last uint64
		switch b, err := os.ReadFile(path); {
		case err == nil && len(b) == 8:
			last = binary.LittleEndian.Uint64(b)
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return 0, fmt.Errorf("read %s: %w", path, err)
		}
		life := max(last+1, atLeast)
		if err := durable.WriteFile(path, binary.LittleEndian.AppendUint64(nil, life), 0o600); err != nil {
			return 0, fmt.Errorf("write %s: %w", path, err)
		}
		return life, nil
	}
}

// probeFor bounds the trying of a store: the others may still have to learn of it.
const probeFor = time.Minute

// try tries stores that the cluster asks this node to try. It is called by the
// loop, with a state that it may keep.
func (s *storages) try(st *cluster.State) {
	for i := range st.Nodes {
		n := &st.Nodes[i]
		if n.Storage == nil || s.trying[n.ID] || n.Storage.Trial(s.d.id.Node) != nil {
			continue
		}
		asked := false
		for _, id := range n.Storage.Asked {
			asked = asked || id == s.d.id.Node
		}
		if !asked {
			continue
		}
		if s.trying == nil {
			s.trying = make(map[cluster.NodeID]bool)
		}
		s.trying[n.ID] = true
		storage, voter := n.Storage, n.ID
		id := core.StoreID{Cluster: st.Cluster, Lineage: st.Lineage, Store: storage.ID}
		// p99 must stay below D/5; the median is measured.
		limit := st.Detection / 10
		s.d.group.Go(func() { s.probe(storage, voter, id, limit) })
	}
}

func (s *storages) probe(storage *cluster.Storage, voter cluster.NodeID, id core.StoreID, limit time.Duration) {
	ctx, cancel := context.WithTimeout(s.d.ctx, probeFor)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- store.Probe(ctx, storage, id, s.d.id.Node, limit, s.lives(storage.ID, "probe")) }()
	var err error
	select {
	case err = <-done:
	case <-time.After(probeFor + time.Second): // it hangs
		err = core.ErrStoreHangs
	case <-s.d.ctx.Done():
		return
	}
	trial := cluster.StoreTrial{Node: s.d.id.Node}
	if err != nil {
		trial.Refusal = cluster.Because(message.StoreRefused, s.d.id.Name, storage.Location, err)
	}
	for s.d.ctx.Err() == nil {
		_, err := s.d.Propose(s.d.ctx, cluster.Command{By: s.d.id.Name, StoreTried: &cluster.StoreTried{Storage: voter, Trial: trial}})
		if err == nil {
			return
		}
	}
}

// MakeStore makes a store for a storage witness that is about to be added, and
// returns its id.
func (d *Daemon) MakeStore(ctx context.Context, kind cluster.StoreKind, location string) (id, stable string, err error) {
	st := d.State()
	id = fmt.Sprintf("%016x", seed())
	stable = location
	if kind == cluster.StoreDisk {
		stable = store.StableName(location)
	}
	who := core.StoreID{Cluster: st.Cluster, Lineage: st.Lineage, Store: id}
	done := make(chan error, 1)
	go func() { done <- store.Make(kind, stable, who, core.NewObject(who, seed())) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return "", "", message.New(message.StoreRefused, d.id.Name, location, err).Wrap(err)
	}
	return id, stable, nil
}
