package kittest

import (
	"context"
	"strings"
	"sync"

	"github.com/perdure-ha/perdure/internal/kit"
)

// Runner writes down the commands and runs none.
type Runner struct {
	// Answer says how a command ends; nil: with exit code 0.
	Answer func(c kit.Command) (kit.Result, error)

	mu    sync.Mutex
	lines []string
}

var _ kit.Runner = (*Runner)(nil)

// Run implements [kit.Runner].
func (r *Runner) Run(_ context.Context, c kit.Command) (kit.Result, error) {
	line := c.Action + ": " + c.Line()
	if len(c.Env) > 0 {
		line += " [" + strings.Join(c.Env, " ") + "]"
	}
	r.mu.Lock()
	r.lines = append(r.lines, line)
	r.mu.Unlock()
	if r.Answer != nil {
		return r.Answer(c)
	}
	return kit.Result{Command: c.Line()}, nil
}

// Lines is what was asked for since the last call, one command a line.
func (r *Runner) Lines() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	text := strings.Join(r.lines, "\n")
	r.lines = nil
	return text
}
