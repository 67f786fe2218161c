package fence

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// sniffer counts the frames that reach a device, as the wire sees them.
type sniffer struct {
	mu     sync.Mutex
	frames [][]byte
}

func (p *pair) capture(ns string) *sniffer {
	p.t.Helper()
	fd, err := inside(p, ns, func() (int, error) {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(htons(unix.ETH_P_ALL)))
		if err != nil {
			return -1, err
		}
		link, err := net.InterfaceByName("eth0")
		if err != nil {
			return -1, err
		}
		return fd, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: link.Index})
	})
	if err != nil {
		p.t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "capture")
	s := &sniffer{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, err := f.Read(buf)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.frames = append(s.frames, bytes.Clone(buf[:n]))
			s.mu.Unlock()
		}
	}()
	p.t.Cleanup(func() { _ = f.Close(); <-done })
	return s
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// from counts IP frames that an address sent.
func (s *sniffer) from(addr netip.Addr) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, f := range s.frames {
		at := 14 + ip4Source
		if addr.Is6() {
			at = 14 + ip6Source
		}
		raw := addr.AsSlice()
		if len(f) >= at+len(raw) && bytes.Equal(f[at:at+len(raw)], raw) {
			n++
		}
	}
	return n
}

// retransmits is how often the node's kernel has sent the last segment of a
// connection from addr again, by ss.
func (p *pair) retransmits(addr netip.Addr) int {
	out := run(p.t, "ip", "netns", "exec", p.node, "ss", "-tinH", "src", "["+addr.String()+"]")
	_, after, ok := strings.Cut(out, "backoff:")
	if !ok {
		return 0
	}
	n, _ := strconv.Atoi(strings.FieldsFunc(after, func(r rune) bool { return r < '0' || r > '9' })[0])
	return n
}

// benchGate is a gate in a namespace of its own.
func benchGate(b *testing.B) (Gate, func()) {
	if os.Getuid() != 0 {
		b.Skip("SKIP: network namespaces need root")
	}
	name := "pdgb" + strconv.Itoa(os.Getpid())
	stop := func() { _ = exec.Command("ip", "netns", "del", name).Run() }
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "add", "eth0", "type", "veth", "peer", "name", "eth1"}, {"-n", name, "link", "set", "eth0", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			stop()
			b.Fatalf("ip %v: %s", args, out)
		}
	}
	fd, err := netns.GetFromName(name)
	if err != nil {
		stop()
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = fd.Close() })
	g, err := NewGate(Options{Instance: "bench", NetNS: int(fd)})
	if err != nil {
		stop()
		b.Fatal(err)
	}
	for _, a := range both {
		if err := g.Protect(a, "eth0"); err != nil {
			stop()
			b.Fatal(err)
		}
	}
	return g, stop
}
