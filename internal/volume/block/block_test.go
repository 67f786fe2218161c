package block

import (
	"errors"
	"math/rand"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newPool(t *testing.T, size, largest int) *Pool {
	t.Helper()
	p, err := NewPool(size, largest)
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

// TestPoolGivesEachPieceOnce takes and returns pieces of random sizes: none
// overlaps another, all are aligned, and in the end the largest can be had again.
func TestPoolGivesEachPieceOnce(t *testing.T) {
	p := newPool(t, 1<<20, 256<<10)
	r := rand.New(rand.NewSource(1))
	type held struct {
		b    []byte
		mark byte
	}
	var all []held
	check := func(h held) {
		for i, c := range h.b {
			if c != h.mark {
				t.Fatalf("a piece of %d bytes was changed at %d: another one overlaps it", len(h.b), i)
			}
		}
	}
	for i := range 20000 {
		if r.Intn(2) == 0 {
			n := 1 + r.Intn(1<<(10+r.Intn(9)))
			b := p.TryGet(n)
			if b == nil {
				continue
			}
			if len(b) != n || address(b)%Unit != 0 {
				t.Fatalf("asked for %d bytes: got %d at %x", n, len(b), address(b))
			}
			h := held{b, byte(i)}
			for j := range b {
				b[j] = h.mark
			}
			all = append(all, h)
		} else if len(all) > 0 {
			k := r.Intn(len(all))
			check(all[k])
			p.Put(all[k].b[:r.Intn(len(all[k].b)+1)])
			all[k] = all[len(all)-1]
			all = all[:len(all)-1]
		}
	}
	for _, h := range all {
		check(h)
		p.Put(h.b)
	}
	var whole [][]byte
	for range 4 {
		b := p.TryGet(256 << 10)
		if b == nil {
			t.Fatal("all was put back, and the largest pieces can't be had: neighbours don't join")
		}
		whole = append(whole, b)
	}
	if p.TryGet(1) != nil || p.Free() != 0 {
		t.Error("the pool gave more than it has")
	}
	for _, b := range whole {
		p.Put(b)
	}
}

// TestPoolServesInOrder: who waits for much isn't overtaken for ever by those who
// want little.
func TestPoolServesInOrder(t *testing.T) {
	p := newPool(t, 8*Unit, 8*Unit)
	first, second := p.Get(4*Unit), p.Get(4*Unit)
	got := make(chan []byte)
	go func() { got <- p.Get(8 * Unit) }()
	for {
		p.mu.Lock()
		waits := len(p.waiters) > 0
		p.mu.Unlock()
		if waits {
			break
		}
	}
	p.Put(first)
	if b := p.TryGet(1); b != nil {
		t.Fatal("a small piece overtook the one that waits")
	}
	p.Put(second)
	p.Put(<-got)
}

func TestPoolRefusesASecondPut(t *testing.T) {
	p := newPool(t, 4*Unit, 4*Unit)
	b := p.Get(Unit)
	p.Put(b)
	defer func() {
		if recover() == nil {
			t.Error("putting a piece back twice went unnoticed")
		}
	}()
	p.Put(b)
}

func TestPoolAllocatesNothing(t *testing.T) {
	p := newPool(t, 1<<20, 64<<10)
	if n := testing.AllocsPerRun(1000, func() { p.Put(p.Get(10000)) }); n != 0 {
		t.Errorf("%v allocations for each piece", n)
	}
}

func TestGeometryChecks(t *testing.T) {
	p := newPool(t, 64<<10, 64<<10)
	b := p.Get(8192)
	defer p.Put(b)
	g := Geometry{Size: 1 << 20, Logical: 4096, MemoryAlign: 512}
	ro := g
	ro.ReadOnly = true
	for _, c := range []struct {
		what string
		g    Geometry
		r    Request
		want error
	}{
		{"a read", g, Request{Op: Read, Offset: 4096, Data: b}, nil},
		{"the last block", g, Request{Op: Write, Offset: 1<<20 - 4096, Data: b[:4096]}, nil},
		{"one beyond the end", g, Request{Op: Write, Offset: 1<<20 - 4096, Data: b}, ErrRange},
		{"an offset that overflows", g, Request{Op: Discard, Offset: 1<<63 - 4096, Length: 8192}, ErrRange},
		{"a negative offset", g, Request{Op: Read, Offset: -4096, Data: b}, ErrRange},
		{"a negative length", g, Request{Op: Zero, Length: -4096}, ErrRange},
		{"an odd offset", g, Request{Op: Read, Offset: 512, Data: b}, ErrAlign},
		{"an odd length", g, Request{Op: Zero, Offset: 0, Length: 512}, ErrAlign},
		{"odd memory", g, Request{Op: Read, Data: b[1:4097]}, ErrAlign},
		{"a write where it isn't allowed", ro, Request{Op: Zero, Length: 4096}, ErrReadOnly},
		{"a read where writing isn't allowed", ro, Request{Op: Read, Data: b}, nil},
		{"a flush", ro, Request{Op: Flush}, nil},
		{"nothing", g, Request{}, ErrNotSupported},
	} {
		if err := c.g.Check(&c.r); !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}
