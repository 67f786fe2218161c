package server

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device/memory"
	"github.com/perdure-ha/perdure/internal/volume/front"
	"github.com/perdure-ha/perdure/internal/volume/meta"
)

func TestMain(m *testing.M) {
	guestRole()
	if os.Getenv(roleVariable) != "" {
		os.Exit(processMain())
	}
	goleak.VerifyTestMain(m)
}

var silent = slog.New(slog.NewTextHandler(io.Discard, nil))

// testClock is a BOOTTIME that the test moves.
type testClock struct{ t atomic.Int64 }

func (c *testClock) now() time.Duration      { return time.Duration(c.t.Load()) }
func (c *testClock) advance(d time.Duration) { c.t.Add(int64(d)) }

const (
	testExtent = 64 << 10
	testSlots  = 8
	testData   = 4 << 20
)

func newDisk(t *testing.T) *memory.Device {
	t.Helper()
	d := memory.New(6<<20, 512)
	a, err := meta.Create(d, "disk", meta.Superblock{Volume: [16]byte{7}, Name: "vol", Cluster: "c", Copy: 1, DataSize: testData, DeviceSize: 6 << 20,
		BlockSize: 4096, ExtentSize: testExtent, Slots: testSlots, Consistent: true, Clean: true, Members: 1}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

func openVolume(t *testing.T, d *memory.Device, g *Gate) *Local {
	t.Helper()
	a, err := meta.Open(d, "disk", meta.Want{Volume: [16]byte{7}, Name: "vol", Cluster: "c"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := openLocal(d, nil, a, g, [16]byte{1}, silent)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func openGate() (*Gate, *testClock) {
	c := &testClock{}
	g := newGate(c.now, 20*time.Second)
	g.Open(math.MaxInt64)
	return g, c
}

func session(t *testing.T, v *Local) front.Session {
	t.Helper()
	s, err := v.Open(front.Initiator{Protocol: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func do(t *testing.T, s block.Submitter, r *block.Request) {
	t.Helper()
	if err := block.Do(s, r); err != nil {
		t.Fatalf("%v at %d: %v", r.Op, r.Offset, err)
	}
}

// TestLogCoversEveryWrite: whenever a write may be on the disk, its extent is in
// the newest transaction that is durable; this is looked at before each write
// reaches the disk, with more extents in use than the log has slots.
func TestLogCoversEveryWrite(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	var bad atomic.Int64
	var inside atomic.Bool
	d.Fail(func(r *block.Request) error {
		if !r.Op.Changes() || r.Offset >= testData || !inside.Load() {
			return nil
		}
		hot := v.activity.index // only this goroutine's writes are under way
		for e := r.Offset / testExtent; e <= (r.Offset+r.Size()-1)/testExtent; e++ {
			if _, ok := hot[uint32(e)]; !ok {
				bad.Add(1)
			}
		}
		return nil
	})
	s := session(t, v)
	model := make([]byte, testData)
	rnd := rand.New(rand.NewSource(1))
	for round := range 300 {
		inside.Store(true)
		n := int64(1+rnd.Intn(40)) * 4096
		at := rnd.Int63n((testData-n)/4096) * 4096
		r := &block.Request{Op: block.Write, Offset: at}
		switch rnd.Intn(5) {
		case 0:
			r.Op, r.Length = block.Zero, n
			clear(model[at : at+n])
		case 1:
			r.Op, r.Length = block.Discard, n
			clear(model[at : at+n])
		default:
			r.Data = bytes.Repeat([]byte{byte(round + 1)}, int(n))
			copy(model[at:], r.Data)
		}
		do(t, s, r)
		inside.Store(false)
		// As after a crash now: the log names the extents of the write.
		if round%10 != 0 {
			continue
		}
		c := d.Crash(int64(round))
		a, err := meta.Open(c, "disk", meta.Want{Volume: [16]byte{7}, Name: "vol", Cluster: "c"})
		if err != nil {
			t.Fatal(err)
		}
		_, hot, whole, err := a.Activity()
		if err != nil || !whole {
			t.Fatalf("round %d: the log can't be read: %v", round, err)
		}
		named := make(map[int64]bool)
		for _, e := range hot {
			named[int64(e)] = true
		}
		after := c.Content()
		for e := range int64(testData / testExtent) {
			if !bytes.Equal(after[e*testExtent:(e+1)*testExtent], model[e*testExtent:(e+1)*testExtent]) && !named[e] {
				t.Fatalf("round %d: extent %d may lack writes after a crash, and the log doesn't name it", round, e)
			}
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if bad.Load() > 0 {
		t.Errorf("%d writes reached the disk before their extent was hot", bad.Load())
	}
	if !bytes.Equal(d.Content()[:testData], model) {
		t.Error("the volume has other content than was written")
	}
	s.Close()
	d.Fail(nil)
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

// TestHotExtentsCostNothing: the second write to an extent needs no transaction.
func TestHotExtentsCostNothing(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	s := session(t, v)
	b := make([]byte, 4096)
	do(t, s, &block.Request{Op: block.Write, Data: b})
	before := d.Count(block.Write)
	for i := range int64(10) {
		do(t, s, &block.Request{Op: block.Write, Offset: i * 4096, Data: b})
	}
	if n := d.Count(block.Write) - before; n != 10 {
		t.Errorf("10 writes to a hot extent were %d on the disk", n)
	}
	s.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
	v = openVolume(t, d, g)
	if v.activity.hotNow() != 0 {
		t.Error("after an orderly end something is hot")
	}
	s = session(t, v)
	do(t, s, &block.Request{Op: block.Write, Offset: 3 * testExtent, Data: b})
	s.Close()
	if err := v.close(false); err != nil { // as if killed
		t.Fatal(err)
	}
	v = openVolume(t, d, g)
	if v.activity.hotNow() != 1 {
		t.Errorf("after a crash %d extents are hot, want 1", v.activity.hotNow())
	}
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

// TestFlushCoversWhatHadEnded: a write that ends while a flush is under way isn't
// known to be on the disk, so its extent stays hot.
func TestFlushCoversWhatHadEnded(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	s := session(t, v)
	b := make([]byte, 4096)
	for e := range int64(testSlots) {
		do(t, s, &block.Request{Op: block.Write, Offset: e * testExtent, Data: b})
	}
	d.Hold()
	ended := make(chan error, 2)
	for _, at := range []int64{0, testSlots * testExtent} { // one hot, one that needs a slot
		s.Submit([]*block.Request{{Op: block.Write, Offset: at, Data: b, Done: func(r *block.Request) { ended <- r.Err }}})
	}
	if d.Held() != 2 {
		t.Fatalf("%d operations are on the disk, want the write and a flush", d.Held())
	}
	d.Release(nil) // the write ends first
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	v.activity.mu.Lock()
	i, hot := v.activity.index[0]
	if !hot || !v.activity.slots[i].dirty {
		t.Error("the extent of a write that ended during the flush may cool")
	}
	for e := range uint32(testSlots) {
		if i, ok := v.activity.index[e]; ok && e != 0 && v.activity.slots[i].dirty {
			t.Errorf("extent %d, written before the flush, can't cool", e)
		}
	}
	v.activity.mu.Unlock()
	s.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

// TestManyWriters: all at once, more than slots and ops, with a disk that answers
// out of order.
func TestManyWriters(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	var wg sync.WaitGroup
	for w := range 16 {
		wg.Go(func() {
			s, err := v.Open(front.Initiator{})
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			rnd := rand.New(rand.NewSource(int64(w)))
			for i := range 50 {
				at := int64(w*testData/16) + rnd.Int63n(testData/16/4096)*4096
				if err := block.Do(s, &block.Request{Op: block.Write, Offset: at, Data: bytes.Repeat([]byte{byte(w + 1)}, 4096)}); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					if err := block.Do(s, &block.Request{Op: block.Flush}); err != nil {
						t.Error(err)
					}
				}
			}
			// Wider than the log has room for.
			if err := block.Do(s, &block.Request{Op: block.Zero, Offset: 0, Length: 0}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	s := session(t, v)
	do(t, s, &block.Request{Op: block.Discard, Length: testData})
	do(t, s, &block.Request{Op: block.Write, Data: bytes.Repeat([]byte{9}, 1<<20)})
	if c := d.Content(); c[0] != 9 || c[1<<20-1] != 9 || c[1<<20] != 0 {
		t.Error("wide requests left other content")
	}
	s.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

// TestGateHoldsRequests: after the deadline neither a request begins nor an answer
// is given, until a renewal.
func TestGateHoldsRequests(t *testing.T) {
	d := newDisk(t)
	c := &testClock{}
	g := newGate(c.now, 20*time.Second)
	v := openVolume(t, d, g)
	s := session(t, v)
	ended := make(chan error, 10)
	submit := func(r *block.Request) {
		r.Done = func(r *block.Request) { ended <- r.Err }
		s.Submit([]*block.Request{r})
	}
	none := func(when string) {
		t.Helper()
		select {
		case err := <-ended:
			t.Fatalf("%s: a request ended (%v)", when, err)
		default:
		}
	}
	b := make([]byte, 4096)
	writes := d.Count(block.Write)
	submit(&block.Request{Op: block.Write, Data: b})
	submit(&block.Request{Op: block.Read, Data: b})
	none("without a lease")
	if d.Count(block.Write) != writes || g.held() != 2 {
		t.Fatalf("without a lease the disk was written to, or %d requests wait", g.held())
	}
	g.Open(c.now() + time.Second)
	for range 2 {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	// Asked before the deadline, done after it: the machine stood still.
	d.Hold()
	submit(&block.Request{Op: block.Read, Data: b})
	c.advance(2 * time.Second)
	d.Release(nil)
	none("after the deadline")
	g.Open(c.now() - time.Millisecond) // a renewal that came too late
	none("after a late renewal")
	g.Open(c.now() + time.Second)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	g.Open(1) // an older one is no step back
	submit(&block.Request{Op: block.Read, Data: b})
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	g.Shut()
	submit(&block.Request{Op: block.Flush})
	none("after it was shut")
	g.Revoke(errNoLease)
	if err := <-ended; !errors.Is(err, block.ErrRefused) {
		t.Errorf("after the lease was taken away: %v", err)
	}
	submit(&block.Request{Op: block.Flush})
	s.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, block.ErrRefused) {
		t.Errorf("when the volume is taken out of service: %v", err)
	}
}

// TestSamePlaceInOrder: a write that stands still on the disk, the same once more
// as the kernel sends it, and a later one: the later one counts in the end.
func TestSamePlaceInOrder(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	first, second := session(t, v), session(t, v)
	write := func(s front.Session, at int64, c byte) chan error {
		ended := make(chan error, 1)
		r := &block.Request{Op: block.Write, Offset: at, Data: bytes.Repeat([]byte{c}, 8192), Done: func(r *block.Request) { ended <- r.Err }}
		s.Submit([]*block.Request{r})
		return ended
	}
	if err := <-write(first, 0, 1); err != nil { // its extent is hot from now on
		t.Fatal(err)
	}
	d.Hold()
	all := []chan error{write(first, 0, 2), write(second, 0, 2), write(second, 4096, 3), write(first, 16384, 4)}
	if n := d.Held(); n != 2 {
		t.Errorf("%d writes are on the disk, want the first and the one elsewhere", n)
	}
	d.Release(func(n int) []int { return rand.New(rand.NewSource(1)).Perm(n) })
	for _, ended := range all {
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
	if c := d.Content(); c[0] != 2 || c[4096] != 3 || c[12287] != 3 || c[16384] != 4 {
		t.Errorf("content: %d %d %d %d", c[0], c[4096], c[12287], c[16384])
	}
	// What waits for a lease of somebody who is gone is forgotten.
	g.Shut()
	gone := write(first, 0, 5)
	first.Abort()
	if err := <-gone; !errors.Is(err, block.ErrRefused) {
		t.Errorf("of somebody who is gone: %v", err)
	}
	// Nor does what is on the disk when the volume is taken out of service.
	g.Open(math.MaxInt64)
	d.Hold()
	late := write(second, 0, 6)
	g.Shut()
	v.stop()
	d.Release(nil)
	if err := <-late; !errors.Is(err, block.ErrRefused) {
		t.Errorf("answered without a lease: %v", err)
	}
	first.Close()
	second.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

// TestRequestsDontWaitForEver: no renewal comes.
func TestRequestsDontWaitForEver(t *testing.T) {
	d := newDisk(t)
	began := time.Now()
	g := newGate(func() time.Duration { return time.Since(began) }, 50*time.Millisecond)
	v := openVolume(t, d, g)
	s := session(t, v)
	if err := block.Do(s, &block.Request{Op: block.Flush}); !errors.Is(err, block.ErrRefused) {
		t.Errorf("a request that waited for too long: %v", err)
	}
	s.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

func TestDiskErrors(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	s := session(t, v)
	b := make([]byte, 4096)
	d.Fail(func(r *block.Request) error {
		if r.Op == block.Write && r.Offset >= testData {
			return block.ErrIO
		}
		return nil
	})
	do(t, s, &block.Request{Op: block.Read, Data: b})
	if err := block.Do(s, &block.Request{Op: block.Write, Data: b}); !errors.Is(err, block.ErrIO) {
		t.Errorf("a write whose extent can't be logged: %v", err)
	}
	d.Fail(nil)
	if err := block.Do(s, &block.Request{Op: block.Write, Data: b}); !errors.Is(err, block.ErrIO) {
		t.Errorf("a write without a log: %v", err)
	}
	if v.failure == nil {
		t.Error("status doesn't know of the failure")
	}
	s.Close()
	if err := v.close(false); err != nil {
		t.Fatal(err)
	}
}

// TestNoAllocationPerRequest on hot extents.
func TestNoAllocationPerRequest(t *testing.T) {
	d := newDisk(t)
	g, _ := openGate()
	v := openVolume(t, d, g)
	s := session(t, v)
	do(t, s, &block.Request{Op: block.Write, Data: make([]byte, 4096)})
	r := &block.Request{Op: block.Read, Data: make([]byte, 4096), Done: func(*block.Request) {}}
	batch := []*block.Request{r}
	if n := testing.AllocsPerRun(100, func() { s.Submit(batch) }); n != 0 || r.Err != nil {
		t.Errorf("%v allocations for a request (%v)", n, r.Err)
	}
	s.Close()
	if err := v.close(true); err != nil {
		t.Fatal(err)
	}
}

func newServer(t *testing.T) (*Server, Spec) {
	t.Helper()
	dir := t.TempDir()
	s := New(Config{RunDir: dir, Log: silent, Memory: 4 << 20})
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 32<<20); err != nil {
		t.Fatal(err)
	}
	return s, Spec{Name: "vol", Cluster: "c", Device: disk}
}

func TestCreateServeStop(t *testing.T) {
	for _, side := range []bool{false, true} {
		s, p := newServer(t)
		if side {
			p.Side = p.Device + ".meta"
		}
		content := bytes.Repeat([]byte("payload!"), 64)
		f, err := os.OpenFile(p.Device, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(content); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Serve(p); err == nil {
			t.Fatal("a volume without an id was served")
		}
		if p.ID, err = s.Create(p); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Create(p); !message.Has(err, message.VolumeDeviceHolds) {
			t.Errorf("created twice: %v", err)
		}
		socket, err := s.Serve(p)
		if err != nil {
			t.Fatal(err)
		}
		again, err := s.Serve(p)
		if err != nil || again != socket {
			t.Errorf("served again: %v", err)
		}
		if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the socket is open to others: %v", err)
		}
		other := p
		other.Name, other.ID = "else", "00000000000000000000000000000001"
		if _, err := s.Serve(other); !message.Has(err, message.VolumeDeviceInUse) {
			t.Errorf("two volumes on one device: %v", err)
		}
		st := s.Status()
		if len(st.Volumes) != 1 || st.Volumes[0].Name != "vol" || side != (st.Volumes[0].Size == 32<<20) {
			t.Errorf("status: %+v", st)
		}
		if err := s.Stop("vol"); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Serve(other); !message.Has(err, message.VolumeForeign) && !message.Has(err, message.VolumeMetaNone) {
			t.Errorf("another volume's metadata: %v", err)
		}
		if got, err := os.ReadFile(p.Device); err != nil || !bytes.Equal(got[:len(content)], content) {
			t.Errorf("what was on the device has changed: %v", err)
		}
	}
}

func TestBadSpecs(t *testing.T) {
	s, p := newServer(t)
	for what, change := range map[string]func(*Spec){
		"a name that is a path": func(p *Spec) { p.Name = "../x" },
		"no name":               func(p *Spec) { p.Name = "" },
		"a wrong id":            func(p *Spec) { p.ID = "xyz" },
		"no such device":        func(p *Spec) { p.Device += "x" },
		"a copy out of range":   func(p *Spec) { p.Copy = 9 },
		"a long cluster id":     func(p *Spec) { p.Cluster = string(bytes.Repeat([]byte("c"), 64)) },
	} {
		q := p
		change(&q)
		if _, err := s.Create(q); err == nil {
			t.Errorf("%s was accepted", what)
		}
	}
}

func FuzzControl(f *testing.F) {
	f.Add([]byte(`{"v":1,"do":"status"}`))
	f.Add([]byte(`{"v":1,"do":"create","spec":{"name":"a","device":"/dev/null"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		q, err := decodeRequest(line)
		if err != nil {
			return
		}
		if q.Version != controlVersion {
			t.Fatal("another version was accepted")
		}
		if _, err := q.Spec.check(); err == nil && filepath.Base(q.Spec.Name) != q.Spec.Name {
			t.Fatalf("the name %q is a path", q.Spec.Name)
		}
	})
}
