package netns

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// air has a UDP socket for every node and network, and notes which of them hear
// which.
type air struct {
	t     *testing.T
	ends  map[string]*net.UDPConn // by "n1 public"
	addrs map[string]netip.AddrPort

	mu    sync.Mutex
	round int
	heard map[string]bool // "p12": n2 hears n1 on the public network
}

func newAir(t *testing.T, lab *Lab) *air {
	a := &air{t: t, ends: map[string]*net.UDPConn{}, addrs: map[string]netip.AddrPort{}, heard: map[string]bool{}}
	var listening sync.WaitGroup
	for _, n := range lab.Nodes() {
		for _, network := range []string{Public, Heartbeat} {
			name := n.Name + " " + network
			a.addrs[name] = netip.AddrPortFrom(n.Addr(network), 7400)
			err := n.space.Do(func() (err error) {
				a.ends[name], err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(a.addrs[name]))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			conn := a.ends[name]
			listening.Go(func() { a.listen(conn, n.Name) })
		}
	}
	t.Cleanup(func() {
		for _, conn := range a.ends {
			conn.Close()
		}
		listening.Wait()
	})
	return a
}

func (a *air) listen(conn *net.UDPConn, to string) {
	buf := make([]byte, 64)
	for {
		size, err := conn.Read(buf)
		if err != nil {
			return
		}
		var round int
		var direction string
		if _, err := fmt.Sscan(string(buf[:size]), &round, &direction); err != nil || !strings.HasSuffix(direction, to[1:]) {
			a.t.Errorf("%s heard %q", to, buf[:size])
			return
		}
		a.mu.Lock()
		if round == a.round {
			a.heard[direction] = true
		}
		a.mu.Unlock()
	}
}

// speak sends a datagram in every direction.
func (a *air) speak() {
	a.mu.Lock()
	round := a.round
	a.mu.Unlock()
	for _, network := range []string{Public, Heartbeat} {
		for _, from := range []string{"n1", "n2", "n3"} {
			for _, to := range []string{"n1", "n2", "n3"} {
				if from != to {
					text := fmt.Sprintf("%d %s%s%s", round, network[:1], from[1:], to[1:])
					_, _ = a.ends[from+" "+network].WriteToUDPAddrPort([]byte(text), a.addrs[to+" "+network])
				}
			}
		}
	}
}

// directions begins a new round and lists what is heard: it speaks until all of
// want is, and a little longer for what shouldn't be.
func (a *air) directions(want string) string {
	a.t.Helper()
	a.mu.Lock()
	a.round++
	clear(a.heard)
	a.mu.Unlock()
	list := func() string {
		a.mu.Lock()
		defer a.mu.Unlock()
		return strings.Join(slices.Sorted(maps.Keys(a.heard)), " ")
	}
	deadline := time.After(10 * time.Second)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for more := 5; more > 0; {
		a.speak()
		select {
		case <-deadline:
			return list()
		case <-ticker.C:
		}
		missing := slices.ContainsFunc(strings.Fields(want), func(d string) bool { return !strings.Contains(list(), d) })
		if !missing {
			more--
		}
	}
	return list()
}

func TestCuts(t *testing.T) {
	lab := newLab(t, Options{})
	air := newAir(t, lab)
	const everything = "h12 h13 h21 h23 h31 h32 p12 p13 p21 p23 p31 p32"
	check := func(what, want string) {
		t.Helper()
		if got := air.directions(want); got != want {
			t.Errorf("%s: heard %s, want %s", what, got, want)
		}
		if err := lab.Heal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check("before", everything)
	do(lab.Block(t.Context(), "n1", "n2", Heartbeat))
	check("one way", "h13 h21 h23 h31 h32 p12 p13 p21 p23 p31 p32")
	check("healed", everything)
	do(lab.Block(t.Context(), "n1", "n2", ""))
	do(lab.Block(t.Context(), "n2", "n1", ""))
	check("cut", "h13 h23 h31 h32 p13 p23 p31 p32")
	do(lab.BlockAll(t.Context(), "n3", ""))
	check("isolated", "h12 h21 p12 p21")
	do(lab.SetLink(t.Context(), "n2", Public, false))
	n2, _ := lab.Node("n2")
	if out, err := n2.Run(t.Context(), "cat", "/sys/class/net/eth0/carrier"); err != nil || strings.TrimSpace(out) != "0" {
		t.Errorf("the node doesn't notice the lost carrier: %q, %v", out, err)
	}
	check("carrier lost", "h12 h13 h21 h23 h31 h32 p13 p31")
	check("after all", everything)
}
