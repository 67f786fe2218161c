package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/durable"
	"github.com/perdure-ha/perdure/internal/wal"
)

// A node whose log was lost, is damaged or has gone back must not go on under
// its id: it may have forgotten votes and promises. Its certificate still
// proves who it is, so it asks a peer for a new id and begins anew with that.
//
// The new state is prepared beside the old one and then moved into its place,
// node.json last. A crash in between is finished at the next start.
const (
	freshDir = "rejoin"  // the new state while it is prepared
	oldDir   = "damaged" // what was there, for whoever wants to look
	goneBack = "log-went-back"
	// rejoinEvery is the pause between two rounds of asking all peers.
	rejoinEvery = 2 * time.Second
	// rejoinCall bounds one question.
	rejoinCall = 15 * time.Second
)

// errRejoined ends a daemon that got a new id: the next one starts with it.
var errRejoined = errors.New("rejoined under a new id")

// rejoinRequest is what a node sends that lost its log; format 1.
type rejoinRequest struct {
	Version      int    `json:"version"`
	HeartbeatKey []byte `json:"heartbeat_key"`
	Request      []byte `json:"request"`
	Software     string `json:"software"`
	Protocol     int    `json:"protocol"`
}

// markGoneBack makes the next start rejoin.
func (d *Daemon) markGoneBack(err error) {
	path := filepath.Join(d.cfg.StateDir, goneBack)
	if e := durable.WriteFile(path, []byte(err.Error()+"\n"), 0o600); e != nil {
		d.log.Error("mark the log as gone back", "err", e)
	}
}

// mustRejoin says why this node can't go on with its log; nil: it can.
func (d *Daemon) mustRejoin(open error) error {
	if b, err := os.ReadFile(filepath.Join(d.cfg.StateDir, goneBack)); err == nil {
		return errors.New(string(b))
	}
	if errors.Is(open, wal.ErrCorrupt) || errors.Is(open, wal.ErrNoLog) {
		return open
	}
	return nil
}

// rejoin leaves nothing running here, gets a new id from a peer, and returns
// errRejoined.
func (d *Daemon) rejoin(why error) error {
	if len(d.id.Peers) == 0 {
		return message.New(message.LogDamaged, filepath.Join(d.cfg.StateDir, logDir), why, d.id.Name).Wrap(why)
	}
	d.log.Error(message.New(message.Rejoining, d.id.Name, why).Error())
	if d.cfg.Guard != nil {
		ctx, cancel := context.WithTimeout(d.ctx, resetTimeout)
		defer cancel()
		if _, err := d.cfg.Guard.Reset(ctx); err != nil {
			return message.New(message.ResetFailed, err).Wrap(err)
		}
	}
	key, err := d.openPKI()
	if err != nil {
		return err
	}
	hub := d.cfg.Hub
	if hub == nil {
		if hub, err = commpath.Listen(commpath.ListenConfig{Log: d.log, Clock: clock.Now}); err != nil {
			return err
		}
		defer hub.Close()
	}
	ep, err := hub.Endpoint(commpath.EndpointConfig{
		ClusterID: d.id.Cluster, Self: d.id.Node, Key: key, TLS: d.creds, Build: d.cfg.Software,
		Paths: commPaths(d.id.Paths), Handler: deaf{},
	})
	if err != nil {
		return err
	}
	defer ep.Close()
	if err := ep.SetPeers(commPeers(d.id.Peers, d.id.Node)); err != nil {
		return err
	}
	leafKey, request, err := pki.NewRequest(d.id.Name)
	if err != nil {
		return err
	}
	public := pki.HeartbeatPublic(key)
	body, err := json.Marshal(rejoinRequest{Version: 1, HeartbeatKey: public[:], Request: request, Software: d.cfg.Software, Protocol: core.Protocol})
	if err != nil {
		return err
	}
	a, err := d.askRejoin(ep, body)
	if err != nil {
		return err
	}
	cert, err := parseCertificate(a.Certificate)
	if err != nil {
		return err
	}
	leaf, err := pki.NewLeaf(cert, leafKey)
	if err != nil {
		return err
	}
	id := &Identity{Cluster: d.id.Cluster, Node: a.Node, Name: d.id.Name, Role: d.id.Role, Paths: d.id.Paths, Peers: a.Nodes}
	if err := d.prepare(id, leaf); err != nil {
		return err
	}
	if err := finishRejoin(d.cfg.StateDir); err != nil {
		return err
	}
	d.log.Warn(message.New(message.Rejoined, id.Name, id.Node).Error())
	return errRejoined
}

// askRejoin asks all nodes in turn until one answers or the daemon ends.
func (d *Daemon) askRejoin(ep *commpath.Endpoint, body []byte) (*joinAnswer, error) {
	tick := time.NewTicker(rejoinEvery)
	defer tick.Stop()
	for {
		for _, n := range d.id.Peers {
			if n.Role != cluster.RoleNode || n.ID == d.id.Node {
				continue
			}
			ctx, cancel := context.WithTimeout(d.ctx, rejoinCall)
			raw, err := ep.Call(ctx, n.ID, encodeCall(callRejoin, body))
			cancel()
			if err != nil {
				d.log.Warn("ask for a new id", "peer", n.Name, "err", err)
				continue
			}
			a := new(joinAnswer)
			if err := json.Unmarshal(raw, a); err != nil {
				return nil, message.New(message.JoinRefused, "unreadable answer").Wrap(err)
			}
			return a, nil
		}
		select {
		case <-d.ctx.Done():
			return nil, context.Cause(d.ctx)
		case <-tick.C:
		}
	}
}

