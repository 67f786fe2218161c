package commpath

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/pki"
)

// duo is two nodes of one cluster on loopback, with certificates.
type duo struct {
	ca    *pki.Authority
	hubs  [2]*Hub
	eps   [2]*Endpoint
	recs  [2]*recorder
	paths [2][]Path
	udp   cuts
	tcp   stalls
}

const duoSilence = 300 * time.Millisecond

func credentials(t testing.TB, ca *pki.Authority, id cluster.NodeID) *pki.Credentials {
	t.Helper()
	leaf, err := ca.Issue(pki.Identity{Cluster: ca.Cluster, Node: id, Name: "node-" + id.String()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.NewCredentials(pki.CredentialsConfig{CA: ca.Cert, Leaf: leaf})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(t testing.TB) *pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority("blue", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// newDuo makes the nodes 1 and 2 with the networks, the first with the best
// priority. change may alter the second node's configuration.
func newDuo(t testing.TB, change func(*EndpointConfig), networks ...string) *duo {
	t.Helper()
	d := &duo{ca: authority(t)}
	d.make(t, change, networks...)
	return d
}

func (d *duo) make(t testing.TB, change func(*EndpointConfig), networks ...string) {
	t.Helper()
	var all []string
	for i := range 2 * len(networks) {
		all = append(all, fmt.Sprintf("127.0.0.%d", i+1))
	}
	port := freePort(t, all...)
	for i := range d.eps {
		for n, name := range networks {
			d.paths[i] = append(d.paths[i], Path{Network: name, Priority: n, Address: addrPort(all[2*n+i], port)})
		}
		d.recs[i] = newRecorder()
		d.hubs[i] = listen(t, ListenConfig{WrapPacketConn: d.udp.wrap, wrapConn: d.tcp.wrap})
		id := cluster.NodeID(i + 1)
		cfg := EndpointConfig{
			ClusterID: "blue", Self: id, Key: nodeKey(id), TLS: credentials(t, d.ca, id), Build: "1.0",
			Paths: d.paths[i], Silence: duoSilence, Handler: d.recs[i],
		}
		if i == 1 && change != nil {
			change(&cfg)
		}
		d.eps[i] = endpoint(t, d.hubs[i], cfg)
	}
}

// introduce makes them peers and waits until the paths are up.
func (d *duo) introduce(t testing.TB) {
	t.Helper()
	for i, ep := range d.eps {
		other := cluster.NodeID(2 - i)
		if err := ep.SetPeers([]Peer{{ID: other, HeartbeatKey: publicKey(nodeKey(other)), Paths: d.paths[1-i]}}); err != nil {
			t.Fatal(err)
		}
	}
	beat(t, duoSilence/20, d.eps[0], d.eps[1])
	for _, p := range d.paths[0] {
		waitFor(t, "paths to be up", func() bool {
			return pathState(d.eps[0], 2, p.Network) == StateUp && pathState(d.eps[1], 1, p.Network) == StateUp
		})
	}
}

func (d *duo) connected(i int) (string, bool) {
	all := d.eps[i].Connections()
	if len(all) != 1 {
		return "", false
	}
	return all[0].Network, all[0].Connected
}

func (r *recorder) got(payload string) func() bool {
	return func() bool { return slices.ContainsFunc(r.msgs, func(h heard) bool { return h.payload == payload }) }
}

// stalls makes TCP connections of a local address stand still: what is written
// goes nowhere and nothing is said of it, as when a cable is pulled.
type stalls struct {
	mu sync.Mutex
	at map[netip.Addr]bool
}

func (s *stalls) set(a netip.Addr, stalled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = make(map[netip.Addr]bool)
	}
	s.at[a] = stalled
}

func (s *stalls) wrap(c net.Conn) net.Conn { return &stallConn{c, s} }

type stallConn struct {
	net.Conn
	s *stalls
}

func (c *stallConn) Write(b []byte) (int, error) {
	a := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	c.s.mu.Lock()
	stalled := c.s.at[a]
	c.s.mu.Unlock()
	if stalled {
		return len(b), nil
	}
	return c.Conn.Write(b)
}
