package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// ask makes a command that can be ended.
func (g *guest) ask(id uint64) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking[id] = cancel
	return ctx
}

// asked forgets it.
func (g *guest) asked(id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asking[id]()
	delete(g.asking, id)
}

// answer carries a command of perdure out here. In a machine without hardware
// virtualization a new process of the program costs 0.5 s (UML) to 2 s (QEMU), before
// it does anything; a status costs a hundredth of that.
func (g *guest) answer(ctx context.Context, q request) {
	last := reply{ID: q.ID, Last: true}
	defer func() {
		if p := recover(); p != nil {
			last.Failure = fmt.Sprintf("perdure %s: panic: %v", strings.Join(q.Argv, " "), p)
		}
		g.send(last)
	}()
	if q.Op == opBreak {
		if err := breakGate(ctx); err != nil {
			last.Failure = err.Error()
		}
		return
	}
	if g.perdure == nil {
		last.Failure = errors.New("this agent has no command line of perdure").Error()
		return
	}
	last.Code = g.perdure(ctx, q.Argv, &output{g: g, id: q.ID}, &output{g: g, id: q.ID, isErr: true})
}
