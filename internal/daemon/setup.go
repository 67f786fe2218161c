package daemon

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
	"github.com/perdure-ha/perdure/internal/wal"
	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// InitOptions describe a new cluster and its first node.
type InitOptions struct {
	StateDir    string
	ClusterName string
	NodeName    string
	Paths       []cluster.Path
	Detection   time.Duration // 0: balanced
	Software    string
}

// Init makes a new cluster of one node in an empty state directory. Nothing is
// left there if it fails, but for empty directories.
func Init(o InitOptions) (*Identity, error) {
	if err := check(o.NodeName, o.Paths); err != nil {
		return nil, err
	}
	if err := here(o.Paths); err != nil {
		return nil, err
	}
	if o.Detection == 0 {
		o.Detection = cluster.DetectionBalanced
	}
	if err := cluster.CheckDetection(o.Detection, 0); err != nil {
		return nil, api.Unsafe(err)
	}
	if err := fresh(o.StateDir); err != nil {
		return nil, err
	}
	var raw [16]byte
	rand.Read(raw[:]) // never fails, see crypto/rand
	id := &Identity{Cluster: hex.EncodeToString(raw[:]), Node: 1, Name: o.NodeName, Role: cluster.RoleNode, Paths: o.Paths}
	ca, err := pki.NewAuthority(id.Cluster, time.Now())
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(o.StateDir, pkiDir)
	leaf, err := ca.Issue(pki.Identity{Cluster: id.Cluster, Node: id.Node, Name: id.Name}, time.Now())
	if err != nil {
		return nil, err
	}
	key, err := pki.NewHeartbeatKey()
	if err != nil {
		return nil, err
	}
	public := pki.HeartbeatPublic(key)
	for _, save := range []func() error{
		func() error { return ca.Save(dir) },
		func() error { return pki.SaveCA(dir, ca.Cert) },
		func() error { return leaf.Save(dir) },
		func() error { return pki.SaveHeartbeatKey(dir, key) },
	} {
		if err := save(); err != nil {
			return nil, err
		}
	}
	s := cluster.New(id.Cluster, o.ClusterName, cluster.AddNode{
		Name: id.Name, Role: id.Role, Paths: id.Paths, HeartbeatKey: public[:], Software: o.Software, Protocol: core.Protocol,
	}, time.Now().UnixMilli())
	s.Detection, s.Ceiling = o.Detection, o.Detection
	first := core.Genesis(s)
	err = makeLog(o.StateDir, id, wal.Update{HardState: first.HardState, Snapshot: first.Snapshot, Sync: true})
	if err != nil {
		return nil, err
	}
	return id, id.save(o.StateDir) // last: with it the node is in the cluster
}

func check(name string, paths []cluster.Path) error {
	if !cluster.ValidName(name) {
		return message.New(message.RefusedBadName, name)
	}
	return CheckPaths(paths)
}

// makeLog makes the log of a new node, with its first contents if there are.
func makeLog(stateDir string, id *Identity, first wal.Update) error {
	dir := filepath.Join(stateDir, logDir)
	l, err := wal.Create(walfs.OS(), dir, wal.Identity{Cluster: id.Cluster, Node: uint64(id.Node)})
	if err != nil {
		return message.New(message.LogInUse, dir, err).Wrap(err)
	}
	if first.Snapshot != nil {
		err = l.Save(first)
	}
	if closed := l.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return message.New(message.LogInUse, dir, err).Wrap(err)
	}
	return nil
}

// JoinOptions describe a node that joins.
type JoinOptions struct {
	StateDir string
	Token    string
	NodeName string
	Role     cluster.Role
	Paths    []cluster.Path
	Software string
}

// joinRequest is what a joiner sends; format 1.
type joinRequest struct {
	Version      int            `json:"version"`
	Secret       []byte         `json:"secret"`
	Name         string         `json:"name"`
	Role         cluster.Role   `json:"role"`
	Paths        []cluster.Path `json:"paths"`
	HeartbeatKey []byte         `json:"heartbeat_key"`
	// Request is a certificate signing request (PKCS #10, DER).
	Request  []byte `json:"request"`
	Software string `json:"software"`
	Protocol int    `json:"protocol"`
}

// joinAnswer is what it gets.
type joinAnswer struct {
	Version     int            `json:"version"`
	Cluster     string         `json:"cluster"`
	ClusterName string         `json:"cluster_name"`
	Node        cluster.NodeID `json:"node"`
	CA          []byte         `json:"ca"` // DER
	Certificate []byte         `json:"certificate"`
	// Authority is the CA with its key, for nodes; empty for witnesses.
	Authority []byte         `json:"authority,omitempty"`
	Nodes     []cluster.Node `json:"nodes"`
}

// Join makes this machine a node of the token's cluster. The daemon does the
// rest when it is started.
func Join(ctx context.Context, o JoinOptions) (*Identity, error) {
	token, err := pki.ParseToken(o.Token)
	if err != nil {
		return nil, err
	}
	if err := check(o.NodeName, o.Paths); err != nil {
		return nil, err
	}
	if err := here(o.Paths); err != nil {
		return nil, err
	}
	if err := fresh(o.StateDir); err != nil {
		return nil, err
	}
	key, request, err := pki.NewRequest(o.NodeName)
	if err != nil {
		return nil, err
	}
	hb, err := pki.NewHeartbeatKey()
	if err != nil {
		return nil, err
	}
	public := pki.HeartbeatPublic(hb)
	body, err := json.Marshal(joinRequest{
		Version: 1, Secret: token.Secret[:], Name: o.NodeName, Role: o.Role, Paths: o.Paths,
		HeartbeatKey: public[:], Request: request, Software: o.Software, Protocol: core.Protocol,
	})
	if err != nil {
		return nil, err
	}
	raw, err := commpath.JoinCall(ctx, commpath.JoinTarget{
		ClusterID: token.Cluster, Build: o.Software,
		Addresses: token.Addresses, TLS: pki.PinConfig(token.Cluster, token.CAPin, time.Now),
	}, body)
	if err != nil {
		return nil, err
	}
	var a joinAnswer
	if err := json.Unmarshal(raw, &a); err != nil {
		return nil, message.New(message.JoinRefused, "unreadable answer").Wrap(err)
	}
	ca, err := pki.ParseCA(a.CA, token.CAPin)
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(a.Certificate)
	if err != nil {
		return nil, err
	}
	leaf, err := pki.NewLeaf(cert, key)
	if err != nil {
		return nil, err
	}
	id := &Identity{Cluster: a.Cluster, Node: a.Node, Name: o.NodeName, Role: o.Role, Paths: o.Paths, Peers: a.Nodes}
	dir := filepath.Join(o.StateDir, pkiDir)
	if len(a.Authority) > 0 {
		if err := saveAuthority(dir, a.Authority); err != nil {
			return nil, err
		}
	}
	if err := pki.SaveCA(dir, ca); err != nil {
		return nil, err
	}
	if err := leaf.Save(dir); err != nil {
		return nil, err
	}
	if err := pki.SaveHeartbeatKey(dir, hb); err != nil {
		return nil, err
	}
	if err := makeLog(o.StateDir, id, wal.Update{}); err != nil {
		return nil, err
	}
	return id, id.save(o.StateDir)
}
