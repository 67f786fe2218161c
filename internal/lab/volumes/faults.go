package volumes

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/volume"
)

// doSomething plays one fault.
func (w *World) doSomething() {
	id := cluster.NodeID(1 + w.rnd.IntN(w.o.Copies))
	n := w.nodes[id]
	switch w.rnd.IntN(20) {
	case 0, 1:
		w.off(n, w.chance(2*time.Second))
	case 2, 3, 4:
		if n.m != nil && !n.frozen {
			w.say("kill -9 of the volume-server of %v", id)
			n.kill()
			w.after(w.chance(200*time.Millisecond), n.start)
		}
	case 5, 6:
		other := cluster.NodeID(1 + w.rnd.IntN(w.o.Copies))
		if other != id {
			w.part(id, other, w.chance(2*linkTime+time.Second))
		}
	case 7, 8:
		w.part(0, id, w.chance(2*detection))
	case 9:
		d := w.chance(time.Second)
		w.part(0, id, d)
		for i := 1; i <= w.o.Copies; i++ {
			if o := cluster.NodeID(i); o != id {
				w.part(id, o, d)
			}
		}
	case 10, 11, 12:
		n.freeze(w.odds(40))
		w.after(w.chance(3*detection), n.thaw)
	case 13:
		if w.odds(30) { // the site
			d := w.chance(time.Second)
			for i := 1; i <= w.o.Copies; i++ {
				w.off(w.nodes[cluster.NodeID(i)], d+w.chance(time.Second))
			}
		}
	case 14, 15:
		w.switchover()
	case 16:
		if w.odds(30) && !n.disk.bad {
			w.say("disk of %v fails", id)
			n.disk.bad = true
			w.after(w.chance(time.Second), func() { n.disk.bad = false })
		}
	case 17:
		v := w.vol()
		if c := v.CopyOn(id); v.Source != c.Number {
			w.say("pause of %v", id)
			yes := true
			w.apply(cluster.Command{SetCopy: &cluster.SetCopy{Name: volumeName, Copy: c.Number, Paused: &yes}})
			w.after(w.chance(time.Second), func() { w.resume(c.Number) })
		}
	case 18:
		if w.odds(8) {
			w.restoreBackup()
		} else if w.odds(10) {
			w.backup = w.state.Clone()
		}
	case 19:
		if w.odds(20) {
			w.force(id)
		}
	}
}

func (w *World) off(n *node, d time.Duration) {
	if !n.up {
		return
	}
	n.powerOff()
	w.after(d, func() {
		if !n.up {
			w.say("boot of %v", n.id)
			n.boot()
		}
	})
}

func (w *World) part(a, b cluster.NodeID, d time.Duration) {
	key := [2]cluster.NodeID{min(a, b), max(a, b)}
	if w.cut[key] {
		return
	}
	w.say("cut %v", key)
	w.cut[key] = true
	w.after(d, func() { w.heal(key) })
}

func (w *World) heal(key [2]cluster.NodeID) {
	if !w.cut[key] {
		return
	}
	w.say("heal %v", key)
	delete(w.cut, key)
	if key[0] == 0 {
		w.shows()
	}
}

func (w *World) resume(c cluster.Copy) {
	no := false
	w.apply(cluster.Command{SetCopy: &cluster.SetCopy{Name: volumeName, Copy: c, Paused: &no}})
}

// switchover: the owner is told to give the volume up.
func (w *World) switchover() {
	n := w.nodes[w.owner]
	if n == nil || n.m == nil || n.frozen || w.away(n.id) || n.m.Role() != volume.Source {
		return
	}
	w.say("switchover from %v", n.id)
	n.step(volume.Release{})
}

// force: a person starts the volume on a copy although it isn't in-sync.
func (w *World) force(id cluster.NodeID) {
	v := w.vol()
	c := v.CopyOn(id)
	n := w.nodes[id]
	if v.Source != 0 || n.m == nil || n.frozen || w.state.Node(id).Presence != cluster.Present || !n.disk.super.Consistent && !n.disk.super.Undo {
		return
	}
	if !n.disk.super.Consistent {
		w.say("node %v goes back by its undo log", id)
		n.step(volume.RollBack{})
		return // forced the next time
	}
	before := v.Epoch
	if r := w.apply(cluster.Command{ForceVolume: &cluster.ForceVolume{Name: volumeName, Copy: c.Number, Previous: v.Epoch, Knows: n.disk.super.Epoch}}); !r.Refused() {
		w.say("forced: copy %d from epoch %v", c.Number, before)
		w.Forced++
		n.lost = false
		w.adopt(n)
		w.owner = 0
	}
}

// restoreBackup: the cluster's state is taken from a backup.
func (w *World) restoreBackup() {
	w.say("the document is restored from a backup")
	for i := 1; i <= w.o.Copies; i++ {
		w.nodes[cluster.NodeID(i)].kill()
	}
	now := w.state
	w.era++
	w.state = w.backup.Clone()
	w.state.Applied = now.Applied // a real one counts on, too: the nodes' logs begin anew
	for i := range w.state.Nodes {
		w.state.Nodes[i].Presence, w.state.Nodes[i].Generation = cluster.Evicted, now.Nodes[i].Generation
	}
	w.must(cluster.Command{DoubtVolumes: &cluster.DoubtVolumes{}})
	w.owner = 0
	for i := 1; i <= w.o.Copies; i++ {
		w.nodes[cluster.NodeID(i)].start()
	}
	w.shows()
}

