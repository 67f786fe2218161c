package commpath

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

func frame(t frameType, payload string) []byte {
	b := make([]byte, frameHeader, frameHeader+len(payload))
	putFrameHeader(b, t, []byte(payload))
	return append(b, payload...)
}

func TestFrameVector(t *testing.T) {
	const want = "00000005" + "02" + "01" + "0000" + "2fcec1f9" + "68656c6c6f"
	if got := fmt.Sprintf("%x", frame(frameMessage, "hello")); got != want {
		t.Errorf("frame\n%s, want\n%s", got, want)
	}
}

func TestFrameDamage(t *testing.T) {
	good := frame(frameMessage, "hello")
	for i := range len(good) * 8 {
		bad := bytes.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		if ft, payload, err := readFrame(bytes.NewReader(bad), 1<<10); err == nil {
			t.Fatalf("bit %d: read %d %q", i, ft, payload)
		}
	}
	for n := range len(good) {
		_, _, err := readFrame(bytes.NewReader(good[:n]), 1<<10)
		if want := io.ErrUnexpectedEOF; n == 0 && err != io.EOF || n > 0 && err != want {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
	if _, _, err := readFrame(bytes.NewReader(good), 4); !errors.Is(err, errFrame) {
		t.Errorf("over the limit: %v", err)
	}
}

// TestFrameMemory: a header that promises much and brings little takes little.
func TestFrameMemory(t *testing.T) {
	head := frame(frameMessage, "")
	head[1] = 0x7f // 8 MiB less something
	n := testing.AllocsPerRun(1, func() {
		if _, _, err := readFrame(bytes.NewReader(head), MaxMessage); err == nil {
			t.Error("read a frame without payload")
		}
	})
	if b, err := readGrowing(bytes.NewReader(make([]byte, 1<<20)), 1<<20); err != nil || len(b) != 1<<20 {
		t.Errorf("%d bytes, %v (%v allocations before)", len(b), err, n)
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(frame(frameMessage, "hello"))
	f.Add(frame(framePing, ""))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 2, 1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		ft, payload, err := readFrame(bytes.NewReader(b), MaxMessage)
		if err != nil {
			return
		}
		if again := frame(ft, string(payload)); !bytes.HasPrefix(b, again) {
			t.Fatalf("%x is also %x", b, again)
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add(hello{Min: 1, Max: 2, Build: "1.0", Cluster: "blue", Node: 7}.encode())
	f.Add([]byte(`{"min":1,"max":1,"later":[1]}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHello(b)
		if err != nil {
			return
		}
		again, err := decodeHello(h.encode())
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}

func FuzzFailure(f *testing.F) {
	f.Add(encodeFailure(message.New(message.PathSilent, 1)))
	f.Add(encodeFailure(errors.New("no")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := decodeFailure(b); err == nil || err.Error() == "" && len(b) > 20 {
			if _, said := errors.AsType[*RemoteError](err); !said {
				t.Fatalf("%q became %v", b, err)
			}
		}
	})
}

func TestAgree(t *testing.T) {
	for _, tt := range []struct {
		ours, theirs [2]int
		want         int
	}{
		{[2]int{1, 1}, [2]int{1, 1}, 1},
		{[2]int{1, 2}, [2]int{1, 3}, 2},
		{[2]int{2, 3}, [2]int{1, 2}, 2},
		{[2]int{2, 3}, [2]int{1, 1}, 0},
		{[2]int{1, 1}, [2]int{2, 3}, 0},
	} {
		got, err := agree(hello{Min: tt.ours[0], Max: tt.ours[1]}, hello{Min: tt.theirs[0], Max: tt.theirs[1]})
		if got != tt.want || (err == nil) != (tt.want > 0) {
			t.Errorf("%v with %v: %d, %v; want %d", tt.ours, tt.theirs, got, err, tt.want)
		}
	}
}

func TestLimiter(t *testing.T) {
	var l limiter
	a, b := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2") // one /64
	now := time.Hour
	for i := range joinBurst {
		if !l.allow(a, now) {
			t.Fatalf("try %d refused", i)
		}
	}
	if l.allow(b, now) {
		t.Error("the neighbour is another source")
	}
	if !l.allow(netip.MustParseAddr("10.0.0.1"), now) {
		t.Error("another source is refused")
	}
	if l.allow(a, now+joinEvery-1) || !l.allow(a, now+joinEvery) || l.allow(a, now+joinEvery) {
		t.Error("refill")
	}
	for i := range 3 * joinSources {
		l.allow(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), now)
	}
	if len(l.buckets) > joinSources {
		t.Errorf("%d sources remembered", len(l.buckets))
	}
	if !l.allow(netip.MustParseAddr("192.0.2.1"), now+time.Hour) || len(l.buckets) > 2 {
		t.Errorf("%d sources remembered after an hour", len(l.buckets))
	}
}

func TestBetter(t *testing.T) {
	up := func(n string, prio int, upFor time.Duration) route {
		return route{network: n, class: classUp, priority: prio, upFor: upFor}
	}
	down := func(n string, prio int) route { return route{network: n, class: classDown, priority: prio} }
	for _, tt := range []struct {
		name         string
		routes       []route
		move, atOnce bool
	}{
		{"none", nil, false, false},
		{"the only one", []route{up("a", 0, 0)}, false, false},
		{"the only one is dead", []route{down("a", 0)}, false, false},
		{"dead, another lives", []route{up("b", 1, 0), down("a", 0)}, true, true},
		{"both dead", []route{down("b", 0), down("a", 1)}, false, false},
		{"preferred one came back just now", []route{up("b", 0, time.Second), up("a", 1, time.Hour)}, false, false},
		{"preferred one is back for long", []route{up("b", 0, time.Minute), up("a", 1, time.Hour)}, true, false},
		{"equal", []route{up("b", 1, time.Hour), up("a", 1, time.Hour)}, false, false},
		{"ours is gone", []route{up("b", 1, 0)}, true, true},
	} {
		current := "a"
		if tt.name == "the only one" {
			current = tt.routes[0].network
		}
		if _, move, atOnce := better(tt.routes, current, 5*time.Second); move != tt.move || atOnce != tt.atOnce {
			t.Errorf("%s: move %v, at once %v", tt.name, move, atOnce)
		}
	}
}