// prepare writes the whole new state beside the old one, node.json last.
func (d *Daemon) prepare(id *Identity, leaf *pki.Leaf) error {
	dir := filepath.Join(d.cfg.StateDir, freshDir)
	if err := os.RemoveAll(dir); err != nil {
		return message.New(message.IdentityUnreadable, dir, err).Wrap(err)
	}
	if err := fresh(dir); err != nil {
		return err
	}
	// Everything but the leaf stays as it is.
	from, to := filepath.Join(d.cfg.StateDir, pkiDir), filepath.Join(dir, pkiDir)
	for _, name := range []string{pki.AuthorityFile, pki.CAFile, pki.HeartbeatFile} {
		b, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a witness doesn't hold the CA's key
		}
		if err == nil {
			err = durable.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			return message.New(message.IdentityUnreadable, name, err).Wrap(err)
		}
	}
	if err := leaf.Save(to); err != nil {
		return err
	}
	if err := makeLog(dir, id, wal.Update{}); err != nil {
		return err
	}
	return id.save(dir)
}

// finishRejoin moves a completely prepared state into its place. It may be
// called again after a crash.
func finishRejoin(stateDir string) error {
	from := filepath.Join(stateDir, freshDir)
	if _, err := os.Stat(filepath.Join(from, identityFile)); err != nil {
		return nil // none, or not complete: it is made anew
	}
	damaged := filepath.Join(stateDir, oldDir)
	if err := os.MkdirAll(damaged, 0o700); err != nil {
		return message.New(message.IdentityUnreadable, damaged, err).Wrap(err)
	}
	_ = os.Remove(filepath.Join(stateDir, goneBack)) // it was about the old log
	for _, name := range []string{logDir, pkiDir, identityFile} {
		if _, err := os.Lstat(filepath.Join(from, name)); err != nil {
			continue // moved before the crash
		}
		err := os.RemoveAll(filepath.Join(damaged, name))
		if err == nil {
			err = os.Rename(filepath.Join(stateDir, name), filepath.Join(damaged, name))
			if errors.Is(err, fs.ErrNotExist) {
				err = nil
			}
		}
		if err == nil {
			err = durable.Rename(filepath.Join(from, name), filepath.Join(stateDir, name))
		}
		if err != nil {
			return message.New(message.IdentityUnreadable, filepath.Join(stateDir, name), err).Wrap(err)
		}
	}
	return os.RemoveAll(from)
}

// giveNewID answers a peer that lost its log.
func (d *Daemon) giveNewID(ctx context.Context, from cluster.NodeID, body []byte) ([]byte, error) {
	var q rejoinRequest
	if err := json.Unmarshal(body, &q); err != nil || q.Version != 1 || len(q.HeartbeatKey) != 32 || d.ca == nil {
		return nil, message.New(message.JoinRefused, "request of another version")
	}
	res, err := d.Propose(ctx, cluster.Command{
		By:     d.State().NodeName(from),
		Reason: cluster.Because(message.Rejoining, d.State().NodeName(from), "log lost"),
		Rejoin: &cluster.Rejoin{Old: from, HeartbeatKey: q.HeartbeatKey, Software: q.Software, Protocol: q.Protocol},
	})
	if err != nil {
		return nil, err
	}
	if res.Refused() {
		return nil, message.Reason(res.Refusal).Err()
	}
	s, err := d.stateWith(ctx, res.Node)
	if err != nil {
		return nil, err
	}
	cert, err := d.ca.Sign(q.Request, pki.Identity{Cluster: d.id.Cluster, Node: res.Node, Name: s.NodeName(res.Node)}, time.Now())
	if err != nil {
		return nil, err
	}
	a := joinAnswer{Version: 1, Cluster: d.id.Cluster, ClusterName: s.Name, Node: res.Node, Certificate: cert.Raw}
	for _, n := range s.Nodes {
		if n.ID != res.Node && !n.Lost {
			a.Nodes = append(a.Nodes, n)
		}
	}
	return json.Marshal(a)
}

// stateWith waits until the state that is shown has the node: the outcome of a
// command may be known a moment earlier.
func (d *Daemon) stateWith(ctx context.Context, id cluster.NodeID) (*cluster.State, error) {
	for {
		changed := d.Changed()
		if s := d.State(); s.Node(id) != nil {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-d.ctx.Done():
			return nil, context.Cause(d.ctx)
		}
	}
}

// deaf hears nothing: a node that rejoins takes part in nothing.
type deaf struct{}

func (deaf) HandleHeartbeat(cluster.NodeID, string, []byte, cluster.Instant) {}
func (deaf) HandleMessage(cluster.NodeID, []byte)                            {}
func (deaf) HandleEvent(commpath.Event)                                      {}
