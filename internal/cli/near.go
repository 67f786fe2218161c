package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// near adds to an error about an unknown name the name that was probably meant.
func (a *app) near(ctx context.Context, err error) error {
	m, ok := message.From(err)
	if !ok || !nearCodes[m.Code()] || len(m.Args()) == 0 {
		return err
	}
	v, verr := a.client().View(ctx)
	if verr != nil {
		return err
	}
	var known []string
	args := m.Reason().Args
	switch m.Code() {
	case message.RefusedUnknownNode:
		for i := range v.State.Nodes {
			known = append(known, v.State.Nodes[i].Name)
		}
	case message.RefusedNotFound:
		for i := range v.State.Hierarchies {
			known = append(known, v.State.Hierarchies[i].Name)
		}
	case message.RefusedNoResource:
		if h := v.State.Hierarchy(args[len(args)-1]); h != nil {
			for i := range h.Resources {
				known = append(known, h.Resources[i].Name)
			}
		}
	}
	meant := kit.Nearest(args[0], known)
	if meant == "" || meant == args[0] {
		return err
	}
	return m.Wrap(message.New(message.DidYouMean, meant))
}
