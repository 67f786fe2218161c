package nbd

import (
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/volume/device/memory"
	"github.com/perdure-ha/perdure/internal/volume/front"
)

func connOf(t testing.TB, fd int) net.Conn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socketpair")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestNoAllocationPerRequest sends bursts of writes and reads and counts what the
// whole process allocates.
func TestNoAllocationPerRequest(t *testing.T) {
	v := &volume{name: "a", d: &quietDevice{memory.New(1<<20, 512)}}
	c := enter(t, serve(t, Config{Exports: exports{v}}), "a", true)
	const burst = 32
	var out []byte
	for i := range burst {
		kind, data := uint16(cmdRead), 0
		if i%2 == 0 {
			kind, data = cmdWrite, 4096
		}
		out = append(out, encodeHeader(kind, uint64(i), uint64(i)*4096, 4096)...)
		out = append(out, make([]byte, data)...)
	}
	in := make([]byte, burst/2*simpleSize+burst/2*(structuredSize+8+4096))
	round := func() {
		if _, err := c.Write(out); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < len(in); {
			got, err := c.Read(in[n:])
			if err != nil {
				t.Fatal(err)
			}
			n += got
		}
	}
	round()
	if n := testing.AllocsPerRun(200, round); n > 1 {
		t.Errorf("%v allocations for %d requests", n, burst)
	}
}

// TestAttach serves a socket without a handshake, as the kernel's.
func TestAttach(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := connOf(t, fds[0]), connOf(t, fds[1])
	v := &volume{name: "a", d: memory.New(1<<20, 512)}
	s := NewServer(Config{Exports: exports{v}, Pool: newPool(t)})
	done := make(chan error)
	go func() { done <- s.Attach(t.Context(), ours, v, front.Initiator{Protocol: "nbd", Name: "kernel"}) }()
	c := &client{t, theirs}
	c.request(0, cmdRead, 7, 0, 4096, "")
	c.ok(7, 4096)
	c.request(0, cmdDisc, 8, 0, 0, "")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if v.opened[0].Name != "kernel" {
		t.Errorf("opened by %+v", v.opened)
	}
	_ = theirs.Close()
	s.Close()
	if err := s.Attach(t.Context(), theirs, v, front.Initiator{Name: "late"}); !errors.Is(err, ErrClosed) {
		t.Errorf("a closed server took a connection: %v", err)
	}
}
