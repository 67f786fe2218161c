package commpath

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/pki"
)

// TestStrangersByTCP: who isn't a peer gets nothing, whatever it shows.
func TestStrangersByTCP(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.introduce(t)
	at := d.paths[1][0].Address.String()
	outsider := authority(t)
	for _, tt := range []struct {
		name  string
		proto string
		cfg   *tls.Config
	}{
		{"no certificate", protoMessages, pki.PinConfig("blue", pki.Pin(d.ca.Cert), nil)},
		{"another CA's certificate", protoMessages, credentials(t, outsider, 1).PeerConfig()},
		{"a node that was removed", protoMessages, credentials(t, d.ca, 9).PeerConfig()},
		{"a removed node's call", protoCall, credentials(t, d.ca, 9).PeerConfig()},
		{"another program", "h2", pki.PinConfig("blue", pki.Pin(d.ca.Cert), nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tt.cfg
			cfg.NextProtos, cfg.ServerName = []string{tt.proto}, serverName(clusterHash("blue"))
			if strings.HasPrefix(tt.name, "another CA") {
				cfg.VerifyConnection = nil // so that it gets to show its own
			}
			raw, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", at, cfg)
			if err != nil {
				return
			}
			defer raw.Close()
			c := newConn(raw, time.Second)
			h := hello{Min: 1, Max: 1, Cluster: "blue", Node: 1}
			if err := c.greet(h, 5*time.Second); err != nil {
				return
			}
			c.write(frameMessage, []byte("intruder"), true)
			if ft, _, err := c.read(5*time.Second, maxHello); err == nil {
				t.Errorf("got a frame of type %d", ft)
			}
		})
	}
	if err := d.eps[0].Send(2, []byte("friend")); err != nil {
		t.Fatal(err)
	}
	d.recs[1].await(t, "the friend", d.recs[1].got("friend"))
	if d.recs[1].got("intruder")() {
		t.Error("a stranger's message was delivered")
	}
}

// TestRemovedPeer: a node that leaves the configuration is cut off at once.
func TestRemovedPeer(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.introduce(t)
	waitFor(t, "connections", func() bool {
		_, a := d.connected(0)
		_, b := d.connected(1)
		return a && b
	})
	if err := d.eps[1].SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the connection to be cut", func() bool { _, ok := d.connected(0); return !ok })
	if err := d.eps[0].Send(2, []byte("late")); err != nil {
		t.Fatal(err)
	}
	if len(d.eps[1].Connections()) != 0 {
		t.Error("still connected to a removed node")
	}
	if err := d.eps[1].Send(1, nil); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("got %v", err)
	}
}

// TestWrongNode: the address of node 2 is answered by node 3.
func TestWrongNode(t *testing.T) {
	d := &duo{ca: authority(t)}
	d.make(t, func(cfg *EndpointConfig) { cfg.Self, cfg.TLS = 3, credentials(t, d.ca, 3) }, "lan")
	if err := d.eps[0].SetPeers([]Peer{{ID: 2, HeartbeatKey: publicKey(nodeKey(2)), Paths: d.paths[1]}}); err != nil {
		t.Fatal(err)
	}
	d.recs[0].await(t, "the reason", func() bool {
		return hasEvent(d.recs[0], func(e ConnectionChanged) bool {
			return !e.Connected && strings.Contains(e.Err.Error(), "node n3 answers there")
		})
	})
}

// TestSilentCallers: strangers who connect and say nothing are bounded, and keep
// no peer out.
func TestSilentCallers(t *testing.T) {
	d := newDuo(t, nil, "lan")
	at := d.paths[1][0].Address.String()
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 99)}, Timeout: 5 * time.Second}
	for range mostFromOneHost + 1 {
		c, err := stranger.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	waitFor(t, "one too many to be turned away", func() bool { return d.hubs[1].Drops()["handshake"] > 0 })
	d.introduce(t)
	waitFor(t, "the peer to be let in", func() bool { _, ok := d.connected(0); return ok })
}
