package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

var rewrite = flag.Bool("rewrite", false, "write the test vectors anew: only with a new version of the format")

var testID = Identity{Cluster: "c", Lineage: 1, Store: "s"}

func anID(c string, lineage uint64, store string) Identity {
	return Identity{Cluster: c, Lineage: lineage, Store: store}
}

// counted is a node's count of lives in memory.
func counted() Lives {
	var n uint64
	return func(atLeast uint64) (uint64, error) { n = max(n+1, atLeast); return n, nil }
}

// aFile is a store in a file, on a file system with O_DIRECT.
func aFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	if err := Make(cluster.StoreFile, path, testID, core.NewObject(testID, 1)); err != nil {
		t.Fatal(err)
	}
	return path
}

func at(path string) *cluster.Storage {
	return &cluster.Storage{ID: "s", Kind: cluster.StoreFile, Location: path, Asked: []cluster.NodeID{1, 2}}
}

func TestFileLoadSave(t *testing.T) {
	path := aFile(t)
	one, err := Open(at(path), testID, 1, counted())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := Open(at(path), testID, 2, counted())
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	first, v, err := two.Load()
	if err != nil || !bytes.Equal(first, core.NewObject(testID, 1)) {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	big := bytes.Repeat([]byte("x"), core.ObjectMax)
	if err := one.Save(v, big); err != nil {
		t.Fatal(err)
	}
	if err := two.Save(v, []byte("y")); !errors.Is(err, ErrConflict) {
		t.Errorf("saved over another node's: %v", err)
	}
	got, v2, err := two.Load()
	if err != nil || !bytes.Equal(got, big) || v2 == v {
		t.Fatalf("%d bytes, version %d, %v", len(got), v2, err)
	}
	if err := two.Save(v2, []byte("y")); err != nil {
		t.Error(err)
	}
	if got, _, err := one.Load(); err != nil || string(got) != "y" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFileRefuses(t *testing.T) {
	path := aFile(t)
	var foreign *ForeignError
	for _, id := range []Identity{anID("d", 1, "s"), anID("c", 2, "s"), anID("c", 1, "t")} {
		if _, err := Open(at(path), id, 1, counted()); !errors.As(err, &foreign) {
			t.Errorf("%+v: %v", id, err)
		}
	}
	if err := Make(cluster.StoreFile, path, anID("d", 1, "s"), nil); !errors.As(err, &foreign) {
		t.Errorf("made over another cluster's: %v", err)
	}
	if err := Make(cluster.StoreFile, path, anID("c", 1, "t"), core.NewObject(testID, 1)); err != nil {
		t.Errorf("this cluster's own, removed before: %v", err)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, bytes.Repeat([]byte("important"), 1<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(data, SizeNeeded); err != nil {
		t.Fatal(err)
	}
	if err := Make(cluster.StoreFile, data, testID, nil); !errors.Is(err, ErrTaken) {
		t.Errorf("made over data: %v", err)
	}
	small := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(small, make([]byte, mib), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(cluster.StoreFile, small, testID, nil); err == nil {
		t.Error("a store of 1 MiB")
	}
	if _, err := Open(at(small), testID, 1, counted()); !errors.Is(err, ErrNoStore) {
		t.Errorf("zeros: %v", err)
	}
	if _, err := Open(at(path+"x"), testID, 1, counted()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := Open(&cluster.Storage{Kind: cluster.StoreDisk, Location: path}, testID, 1, counted()); err == nil {
		t.Error("a file as a disk")
	}
}

// Nodes 1 and 16 would have the same slots.
func TestFilePlaceTaken(t *testing.T) {
	path := aFile(t)
	if _, err := Open(at(path), anID("c", 1, "t"), 1, counted()); err == nil {
		t.Fatal("another store")
	}
	one, err := Open(at(path), testID, 1, counted())
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	if _, err := Open(at(path), testID, 16, counted()); !errors.Is(err, ErrPlace) {
		t.Errorf("node 16 beside node 1: %v", err)
	}
}

// TestProbe: two nodes find that a store keeps its word, and that one doesn't.
func TestProbe(t *testing.T) {
	probeBoth := func(open func(node cluster.NodeID) Store) [2]error {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		var errs [2]error
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = probe(ctx, open(cluster.NodeID(i+1)), []cluster.NodeID{1, 2}, cluster.NodeID(i+1), time.Minute)
				if errs[i] != nil {
					cancel()
				}
			})
		}
		wg.Wait()
		return errs
	}
	path := aFile(t)
	opened := func(node cluster.NodeID) Store {
		dev, err := openDevice(path, cluster.StoreFile)
		if err != nil {
			t.Error(err)
			return nil
		}
		st, err := openDisk(dev, testID, node, probeRegister, counted())
		if err != nil {
			t.Error(err)
			return nil
		}
		t.Cleanup(func() { st.Close() })
		return st
	}
	if errs := probeBoth(opened); errs[0] != nil || errs[1] != nil {
		t.Errorf("a good store: %v", errs)
	}
	shared := blind{meet: make(chan struct{})}
	errs := probeBoth(func(cluster.NodeID) Store { return &shared })
	var lost *LostError
	if !errors.As(errs[0], &lost) && !errors.As(errs[1], &lost) {
		t.Errorf("a store that saves over anything: %v", errs)
	}
	var absent *AbsentError
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := probe(ctx, &blind{}, []cluster.NodeID{1, 2}, 1, time.Minute); !errors.As(err, &absent) || absent.Node != 2 {
		t.Errorf("a store that node 2 doesn't share: %v", err)
	}
	var slow *SlowError
	if err := probe(t.Context(), &blind{}, []cluster.NodeID{1}, 1, 0); !errors.As(err, &slow) {
		t.Errorf("a store that is too slow: %v", err)
	}
}

// blind is a store that saves whatever was there.
type blind struct {
	meet chan struct{}
	mu   sync.Mutex
	b    []byte
}

func (s *blind) Load() ([]byte, Version, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b == nil {
		return []byte("{}"), 0, nil
	}
	return s.b, 0, nil
}

func (s *blind) Save(_ Version, b []byte) error {
	// Two that have loaded meet here, so that one save is lost.
	select {
	case s.meet <- struct{}{}:
	case <-s.meet:
	case <-s.alone():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.b = b
	return nil
}

// alone ends the wait for another node, if there ever is one.
func (s *blind) alone() <-chan time.Time {
	if s.meet == nil {
		return time.After(0)
	}
	return time.After(5 * time.Millisecond)
}

func (s *blind) Close() error { return nil }

// hung is a store that answers when it is let.
type hung struct {
	Store
	let chan struct{}
}

func (h *hung) Load() ([]byte, Version, error) { <-h.let; return h.Store.Load() }

// TestWorkerDoesNotWait: an operation at a store that hangs ends in time, so do
// all after it, and when the store answers again so does the worker.
func TestWorkerDoesNotWait(t *testing.T) {
	st, err := Open(at(aFile(t)), testID, 1, counted())
	if err != nil {
		t.Fatal(err)
	}
	h := &hung{Store: st, let: make(chan struct{})}
	w := NewWorker(func() (Store, error) { return h, nil }, core.NewStepper(1, 3, testID, 1, arbiter.Broken{}))
	do := func(within time.Duration) error {
		done := make(chan core.StorageDone, 1)
		w.Do(&core.StorageOp{ID: 1, Voter: 3, Within: within, Batch: &core.Batch{Join: true}}, func(d core.StorageDone) { done <- d })
		return (<-done).Err
	}
	if err := do(10 * time.Millisecond); !errors.Is(err, core.ErrStoreHangs) {
		t.Errorf("it hangs: %v", err)
	}
	if err := do(10 * time.Millisecond); !errors.Is(err, ErrHangs) {
		t.Errorf("it still hangs: %v", err)
	}
	close(h.let)
	for err = ErrHangs; errors.Is(err, ErrHangs); {
		err = do(2 * time.Second)
	}
	if err != nil {
		t.Errorf("it answers: %v", err)
	}
	w.Close(time.Minute)
}

// TestVectors: every release writes these blocks byte for byte and reads them.
func TestVectors(t *testing.T) {
	const file = "testdata/store-v1.txt"
	var out strings.Builder
	b := make([]byte, block)
	if err := putLabel(b, testID); err != nil {
		t.Fatal(err)
	}
	out.WriteString(hex.EncodeToString(bytes.TrimRight(b[:block-4], "\x00")) + " " + hex.EncodeToString(b[block-4:]) + "\n")
	h := head{seq: 9, node: 2, life: 3, promised: 130, accepted: 66, which: 1, length: 1234, sum: 5}
	h.put(b)
	out.WriteString(hex.EncodeToString(bytes.TrimRight(b, "\x00")) + "\n")
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != out.String() {
		t.Errorf("this is not what other releases write:\n%s\nwant\n%s", out.String(), want)
	}
	if got, ok := headOf(b); !ok || got != h {
		t.Errorf("read %+v, %v", got, ok)
	}
}

// FuzzHead: nothing that lies in a slot harms the process, and a head that is
// accepted is the one that was written.
func FuzzHead(f *testing.F) {
	b := make([]byte, block)
	h := head{seq: 1, node: 2}
	h.put(b)
	f.Add(b[:headLen+4])
	f.Add([]byte("PERDUSTO"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b := make([]byte, block)
		copy(b, in)
		if h, ok := headOf(b); ok {
			again := make([]byte, block)
			h.put(again)
			if h2, ok := headOf(again); !ok || h2 != h {
				t.Errorf("%+v is written as %+v", h, h2)
			}
		}
		_, _ = labelOf(b)
		heads := make([]byte, 2*slots*block)
		copy(heads[block:], b)
		_, _ = headsOf(heads)
	})
}
