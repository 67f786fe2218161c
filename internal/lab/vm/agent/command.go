package agent

import (
	"context"
	"io"
)

// Command carries one command of perdure out, by the arguments after its name, and
// returns its exit status.
type Command func(ctx context.Context, args []string, out, err io.Writer) int
