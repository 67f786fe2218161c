package daemon

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/durable"
)

// Files below the state directory.
const (
	identityFile = "node.json"
	logDir       = "log"
	pkiDir       = "pki"
)

// identityVersion is the format of node.json.
const identityVersion = 1

// Identity is who this node is, and whom it asks first. It is written once, at
// init or join.
type Identity struct {
	Version int            `json:"version"`
	Cluster string         `json:"cluster"`
	Node    cluster.NodeID `json:"node"`
	Name    string         `json:"name"`
	Role    cluster.Role   `json:"role"`
	Paths   []cluster.Path `json:"paths"`
	// Peers are the nodes as they were known at the join: enough to be found
	// by the leader. The replicated state replaces them.
	Peers []cluster.Node `json:"peers,omitempty"`
}

// loadIdentity reads who this node is.
func loadIdentity(dir string) (*Identity, error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, message.New(message.NotInCluster, dir)
	}
	if err != nil {
		return nil, message.New(message.IdentityUnreadable, path, err).Wrap(err)
	}
	id := new(Identity)
	if err := json.Unmarshal(b, id); err != nil {
		return nil, message.New(message.IdentityUnreadable, path, err).Wrap(err)
	}
	if id.Version != identityVersion || id.Cluster == "" || id.Node == 0 {
		return nil, message.New(message.IdentityUnreadable, path, "not of this version")
	}
	return id, nil
}

func (id *Identity) save(dir string) error {
	id.Version = identityVersion
	b, err := json.MarshalIndent(id, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, identityFile)
	if err := durable.WriteFile(path, append(b, '\n'), 0o600); err != nil {
		return message.New(message.IdentityUnreadable, path, err).Wrap(err)
	}
	return nil
}

// fresh refuses a state directory that belongs to a cluster already.
func fresh(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err == nil {
		return message.New(message.AlreadyInCluster, dir)
	}
	for _, d := range []string{dir, filepath.Join(dir, logDir), filepath.Join(dir, pkiDir)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return message.New(message.NoRoomToJoin, dir, err).Wrap(err)
		}
	}
	return roomIn(dir)
}

// firstNeed is what a new node writes at once: the first segment of its log,
// keys and certificates.
const firstNeed = 2 << 20

// roomIn tries whether a new node's state can be written, before anything is
// asked of a cluster: a token is good once.
func roomIn(dir string) error {
	path := filepath.Join(dir, ".room")
	err := os.WriteFile(path, make([]byte, firstNeed), 0o600)
	if rm := os.Remove(path); err == nil {
		err = rm
	}
	if err != nil {
		return message.New(message.NoRoomToJoin, dir, err).Wrap(err)
	}
	return nil
}

// here refuses comm paths that end at addresses of other machines.
func here(paths []cluster.Path) error {
	for _, p := range paths {
		ap, err := netip.ParseAddrPort(p.Address)
		if err != nil {
			return message.New(message.PathAddressBad, p.Network, p.Address)
		}
		l, err := net.Listen("tcp", netip.AddrPortFrom(ap.Addr(), 0).String())
		if err != nil {
			return message.New(message.AddressNotHere, p.Network, ap.Addr()).Wrap(err)
		}
		_ = l.Close()
	}
	return nil
}

// CheckPaths completes the comm paths that a person gave, and refuses what
// can't work.
func CheckPaths(paths []cluster.Path) error {
	if len(paths) == 0 {
		return message.New(message.NoPaths)
	}
	seen := make(map[string]bool)
	for i := range paths {
		p := &paths[i]
		if !cluster.ValidName(p.Network) {
			return message.New(message.RefusedBadName, p.Network)
		}
		ap, err := netip.ParseAddrPort(p.Address)
		if err != nil {
			a, err := netip.ParseAddr(p.Address)
			if err != nil {
				return message.New(message.PathAddressBad, p.Network, p.Address)
			}
			ap = netip.AddrPortFrom(a, commpath.DefaultPort)
		}
		if !ap.Addr().IsValid() || ap.Addr().IsUnspecified() || ap.Addr().IsMulticast() || ap.Port() == 0 {
			return message.New(message.PathAddressBad, p.Network, p.Address)
		}
		p.Address = ap.String()
		if seen[p.Network] || seen[p.Address] {
			return message.New(message.PathTwice, p.Network, p.Address)
		}
		seen[p.Network], seen[p.Address] = true, true
		if p.Priority == 0 {
			p.Priority = i + 1
		}
	}
	return nil
}

// commPaths converts paths for the transport; what can't be parsed was refused
// earlier and is left out.
func commPaths(paths []cluster.Path) []commpath.Path {
	var out []commpath.Path
	for _, p := range paths {
		if ap, err := netip.ParseAddrPort(p.Address); err == nil {
			out = append(out, commpath.Path{Network: p.Network, Address: ap, Priority: p.Priority})
		}
	}
	return out
}

// commPeers converts the other nodes for the transport.
func commPeers(nodes []cluster.Node, self cluster.NodeID) []commpath.Peer {
	var out []commpath.Peer
	for i := range nodes {
		n := &nodes[i]
		if n.ID == self || len(n.HeartbeatKey) != 32 {
			continue
		}
		p := commpath.Peer{ID: n.ID, Paths: commPaths(n.Paths)}
		copy(p.HeartbeatKey[:], n.HeartbeatKey)
		out = append(out, p)
	}
	return out
}
