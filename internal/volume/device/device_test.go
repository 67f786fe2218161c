package device

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines runs a test with each engine that there is.
func engines(t *testing.T, f func(t *testing.T, o Options)) {
	for name, o := range map[string]Options{"threads": {Engine: EngineWorkers}, "io_uring": {Engine: EngineRing}, "inline": {Engine: EngineRing, Inline: true}} {
		t.Run(name, func(t *testing.T) {
			e := o.Engine
			o.Buffered = true
			d, err := Open(newFile(t, 1<<20), o)
			if err != nil {
				t.Skipf("no engine %s here: %v", e, err)
			}
			if err := d.Close(); err != nil {
				t.Fatal(err)
			}
			f(t, o)
		})
	}
}

func newFile(t testing.TB, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t testing.TB, path string, o Options) *Device {
	t.Helper()
	d, err := Open(path, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func newPool(t testing.TB) *block.Pool {
	t.Helper()
	p, err := block.NewPool(8<<20, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// TestRandomOperations does the same to a device and to a slice of memory, many
// operations at a time on ranges that don't overlap, and compares.
func TestRandomOperations(t *testing.T) {
	engines(t, func(t *testing.T, o Options) {
		const size, unit, parallel = 4 << 20, 4096, 8
		pool := newPool(t)
		o.Depth = 5 // fewer than are submitted
		d := open(t, newFile(t, size), o)
		model := make([]byte, size)
		r := rand.New(rand.NewSource(1))
		reqs := make([]block.Request, parallel)
		var wg sync.WaitGroup
		for round := range 80 {
			var batch []*block.Request
			for i := range reqs {
				// Each has an eighth of the device.
				q := &reqs[i]
				blocks := 1 + r.Intn(size/parallel/unit)
				first := r.Intn(size/parallel/unit - blocks + 1)
				*q = block.Request{Op: block.Op(1 + r.Intn(5)), Offset: int64(i*size/parallel + first*unit), Length: int64(blocks * unit), Done: func(*block.Request) { wg.Done() }}
				if r.Intn(2) == 0 {
					q.Flags = block.Flags(r.Intn(4))
				}
				if q.Op == block.Read || q.Op == block.Write {
					q.Data = pool.Get(blocks * unit)
					r.Read(q.Data)
				}
				wg.Add(1)
				batch = append(batch, q)
			}
			var before []byte
			before = append(before, model...)
			d.Submit(batch)
			wg.Wait()
			for _, q := range batch {
				if q.Err != nil {
					t.Fatalf("round %d: %v", round, q.Err)
				}
				at := model[q.Offset : q.Offset+q.Length]
				switch q.Op {
				case block.Read:
					if !bytes.Equal(q.Data, before[q.Offset:q.Offset+q.Length]) {
						t.Fatalf("round %d: read %d bytes at %d: other content than was written", round, q.Length, q.Offset)
					}
				case block.Write:
					copy(at, q.Data)
				case block.Discard, block.Zero:
					clear(at) // a file's discard makes zeroes
				}
				if q.Data != nil {
					pool.Put(q.Data)
				}
			}
		}
		whole := pool.Get(1 << 20)
		defer pool.Put(whole)
		for at := int64(0); at < size; at += 1 << 20 {
			if err := block.Do(d, &block.Request{Op: block.Read, Offset: at, Data: whole}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(whole, model[at:at+1<<20]) {
				t.Fatalf("the content at %d differs in the end", at)
			}
		}
	})
}

func TestErrors(t *testing.T) {
	engines(t, func(t *testing.T, o Options) {
		pool := newPool(t)
		b := pool.Get(8192)
		defer pool.Put(b)
		path := newFile(t, 1<<20)
		d := open(t, path, o)
		if err := block.Do(d, &block.Request{Op: block.Write, Offset: 1<<20 - 4096, Data: b}); !errors.Is(err, block.ErrRange) {
			t.Errorf("a write beyond the end: %v", err)
		}
		// A batch with one bad request: the others are done.
		var wg sync.WaitGroup
		wg.Add(2)
		bad := &block.Request{Op: block.Read, Offset: 1, Data: b[:4096], Done: func(*block.Request) { wg.Done() }}
		good := &block.Request{Op: block.Read, Offset: 0, Data: b[4096:], Done: func(*block.Request) { wg.Done() }}
		d.Submit([]*block.Request{bad, good})
		wg.Wait()
		if !errors.Is(bad.Err, block.ErrAlign) || good.Err != nil {
			t.Errorf("a bad and a good request: %v and %v", bad.Err, good.Err)
		}
		// Somebody cuts the file: what is behind the new end is gone, not bad.
		if err := os.Truncate(path, 8192); err != nil {
			t.Fatal(err)
		}
		err := block.Do(d, &block.Request{Op: block.Read, Offset: 1 << 19, Data: b})
		if !Vanished(err) {
			t.Errorf("a read where the file was cut off: %v", err)
		}
		if g, err := d.Refresh(); err != nil || g.Size != 8192 || d.Geometry().Size != 8192 {
			t.Errorf("the size after the cut: %v %v", g.Size, err)
		}
	})
}

func TestReadOnly(t *testing.T) {
	o := Options{ReadOnly: true, Buffered: true}
	d := open(t, newFile(t, 1<<20), o)
	if err := block.Do(d, &block.Request{Op: block.Zero, Length: 4096}); !errors.Is(err, block.ErrReadOnly) {
		t.Errorf("a change of what was opened to be read: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	file := newFile(t, 1<<20)
	d := open(t, file, Options{Buffered: true})
	if _, err := Open(file, Options{Buffered: true}); !message.Has(err, message.VolumeDeviceInUse) {
		t.Errorf("a second volume on %s: %v", d.Path(), err)
	}
	for what, path := range map[string]string{
		"a directory": t.TempDir(), "nothing": filepath.Join(t.TempDir(), "none"), "an empty file": newFile(t, 0), "less than a block": newFile(t, 100),
	} {
		if _, err := Open(path, Options{Buffered: true}); !message.Has(err, message.VolumeDeviceUnusable) {
			t.Errorf("open %s: %v", what, err)
		}
	}
	if _, err := Open(file, Options{Depth: 1 << 20}); err == nil {
		t.Error("a depth beyond the largest was accepted")
	}
}

func TestSubmitAfterClose(t *testing.T) {
	engines(t, func(t *testing.T, o Options) {
		d, err := Open(newFile(t, 1<<20), o)
		if err != nil {
			t.Fatal(err)
		}
		e := d.engine
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		r := &block.Request{Op: block.Flush}
		done := make(chan struct{})
		r.Done = func(*block.Request) { close(done) }
		e.submit([]*block.Request{r})
		<-done
		if !errors.Is(r.Err, block.ErrClosed) {
			t.Errorf("a request after the end: %v", r.Err)
		}
	})
}

func TestNoAllocationPerRequest(t *testing.T) {
	engines(t, func(t *testing.T, o Options) {
		pool := newPool(t)
		d := open(t, newFile(t, 1<<20), o)
		b := pool.Get(4096)
		defer pool.Put(b)
		done := make(chan struct{}, 1)
		r := &block.Request{Op: block.Write, Data: b, Done: func(*block.Request) { done <- struct{}{} }}
		batch := []*block.Request{r}
		if n := testing.AllocsPerRun(200, func() {
			d.Submit(batch)
			<-done
		}); n >= 1 || r.Err != nil {
			t.Errorf("%v allocations for each write (%v)", n, r.Err)
		}
	})
}

func BenchmarkWrite4K(b *testing.B) {
	for _, e := range []Engine{EngineWorkers, EngineRing} {
		for _, depth := range []int{1, 16, 64} {
			b.Run(fmt.Sprintf("%s/depth=%d", e, depth), func(b *testing.B) {
				pool := newPool(b)
				d := open(b, newFile(b, 64<<20), Options{Engine: e, Buffered: true})
				r := rand.New(rand.NewSource(1))
				done := make(chan *block.Request, depth)
				reqs := make([]block.Request, depth)
				var batch []*block.Request
				for i := range reqs {
					reqs[i] = block.Request{Op: block.Write, Data: pool.Get(4096), Done: func(q *block.Request) { done <- q }}
					done <- &reqs[i]
				}
				for n := 0; n < b.N; {
					batch = append(batch[:0], <-done)
					for len(done) > 0 {
						batch = append(batch, <-done)
					}
					for _, q := range batch {
						q.Offset = r.Int63n(16<<10) * 4096
					}
					n += len(batch)
					d.Submit(batch)
				}
				for range depth {
					q := <-done
					pool.Put(q.Data)
				}
			})
		}
	}
}
