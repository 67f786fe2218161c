package daemon

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/host"
)

// tellLoss has the guardian know what the cluster agreed on for a node that
// loses its lease. It must know before: then nobody can tell it any more.
func (d *Daemon) tellLoss(s *cluster.State) {
	if d.cfg.Guard == nil || s.QuorumLoss == d.loss {
		return
	}
	if err := d.cfg.Guard.OnLoss(s.QuorumLoss); err != nil {
		d.log.Error("tell the guardian what to do on loss of quorum", "action", s.QuorumLoss, "err", err)
		return
	}
	d.loss = s.QuorumLoss
}

// hostEvery is how often the hypervisor is asked for the host: a live migration
// changes it.
const hostEvery = 30 * time.Second

// watchHost has the cluster know on which host this virtual machine runs.
func (d *Daemon) watchHost() {
	tick := time.NewTicker(hostEvery)
	defer tick.Stop()
	for {
		d.tellHost(host.Name())
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Daemon) tellHost(name string) {
	me := d.State().Node(d.id.Node)
	if name == "" || me == nil || me.Host == name {
		return
	}
	if _, err := d.Propose(d.ctx, cluster.Command{By: d.id.Name, SetNode: &cluster.SetNode{Node: d.id.Node, Host: &name}}); err != nil && d.ctx.Err() == nil {
		d.log.Warn("tell the cluster this machine's host", "host", name, "err", err)
	}
}