// calm ends all faults.
func (w *World) calm() {
	w.say("faults end")
	w.faults = false
	for key := range w.cut {
		w.heal(key)
	}
	for i := 1; i <= w.o.Copies; i++ {
		n := w.nodes[cluster.NodeID(i)]
		n.disk.bad = false
		n.thaw()
		if !n.up {
			n.boot()
		}
		n.start()
		w.resume(cluster.Copy(i))
	}
}

// plan is the planner and the person: who serves.
func (w *World) plan() {
	v := w.vol()
	for i := 1; i <= w.o.Copies; i++ {
		n := w.nodes[cluster.NodeID(i)]
		if n.m == nil || n.frozen || n.id == w.owner {
			continue
		}
		switch n.m.Role() {
		case volume.Failed:
			n.kill()
			w.after(w.chance(200*time.Millisecond), n.start)
		case volume.Acquiring:
			n.step(volume.Release{})
		}
	}
	if w.owner != 0 {
		n, sn := w.nodes[w.owner], w.state.Node(w.owner)
		if sn.Presence == cluster.Present && sn.Generation == w.ownerG {
			if n.generation != w.ownerG || n.m == nil || n.frozen || w.away(n.id) {
				return
			}
			switch role := n.m.Role(); {
			case role == volume.Failed:
				w.say("copy %v failed", w.owner)
				n.kill()
				w.after(w.chance(200*time.Millisecond), n.start)
				if v.Source == cluster.Copy(n.id) {
					w.apply(cluster.Command{ReleaseVolume: &cluster.ReleaseVolume{Name: volumeName, Epoch: v.Epoch}})
				}
				w.owner = 0
			case role == volume.Idle && v.Source == 0:
				w.owner = 0 // released
			case role == volume.Idle, role == volume.Acquiring && w.odds(10):
				n.step(volume.Acquire{Generation: w.ownerG, AcceptLoss: w.patient()})
			}
			if v.Source == 0 && w.patient() && w.odds(20) {
				w.owner = 0 // another one may be better
			}
			return
		}
		w.owner, w.idle = 0, w.now
	}
	if v.Source != 0 {
		c := v.Copy(v.Source)
		if sn := w.state.Node(c.Node); sn.Presence == cluster.Present && sn.Generation == v.SourceGeneration {
			w.owner, w.ownerG = c.Node, sn.Generation
			return
		}
	}
	best, rank := cluster.NodeID(0), 0
	for _, c := range v.Copies {
		sn := w.state.Node(c.Node)
		r := w.state.CopyServes(v, c.Node)
		if sn.Presence == cluster.Present && (r > rank || r == rank && r > 0 && w.odds(50)) && (r == 3 || w.patient()) {
			best, rank = c.Node, r
		}
	}
	if best == 0 {
		return
	}
	w.owner, w.ownerG = best, w.state.Node(best).Generation
	n := w.nodes[best]
	n.soon(func() { n.step(volume.Acquire{Generation: w.ownerG, AcceptLoss: rank < 3}) })
}

// patient reports whether the better copy was waited for long enough.
func (w *World) patient() bool { return w.now > w.idle+time.Second }

// settled reports whether everything is as it should be: somebody serves and
// every copy that isn't diverged is in the set.
func (w *World) settled() bool {
	v := w.vol()
	if v.Unverified {
		return false
	}
	for _, c := range v.Copies {
		if c.Standing == cluster.Diverged {
			w.apply(cluster.Command{ResolveVolume: &cluster.ResolveVolume{Name: volumeName, Copy: c.Number}})
			return false
		}
		if c.Standing == cluster.Behind {
			if n := w.nodes[v.CopyOn(c.Node).Node]; n.m != nil && !c.Full && w.needsFull(c.Number) {
				yes := true
				w.apply(cluster.Command{SetCopy: &cluster.SetCopy{Name: volumeName, Copy: c.Number, Full: &yes}})
			}
			return false
		}
		if c.Suspect {
			return false
		}
	}
	if v.Source == 0 {
		return false
	}
	n := w.nodes[v.Copy(v.Source).Node]
	if n.m == nil || n.m.Role() != volume.Source {
		return false
	}
	for _, c := range v.Copies {
		if c.Number != v.Source && (!n.m.Ready(c.Number) || n.m.Missing(c.Number) > 0) {
			return false
		}
	}
	if w.quiet == 0 {
		w.quiet = w.now // no more clients, and what is under way ends
	}
	return w.now > w.quiet+100*time.Millisecond && len(w.model.ops) == 0
}

// needsFull reports whether the source waits for a person to ask for a copy of
// every block.
func (w *World) needsFull(c cluster.Copy) bool {
	v := w.vol()
	if v.Source == 0 {
		return false
	}
	n := w.nodes[v.Copy(v.Source).Node]
	return n.m != nil && n.m.NeedsFull(c)
}
