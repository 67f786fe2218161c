package commpath

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// SetPaths sets this node's own comm paths and binds their addresses. Nothing
// changes when it fails.
func (ep *Endpoint) SetPaths(paths []Path) error {
	paths, err := cleanPaths(paths)
	if err != nil {
		return err
	}
	old, err := ep.replaceOwn(paths)
	// A socket is let go only when nothing uses it any more. This waits for its
	// goroutine, which may be waiting for us: not under the lock.
	for _, o := range old {
		ep.hub.release(o.slot)
	}
	return err
}

func (ep *Endpoint) replaceOwn(paths []Path) (old []ownPath, err error) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.isClosed() {
		return nil, ErrClosed
	}
	if err := ep.name(paths); err != nil {
		return nil, err
	}
	old, ep.own = ep.own, nil
	for _, p := range paths {
		ep.own = append(ep.own, ownPath{Path: p, slot: ep.hub.acquire(p.Address)})
	}
	return old, ep.pairUp()
}

// SetPeers sets the other nodes of the cluster. What is wrong with a peer or
// one of its paths leaves out that one, and is returned when the rest was done.
func (ep *Endpoint) SetPeers(peers []Peer) error {
	gone, err := ep.replacePeers(peers)
	stopLinks(gone) // waits for a handler that may run: not under the lock
	ep.dropStrangers()
	return err
}

func stopLinks(links map[cluster.NodeID]*link) {
	for _, l := range links {
		l.cancel()
	}
	for _, l := range links {
		l.stop()
	}
}

func (ep *Endpoint) replacePeers(peers []Peer) (gone map[cluster.NodeID]*link, err error) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.isClosed() {
		return nil, ErrClosed
	}
	var faults []error
	next := make(map[cluster.NodeID]*peer, len(peers))
	listed := make([]Peer, 0, len(peers))
	for _, l := range peers {
		if next[l.ID] != nil {
			faults = append(faults, fmt.Errorf("node %v is listed twice", l.ID))
			continue
		}
		p, err := ep.admit(&l)
		if err != nil {
			faults = append(faults, fmt.Errorf("comm paths to node %v: %w", l.ID, err))
			continue
		}
		next[l.ID] = p
		listed = append(listed, l)
	}
	maps.Copy(ep.known, next)
	ep.listed = listed
	faults = append(faults, ep.pairUp())
	ep.peers.Store(&next)
	ep.stir()
	return ep.relink(next), errors.Join(faults...)
}

// relink makes links for new peers and returns those of peers that are gone.
func (ep *Endpoint) relink(peers map[cluster.NodeID]*peer) (gone map[cluster.NodeID]*link) {
	gone = maps.Clone(*ep.links.Load())
	next := make(map[cluster.NodeID]*link, len(peers))
	for id, p := range peers {
		l := gone[id]
		delete(gone, id)
		if l == nil && ep.cfg.TLS != nil {
			l = newLink(ep, p)
		}
		if l != nil {
			next[id] = l
		}
	}
	ep.links.Store(&next)
	return gone
}

// admit checks a peer of the configuration and finds or makes what we know of it.
func (ep *Endpoint) admit(l *Peer) (*peer, error) {
	if l.ID == 0 || l.ID == ep.cfg.Self {
		return nil, errors.New("it can't be a peer of this node")
	}
	paths, err := cleanPaths(l.Paths)
	if err != nil {
		return nil, err
	}
	if err := ep.name(paths); err != nil {
		return nil, err
	}
	l.Paths = paths
	p := ep.known[l.ID]
	if p == nil {
		p = newPeer(ep.cfg.Self, l.ID, ep.clusterID)
	}
	return p, p.setKey(ep.cfg.Key, l.HeartbeatKey, ep.session)
}

// name checks that networks can be told apart by their tags, for good.
func (ep *Endpoint) name(paths []Path) error {
	for _, p := range paths {
		tag := networkTag(p.Network)
		if other, taken := ep.tags[tag]; taken && other != p.Network {
			return fmt.Errorf("networks %q and %q can't be told apart in packets: rename one", other, p.Network)
		}
		ep.tags[tag] = p.Network
	}
	return nil
}

// pairUp joins own paths and those of each peer by network.
func (ep *Endpoint) pairUp() error {
	var faults []error
	now := ep.hub.clock().Mono
	for _, l := range ep.listed {
		var shared []sharedPath
		for _, theirs := range l.Paths {
			i := slices.IndexFunc(ep.own, func(o ownPath) bool { return o.Network == theirs.Network })
			if i < 0 {
				continue
			}
			ours := ep.own[i]
			if ours.Address.Addr().Is4() != theirs.Address.Addr().Is4() {
				faults = append(faults, fmt.Errorf("network %q: our address %v and node %v's %v are of different families",
					ours.Network, ours.Address.Addr(), l.ID, theirs.Address.Addr()))
				continue
			}
			shared = append(shared, sharedPath{
				network: ours.Network, slot: ours.slot, remote: theirs.Address, priority: max(ours.Priority, theirs.Priority),
			})
		}
		ep.known[l.ID].configure(shared, now)
	}
	for id, p := range ep.known {
		if !slices.ContainsFunc(ep.listed, func(l Peer) bool { return l.ID == id }) {
			p.configure(nil, now)
		}
	}
	return errors.Join(faults...)
}

func cleanPaths(paths []Path) ([]Path, error) {
	clean := slices.Clone(paths)
	for i := range clean {
		p := &clean[i]
		if p.Network == "" || len(p.Network) > 64 {
			return nil, fmt.Errorf("network name %q: want 1 to 64 bytes", p.Network)
		}
		a, err := cleanAddress(p.Address)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", p.Network, err)
		}
		p.Address = a
		for _, q := range clean[:i] {
			if q.Network == p.Network {
				return nil, fmt.Errorf("network %s is listed twice", p.Network)
			}
			if q.Address == p.Address {
				return nil, fmt.Errorf("networks %s and %s have the same address %v", q.Network, p.Network, a)
			}
		}
	}
	return clean, nil
}
