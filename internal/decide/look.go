package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// validateTimeout bounds how long one resource is looked at before an
// extension.
const validateTimeout = 20 * time.Second

// look is an extension to this node that is being looked into: could everything
// of the hierarchy be brought in service here? It changes nothing.
type look struct {
	hierarchy string
	entry     uint64 // that asked for the extension
	changed   uint64 // the hierarchy's Changed when it was begun
	open      []action
	names     []string // of the resources, as open
	against   []cluster.Evidence
	// said: the answer was proposed, at a time.
	said   bool
	saidAt time.Duration
	ends   time.Duration
	resend time.Duration
}

// due is when it wants to be looked at though nothing happens.
func (l *look) due() time.Duration {
	if l.said {
		return l.saidAt + l.resend
	}
	return l.ends
}

// lookInto begins, ends and answers what is asked about extensions to this node.
func (x *Executor) lookInto(now time.Duration) {
	wanted := func(l *look) bool {
		h := x.state.Hierarchy(l.hierarchy)
		return h != nil && h.Changed == l.changed && slices.ContainsFunc(h.Extending, func(e cluster.Extension) bool {
			return e.Node == x.self && e.Entry == l.entry
		})
	}
	x.looks = slices.DeleteFunc(x.looks, func(l *look) bool { return !wanted(l) })
	if x.gen == 0 || !x.lease {
		return
	}
	for i := range x.state.Hierarchies {
		h := &x.state.Hierarchies[i]
		for _, e := range h.Extending {
			if e.Node == x.self && !slices.ContainsFunc(x.looks, func(l *look) bool { return l.entry == e.Entry }) {
				x.beginLook(now, h, e)
			}
		}
	}
	for _, l := range x.looks {
		x.answer(now, l)
	}
}

func (x *Executor) beginLook(now time.Duration, h *cluster.Hierarchy, e cluster.Extension) {
	l := &look{hierarchy: h.Name, entry: e.Entry, changed: h.Changed, resend: x.resend(), ends: now + validateTimeout + answerGrace}
	for i := range h.Resources {
		r := &h.Resources[i]
		x.lastID++
		x.actions = append(x.actions, Action{ID: x.lastID, Act: Validate, Hierarchy: h.Name, Resource: r.Name, Spec: *r,
			Epoch: h.Epoch, Generation: x.gen, Timeout: validateTimeout,
			Reason: cluster.Because(message.LooksBeforeExtend, r.Name, h.Name, x.name())})
		l.open = append(l.open, action{id: x.lastID, act: Validate, began: now, timeout: validateTimeout})
		l.names = append(l.names, r.Name)
	}
	x.looks = append(x.looks, l)
}

// looked takes the result of a Validate.
func (x *Executor) looked(result Result) bool {
	for _, l := range x.looks {
		i := slices.IndexFunc(l.open, func(a action) bool { return a.id == result.Action })
		if i < 0 {
			continue
		}
		x.dirty = true
		if result.Outcome == Failed || result.Outcome == Unclear {
			l.refuse(x, l.names[i], explain(result, l.open[i], l.names[i]))
		}
		l.open, l.names = slices.Delete(l.open, i, i+1), slices.Delete(l.names, i, i+1)
		return true
	}
	return false
}

func (l *look) refuse(x *Executor, name string, why cluster.Reason) {
	if len(l.against) < evidenceMax {
		l.against = append(l.against, cluster.Evidence{Node: x.self, Reason: cluster.Because(message.CantRunHere, name, x.name(), words(why))})
	}
}

// answer proposes what came of it, and again if that isn't seen.
func (x *Executor) answer(now time.Duration, l *look) {
	if len(l.open) > 0 {
		if now < l.ends {
			return
		}
		for i, a := range l.open {
			l.refuse(x, l.names[i], explain(Result{}, a, l.names[i]))
		}
		l.open, l.names = nil, nil
	}
	if l.said && now < l.saidAt+l.resend {
		return
	}
	l.said, l.saidAt = true, now
	why := cluster.Because(message.ExtendedTo, l.hierarchy, x.name())
	if len(l.against) > 0 {
		why = cluster.Because(message.NotExtendedTo, l.hierarchy, x.name(), words(l.against[0].Reason))
	}
	x.commands = append(x.commands, cluster.Command{
		Reason: why, Causes: []uint64{l.entry}, Evidence: l.against,
		Extended: &cluster.Extended{Hierarchy: l.hierarchy, Node: x.self, Entry: l.entry, OK: len(l.against) == 0, Seen: l.changed},
	})
}
