package main

import (
	"context"
	"io"
	"os"
	"strings"

	"github.com/perdure-ha/perdure/internal/cli"
	"github.com/perdure-ha/perdure/internal/lab/demo"
)

// runDemo runs the demonstration with this very binary on every node.
func runDemo(ctx context.Context, o cli.DemoOptions) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	opts := demo.Options{
		Binary: self, Once: o.Once, JSON: o.JSON, Keep: o.Keep, Lang: o.Lang, Out: o.Out, Live: o.Err,
		Terminal: isTerminal(o.Err),
	}
	if o.Fault != "" {
		opts.Faults = strings.Split(o.Fault, ",")
	}
	return demo.Run(ctx, opts)
}

// isTerminal reports whether a person looks at w.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0
}
