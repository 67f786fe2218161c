package cli

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type nodeDrainCmd struct {
	Node   string `arg:"" help:"Name."`
	How    string `arg:"" optional:"" enum:"on,off" default:"on" help:"on: everything moves away and nothing is brought in service there; off: it is eligible again."`
	NoWait bool   `help:"Don't wait until the node is empty."`
}

func (c nodeDrainCmd) Run(ctx context.Context, a *app) error {
	on := c.How == "on"
	// What it has is looked up first: it may be elsewhere before the answer is
	// here.
	had, err := a.ownedBy(ctx, c.Node)
	if err != nil {
		return err
	}
	d, err := a.client().Drain(ctx, c.Node, on)
	code := message.AskedDrainEnd
	if on {
		code = message.AskedDrain
	}
	if err != nil || !on || c.NoWait {
		return a.done(ctx, d, err, code, c.Node)
	}
	id, err := a.nodeID(ctx, c.Node)
	if err != nil {
		return err
	}
	return a.followDrain(ctx, id, c.Node, d.Entry, had)
}

// ownedBy is what a node has, or is about to let go of.
func (a *app) ownedBy(ctx context.Context, node string) (map[string]bool, error) {
	v, err := a.client().View(ctx)
	if err != nil {
		return nil, err
	}
	had := make(map[string]bool)
	if n := v.State.NodeByName(node); n != nil {
		leaving(v.State, n.ID, had)
	}
	return had, nil
}

// followDrain shows what leaves the node until nothing is left, and what it had
// is in service elsewhere. An interrupt leaves the drain to itself.
func (a *app) followDrain(ctx context.Context, id cluster.NodeID, name string, entry uint64, moved map[string]bool) error {
	ctx, stop := signal.NotifyContext(ctx, interrupts...)
	defer stop()
	began, after, last := time.Now(), max(entry, 1), ""
	for {
		err := a.client().Events(ctx, api.EventsFrom{After: after}, func(e api.Event) error {
			v, err := a.client().View(ctx)
			if err != nil {
				return err
			}
			if e.Entry != nil && e.Entry.ID > after {
				after = e.Entry.ID
				if e.Entry.Hierarchy != "" {
					a.showStep(&v, e.Entry, time.Since(began))
				}
			}
			if v.State.Applied < entry {
				return nil
			}
			left, under := leaving(v.State, id, moved)
			if under == 0 && !pendingAny(v.State, moved, after) {
				return errDone
			}
			if now := strings.Join(left, ", "); now != last && now != "" && !a.JSON {
				last = now
				a.table(a.term.Out, "", [][]cell{{{fmt.Sprintf("%8s", roughly(time.Since(began))), faint},
					{text: message.Text(a.lang, message.NodeDraining, name, now)}}})
			}
			return nil
		})
		switch {
		case errors.Is(err, errDone):
			return a.done(ctx, progress{ElapsedMilli: time.Since(began).Milliseconds(), Done: true, Node: name}, nil, message.Drained, name)
		case ctx.Err() != nil:
			a.note(message.DrainDetached, name)
			return silent(exitDetached)
		case !message.Has(err, message.StreamEnded):
			return err
		}
		if wait(ctx, watchAgain) != nil {
			a.note(message.DrainDetached, name)
			return silent(exitDetached)
		}
	}
}

// leaving lists what the node still has, and counts what isn't in service
// elsewhere yet; moved remembers what it had. A hierarchy that failed elsewhere
// isn't waited for.
func leaving(st *cluster.State, id cluster.NodeID, moved map[string]bool) (left []string, under int) {
	for i := range st.Hierarchies {
		h := &st.Hierarchies[i]
		if h.Owner == id || h.Move != nil && h.Move.From == id {
			moved[h.Name] = true
		}
		switch {
		case h.Owner == id:
			left = append(left, h.Name)
			under++
		case moved[h.Name] && h.Want == cluster.WantInService && !h.Status.Serving() && h.Status != cluster.Failed:
			under++
		}
	}
	return left, under
}

// pendingAny reports whether one of them has entries that were not shown yet.
func pendingAny(st *cluster.State, names map[string]bool, after uint64) bool {
	for name := range names {
		if pending(st, name, after) {
			return true
		}
	}
	return false
}
