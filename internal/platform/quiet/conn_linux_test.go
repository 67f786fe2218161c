package quiet

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a quiet connection and the other end of it.
func pair(t *testing.T, network string) (quiet, other net.Conn) {
	t.Helper()
	where := "127.0.0.1:0"
	if network != "tcp" {
		where = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, where)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	other, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	quiet = Conn(c)
	t.Cleanup(func() { quiet.Close(); other.Close() })
	if quiet == c {
		t.Fatal("the connection was left as it is")
	}
	return quiet, other
}

// TestConn: what goes in comes out, with more at once than a socket has room for.
func TestConn(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			q, o := pair(t, network)
			sent := bytes.Repeat([]byte("perdure "), 1<<20)
			echoed := make(chan error, 1)
			go func() {
				_, err := io.CopyN(o, o, int64(len(sent)))
				echoed <- err
			}()
			wrote := make(chan error, 1)
			go func() {
				n, err := q.Write(sent)
				if err == nil && n != len(sent) {
					err = io.ErrShortWrite
				}
				wrote <- err
			}()
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(q, got); err != nil || !bytes.Equal(got, sent) {
				t.Fatalf("read: %v, the same: %v", err, bytes.Equal(got, sent))
			}
			if err := errors.Join(<-wrote, <-echoed); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestConnBounds: a SEQPACKET socket keeps the bounds of what was written.
func TestConnBounds(t *testing.T) {
	q, o := pair(t, "unixpacket")
	for _, s := range []string{"one", "and two"} {
		if _, err := q.Write([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 100)
	for _, want := range []string{"one", "and two"} {
		if n, err := o.Read(b); err != nil || string(b[:n]) != want {
			t.Fatalf("got %q, %v, want %q", b[:n], err, want)
		}
	}
}

func TestConnEnds(t *testing.T) {
	b := make([]byte, 10)
	t.Run("other side closes", func(t *testing.T) {
		for _, network := range []string{"tcp", "unix", "unixpacket"} {
			q, o := pair(t, network)
			o.Close()
			if n, err := q.Read(b); n != 0 || err != io.EOF {
				t.Errorf("%s: %d bytes, %v, want the end", network, n, err)
			}
		}
	})
	t.Run("deadline", func(t *testing.T) {
		q, _ := pair(t, "tcp")
		q.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := q.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read: %v", err)
		}
		much := make([]byte, 64<<20)
		q.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		n, err := q.Write(much)
		if !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 || n == len(much) {
			t.Errorf("write: %d bytes, %v", n, err)
		}
	})
	t.Run("closed while reading", func(t *testing.T) {
		q, _ := pair(t, "tcp")
		ended := make(chan error)
		go func() {
			_, err := q.Read(b)
			ended <- err
		}()
		// Whether it reads yet doesn't matter: either order is right.
		q.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if _, err := q.Write(b); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		q, o := pair(t, "tcp")
		o.(*net.TCPConn).SetLinger(0)
		o.Close()
		_, err := q.Read(b)
		if _, ok := errors.AsType[*net.OpError](err); !ok || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("read: %v", err)
		}
	})
}

// TestConnOther: what isn't a socket is left alone.
func TestConnOther(t *testing.T) {
	a, b := net.Pipe()
	defer b.Close()
	defer a.Close()
	if Conn(a) != a {
		t.Error("a pipe was wrapped")
	}
}

// TestDatagrams: addresses of both families, what is cut off, and an empty socket.
func TestDatagrams(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		a, b := socket(t, host), socket(t, host)
		buf := make([]byte, 4)
		if _, _, err := ReceiveFrom(a.fd, buf); err != unix.EAGAIN {
			t.Errorf("%s: an empty socket gave %v", host, err)
		}
		for _, s := range []string{"", "four", "longer"} {
			if err := SendTo(a.fd, []byte(s), b.at, 0); err != nil {
				t.Fatal(err)
			}
			n, from, err := ReceiveFrom(b.fd, buf)
			if err != nil || string(buf[:n]) != s[:min(4, len(s))] || from != a.at {
				t.Errorf("%s: got %q from %v, %v; want %q from %v", host, buf[:n], from, err, s, a.at)
			}
		}
	}
}

type bound struct {
	fd uintptr
	at netip.AddrPort
}

func socket(t *testing.T, host string) bound {
	t.Helper()
	addr := netip.MustParseAddr(host)
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	if addr.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Skipf("no socket of this family: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, to); err != nil {
		t.Skipf("no address of this family: %v", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	var port int
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		port = sa.Port
	case *unix.SockaddrInet6:
		port = sa.Port
	}
	return bound{uintptr(fd), netip.AddrPortFrom(addr, uint16(port))}
}
