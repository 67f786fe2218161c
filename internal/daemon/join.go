package daemon

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
	"github.com/perdure-ha/perdure/internal/platform/durable"
)

func secretHash(secret [16]byte) string {
	h := pki.SecretHash(secret)
	return hex.EncodeToString(h[:])
}

// handleJoin answers a machine that wants to join. All that it says is checked
// by the cluster when the command is applied; the secret is the only proof.
func (d *Daemon) handleJoin(ctx context.Context, body []byte, from netip.AddrPort) ([]byte, error) {
	answer, err := d.join(ctx, body)
	if err != nil {
		d.log.Warn("a join was refused", "from", from, "err", err)
		return nil, textOf(err)
	}
	return answer, nil
}

func (d *Daemon) join(ctx context.Context, body []byte) ([]byte, error) {
	var q joinRequest
	if err := json.Unmarshal(body, &q); err != nil || q.Version != 1 || len(q.Secret) != 16 || len(q.HeartbeatKey) != 32 {
		return nil, message.New(message.JoinRefused, "request of another version")
	}
	if q.Role != cluster.RoleNode && q.Role != cluster.RoleWitness {
		return nil, message.New(message.JoinRefused, "role "+string(q.Role))
	}
	if err := check(q.Name, q.Paths); err != nil {
		return nil, err
	}
	if err := d.shares(q.Paths); err != nil {
		return nil, err
	}
	hash := pki.SecretHash([16]byte(q.Secret))
	res, err := d.Propose(ctx, cluster.Command{
		By: q.Name,
		AddNode: &cluster.AddNode{
			Name: q.Name, Role: q.Role, Paths: q.Paths, HeartbeatKey: q.HeartbeatKey,
			TokenHash: hex.EncodeToString(hash[:]), NowUnix: time.Now().Unix(), Software: q.Software, Protocol: q.Protocol,
		},
	})
	if err != nil {
		return nil, err
	}
	if res.Refused() {
		return nil, message.Reason(res.Refusal).Err()
	}
	a := joinAnswer{Version: 1, Cluster: d.id.Cluster, Node: res.Node, CA: d.creds.CA().Raw}
	cert, err := d.ca.Sign(q.Request, pki.Identity{Cluster: d.id.Cluster, Node: res.Node, Name: q.Name}, time.Now())
	if err != nil {
		return nil, err
	}
	a.Certificate = cert.Raw
	if q.Role == cluster.RoleNode {
		if a.Authority, err = os.ReadFile(filepath.Join(d.cfg.StateDir, pkiDir, pki.AuthorityFile)); err != nil {
			return nil, message.New(message.IdentityUnreadable, pki.AuthorityFile, err).Wrap(err)
		}
	}
	s := d.State()
	a.ClusterName = s.Name
	for _, n := range s.Nodes {
		if n.ID != res.Node {
			a.Nodes = append(a.Nodes, n)
		}
	}
	return json.Marshal(a)
}

// shares refuses a node that has no network in common with this one: it would
// be in the cluster and hear nobody.
func (d *Daemon) shares(paths []cluster.Path) error {
	var have []string
	for _, p := range d.id.Paths {
		have = append(have, p.Network)
		for _, q := range paths {
			if p.Network == q.Network {
				return nil
			}
		}
	}
	return message.New(message.NoSharedNetwork, have)
}

// saveAuthority keeps the CA with its key as [pki.LoadAuthority] reads it.
func saveAuthority(dir string, key []byte) error {
	path := filepath.Join(dir, pki.AuthorityFile)
	if err := durable.WriteFile(path, key, 0o600); err != nil {
		return message.New(message.IdentityUnreadable, path, err).Wrap(err)
	}
	return nil
}

func parseCertificate(der []byte) (*x509.Certificate, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, message.New(message.JoinRefused, "unreadable certificate").Wrap(err)
	}
	return cert, nil
}

// Kinds of calls between nodes; the first byte of a request.
const (
	callVersion = 1
	callRejoin  = 'r' // a node lost its log: a rejoinRequest follows
	callSign    = 's' // a witness wants a new certificate: a signing request follows
)

func encodeCall(kind byte, body []byte) []byte { return append([]byte{callVersion, kind}, body...) }

// handleCall answers a peer.
func (d *Daemon) handleCall(ctx context.Context, from cluster.NodeID, request []byte) ([]byte, error) {
	if len(request) < 2 || request[0] != callVersion {
		return nil, message.New(message.JoinRefused, "call of another version")
	}
	switch request[1] {
	case callRejoin:
		return d.giveNewID(ctx, from, request[2:])
	case callSign:
		n := d.State().Node(from)
		if n == nil || d.ca == nil {
			return nil, message.New(message.RefusedUnknownNode, from)
		}
		cert, err := d.ca.Sign(request[2:], pki.Identity{Cluster: d.id.Cluster, Node: n.ID, Name: n.Name}, time.Now())
		if err != nil {
			return nil, err
		}
		return cert.Raw, nil
	}
	return nil, message.New(message.JoinRefused, "call of another kind")
}
