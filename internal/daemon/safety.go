package daemon

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/platform/echo"
)

// machines asks the machines of silent nodes whether they answer at all, over
// every network, beside the loop: one question to a machine at a time.
type machines struct {
	mu    sync.Mutex
	asked map[cluster.NodeID]bool
}

// askMachines begins to ask and returns at once.
func (d *Daemon) askMachines(ids []cluster.NodeID, s *cluster.State) {
	for _, id := range ids {
		n := s.Node(id)
		if n == nil || !d.machines.begin(id) {
			continue
		}
		paths, patience := n.Paths, s.Detection/5
		d.group.Go(func() {
			defer d.machines.end(id)
			d.askMachine(id, paths, patience)
		})
	}
}

func (m *machines) begin(id cluster.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asked[id] {
		return false
	}
	if m.asked == nil {
		m.asked = make(map[cluster.NodeID]bool)
	}
	m.asked[id] = true
	return true
}

func (m *machines) end(id cluster.NodeID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.asked, id)
}

// askMachine pings each address of a machine, and knocks at the port of its
// comm paths. Every answer is told at once.
func (d *Daemon) askMachine(id cluster.NodeID, paths []cluster.Path, patience time.Duration) {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	var group sync.WaitGroup
	for _, p := range paths {
		to, err := netip.ParseAddrPort(p.Address)
		if err != nil {
			continue
		}
		from := d.ownAddress(p.Network)
		tell := func(how string) { d.postPacket(core.MachineAnswered{Node: id, Network: p.Network, How: how}) }
		group.Go(func() {
			if _, err := echo.Ping(ctx, from, to.Addr()); err == nil {
				tell("ping")
			}
		})
		group.Go(func() {
			if echo.Knock(ctx, from, to) == nil {
				tell("TCP")
			}
		})
	}
	group.Wait()
}

// ownAddress is this node's address on a network; the zero address: none, so the
// system chooses.
func (d *Daemon) ownAddress(network string) netip.Addr {
	if n := d.State().Node(d.id.Node); n != nil {
		for _, p := range n.Paths {
			if a, err := netip.ParseAddrPort(p.Address); err == nil && p.Network == network {
				return a.Addr()
			}
		}
	}
	return netip.Addr{}
}
