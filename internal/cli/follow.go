package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// outcome says whether a followed operation is over.
type outcome int

const (
	goesOn outcome = iota
	succeeded
	failed
)

// operation is something that takes a while, seen through the state.
type operation struct {
	hierarchy string
	entry     uint64 // the entry that asked for it
	// judge looks at the hierarchy after a change. The reason belongs to
	// failed.
	judge func(h *cluster.Hierarchy) (outcome, cluster.Reason)
	// cancel is the command that cancels it.
	cancel string
	// say tells a person that it worked; nil: where the hierarchy is.
	say func()
}

// progress is one line of JSON while an operation goes on.
type progress struct {
	ElapsedMilli int64           `json:"elapsed_ms"`
	Entry        *cluster.Entry  `json:"entry,omitempty"`
	Done         bool            `json:"done,omitempty"`
	Failed       bool            `json:"failed,omitempty"`
	Status       cluster.Status  `json:"status,omitempty"`
	Node         string          `json:"node,omitempty"`
	Reason       *cluster.Reason `json:"reason,omitempty"`
}

// follow shows how an operation goes on until it is over. An interrupt leaves
// it to itself and says how to cancel it.
func (a *app) follow(ctx context.Context, o operation) error {
	ctx, stop := signal.NotifyContext(ctx, interrupts...)
	defer stop()
	began := time.Now()
	after := o.entry
	if after > 0 {
		after-- // the request itself is shown as well
	}
	for {
		err := a.client().Events(ctx, api.EventsFrom{After: max(after, 1)}, func(e api.Event) error {
			if e.Alive {
				return nil
			}
			return a.step(ctx, o, e, began, &after)
		})
		switch {
		case errors.Is(err, errDone):
			return nil
		case ctx.Err() != nil:
			a.note(message.Detached, o.hierarchy, o.cancel)
			return silent(exitDetached)
		case !message.Has(err, message.StreamEnded):
			return err
		}
		// The daemon restarted under us: the operation goes on without it.
		if wait(ctx, watchAgain) != nil {
			a.note(message.Detached, o.hierarchy, o.cancel)
			return silent(exitDetached)
		}
	}
}

// step shows one event and judges the state after it.
func (a *app) step(ctx context.Context, o operation, e api.Event, began time.Time, after *uint64) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	elapsed := time.Since(began)
	if e.Entry != nil && e.Entry.ID > *after {
		*after = e.Entry.ID
		if e.Entry.Hierarchy == o.hierarchy || e.Entry.Kind == cluster.KindEvicted {
			a.showStep(&v, e.Entry, elapsed)
		}
	}
	h := v.State.Hierarchy(o.hierarchy)
	if h == nil {
		return message.New(message.RefusedNotFound, o.hierarchy)
	}
	if v.State.Applied < o.entry {
		return nil
	}
	result, why := o.judge(h)
	if result == goesOn || pending(v.State, o.hierarchy, *after) {
		return nil
	}
	if why.Code == "" {
		why = lastReason(v.State, o.hierarchy)
	}
	node := v.State.NodeName(h.Owner)
	if a.JSON {
		p := progress{ElapsedMilli: elapsed.Milliseconds(), Done: result == succeeded, Failed: result == failed, Status: h.Status, Node: node}
		if result == failed {
			p.Reason = &why
		}
		if err := a.printJSONLine(p); err != nil {
			return err
		}
	}
	if result == failed {
		if a.JSON {
			return silent(exitFailed)
		}
		return message.New(message.OperationFailed, o.hierarchy, message.Reason{Code: why.Code, Args: why.Args})
	}
	if !a.JSON {
		if o.say != nil {
			o.say()
		} else if h.Owner == 0 {
			a.print(message.OutAfter, o.hierarchy, elapsed.Round(10*time.Millisecond))
		} else {
			a.print(message.InAfter, o.hierarchy, node, elapsed.Round(10*time.Millisecond))
		}
	}
	return errDone
}

// pending reports whether the hierarchy has entries that were not shown yet:
// the state may be ahead of the stream.
func pending(st *cluster.State, name string, after uint64) bool {
	for i := len(st.Timeline) - 1; i >= 0 && st.Timeline[i].ID > after; i-- {
		if st.Timeline[i].Hierarchy == name {
			return true
		}
	}
	return false
}

func (a *app) showStep(v *api.View, e *cluster.Entry, elapsed time.Duration) {
	if a.JSON {
		_ = a.printJSONLine(progress{ElapsedMilli: elapsed.Milliseconds(), Entry: e})
		return
	}
	a.table(a.term.Out, "", [][]cell{{{fmt.Sprintf("%8s", roughly(elapsed)), faint}, {text: a.entryText(v.State, e)}}})
}

// inServiceOn judges a switchover or start: over when it serves on the node (0:
// any), failed when nothing is left that could bring that about.
func inServiceOn(to cluster.NodeID) func(*cluster.Hierarchy) (outcome, cluster.Reason) {
	return func(h *cluster.Hierarchy) (outcome, cluster.Reason) {
		switch {
		case h.Status.Serving() && h.Move == nil && (to == 0 || h.Owner == to):
			return succeeded, cluster.Reason{}
		case to != 0 && h.Move == nil:
			// Cancelled, or it failed there: it will be elsewhere, or is.
			return failed, lastWord(h, to)
		case h.Want != cluster.WantInService:
			return failed, cluster.Because(message.AskedOutOfService, h.Name)
		case to == 0 && h.Owner == 0 && h.Status == cluster.Failed:
			return failed, h.Reason
		}
		return goesOn, cluster.Reason{}
	}
}

// lastWord is why a hierarchy didn't come into service on a node.
func lastWord(h *cluster.Hierarchy, to cluster.NodeID) cluster.Reason {
	for i := range h.Failures {
		if h.Failures[i].Node == to {
			return h.Failures[i].Reason
		}
	}
	return h.Reason
}

// outOfService judges a stop.
func outOfService(h *cluster.Hierarchy) (outcome, cluster.Reason) {
	switch {
	case h.Owner == 0:
		return succeeded, cluster.Reason{}
	case h.Want != cluster.WantOutOfService:
		return failed, cluster.Because(message.AskedInService, h.Name)
	case h.Status == cluster.Unknown:
		return failed, h.Reason
	}
	return goesOn, cluster.Reason{}
}

// lastReason is that of the hierarchy's latest entry.
func lastReason(st *cluster.State, name string) cluster.Reason {
	for i := len(st.Timeline) - 1; i >= 0; i-- {
		if st.Timeline[i].Hierarchy == name {
			return st.Timeline[i].Reason
		}
	}
	return cluster.Reason{}
}
