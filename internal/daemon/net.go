package daemon

import (
	"context"
	"crypto/ecdh"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// openPKI loads the node's credentials.
func (d *Daemon) openPKI() (*ecdh.PrivateKey, error) {
	dir := filepath.Join(d.cfg.StateDir, pkiDir)
	ca, err := pki.LoadCA(dir)
	if err != nil {
		return nil, err
	}
	leaf, err := pki.LoadLeaf(dir)
	if err != nil {
		return nil, err
	}
	d.creds, err = pki.NewCredentials(pki.CredentialsConfig{
		CA: ca, Leaf: leaf,
		ClockDoubt: func(c pki.ClockDoubt) { d.log.Warn(c.Message().Error()) },
	})
	if err != nil {
		return nil, err
	}
	if d.id.Role == cluster.RoleNode {
		if d.ca, err = pki.LoadAuthority(dir); err != nil {
			return nil, err
		}
	}
	return pki.LoadHeartbeatKey(dir)
}

func (d *Daemon) openPaths(key *ecdh.PrivateKey) error {
	hub := d.cfg.Hub
	if hub == nil {
		var err error
		hub, err = commpath.Listen(commpath.ListenConfig{Log: d.log, Clock: clock.Now})
		if err != nil {
			return err
		}
		d.hub = hub
	}
	ep, err := hub.Endpoint(commpath.EndpointConfig{
		ClusterID: d.id.Cluster, Self: d.id.Node, Key: key, TLS: d.creds, Build: d.cfg.Software,
		Paths: commPaths(d.id.Paths), Silence: d.core.State().Detection, Handler: d,
	})
	if err != nil {
		return err
	}
	d.ep = ep
	if d.ca != nil {
		ep.SetJoinHandler(d.handleJoin)
	}
	ep.SetCallHandler(d.handleCall)
	nodes := d.core.State().Nodes
	if len(nodes) == 0 {
		nodes = d.id.Peers
	}
	if err := ep.SetPeers(commPeers(nodes, d.id.Node)); err != nil {
		return err
	}
	return nil
}

// HandleHeartbeat takes a packet off the wire; see commpath.Handler.
func (d *Daemon) HandleHeartbeat(from cluster.NodeID, network string, payload []byte, _ cluster.Instant) {
	beat, ack, err := core.DecodePacket(payload)
	switch {
	case err != nil:
		d.strange(from, err)
	case beat != nil:
		d.postPacket(core.BeatReceived{From: from, Network: network, Beat: beat})
	default:
		d.postPacket(core.AckReceived{From: from, Ack: *ack})
	}
}

// HandleMessage takes a message off a reliable comm path.
func (d *Daemon) HandleMessage(from cluster.NodeID, payload []byte) {
	m, err := core.DecodeMessage(payload)
	if err != nil {
		d.strange(from, err)
		return
	}
	if m.From != from && !m.Relayed {
		d.strange(from, fmt.Errorf("a message of %v that was not relayed", m.From))
		return
	}
	d.post(core.MessageReceived{From: from, Message: m})
}

// HandleEvent logs what happens to comm paths.
func (d *Daemon) HandleEvent(e commpath.Event) {
	if m := e.Message(); m != nil {
		level := slog.LevelWarn
		switch m.Code() {
		case message.PathUp, message.AddressListening:
			level = slog.LevelInfo
		}
		if c, ok := e.(commpath.ConnectionChanged); ok && c.Err == nil {
			level = slog.LevelInfo
		}
		d.log.Log(d.ctx, level, m.Error())
	}
	d.changed.wake()
}

// strange logs a packet that an authentic peer sent and that can't be read, not
// more than once a minute for each peer.
func (d *Daemon) strange(from cluster.NodeID, err error) {
	if d.odd.due(fmt.Sprint(from, err), time.Minute) {
		d.log.Warn("a peer's packet can't be read", "peer", from, "err", err)
	}
}

// followPeers tells the transport of a change of nodes, paths or times.
func (d *Daemon) followPeers(s *cluster.State) {
	if s.Applied == 0 || len(s.Nodes) == 0 {
		return
	}
	if s.Detection != d.timing {
		d.timing = s.Detection
		d.ep.SetTiming(s.Detection)
	}
	sum := ""
	for i := range s.Nodes {
		n := &s.Nodes[i]
		sum += fmt.Sprint(n.ID, n.Paths, len(n.HeartbeatKey), ";")
	}
	if sum == d.peers {
		return
	}
	d.peers = sum
	d.keepPeers(s)
	if err := d.ep.SetPeers(commPeers(s.Nodes, d.id.Node)); err != nil {
		d.log.Error("set the peers", "err", err)
	}
	if me := s.Node(d.id.Node); me != nil && len(me.Paths) > 0 && fmt.Sprint(me.Paths) != fmt.Sprint(d.id.Paths) {
		if err := d.ep.SetPaths(commPaths(me.Paths)); err != nil {
			d.log.Error("set this node's comm paths", "err", err)
			return
		}
		d.id.Paths = me.Paths
		d.keepPeers(s)
	}
}

// keepPeers remembers whom to ask if the log is ever lost.
func (d *Daemon) keepPeers(s *cluster.State) {
	d.id.Peers = d.id.Peers[:0:0]
	for _, n := range s.Nodes {
		if n.ID != d.id.Node && !n.Lost {
			d.id.Peers = append(d.id.Peers, n)
		}
	}
	id := *d.id
	d.group.Go(func() { // beside the loop, which waits for no disk
		d.idFile.Lock()
		defer d.idFile.Unlock()
		if err := id.save(d.cfg.StateDir); err != nil {
			d.log.Error("keep the list of peers", "err", err)
		}
	})
}

// renewLeaf renews the node's certificate by itself when a third of its life
// remains. A witness asks a node, because it doesn't hold the CA's key.
func (d *Daemon) renewLeaf() {
	tick := time.NewTicker(time.Hour)
	defer tick.Stop()
	for {
		if err := d.renewLeafOnce(); err != nil {
			d.log.Warn("renew this node's certificate", "err", err)
		}
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Daemon) renewLeafOnce() error {
	dir := filepath.Join(d.cfg.StateDir, pkiDir)
	leaf, err := pki.LoadLeaf(dir)
	if err != nil {
		return err
	}
	if !leaf.RenewDue(time.Now()) {
		return nil
	}
	if d.ca != nil {
		leaf, err = d.ca.Issue(leaf.Identity, time.Now())
	} else {
		leaf, err = d.askLeaf(leaf.Identity)
	}
	if err != nil {
		return err
	}
	if err := leaf.Save(dir); err != nil {
		return err
	}
	return d.creds.Renew(leaf)
}

// askLeaf has a node sign a new certificate for this witness.
func (d *Daemon) askLeaf(id pki.Identity) (*pki.Leaf, error) {
	key, request, err := pki.NewRequest(id.Name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(d.ctx, 30*time.Second)
	defer cancel()
	var last error = message.New(message.NoLeaderYet)
	for _, n := range d.view.Load().state.Nodes {
		if n.Role != cluster.RoleNode {
			continue
		}
		answer, err := d.ep.Call(ctx, n.ID, encodeCall(callSign, request))
		if err != nil {
			last = err
			continue
		}
		cert, err := parseCertificate(answer)
		if err != nil {
			return nil, err
		}
		return pki.NewLeaf(cert, key)
	}
	return nil, last
}
