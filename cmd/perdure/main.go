// Command perdure is the whole program: guardian, daemon, witness, command line
// and demonstration.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/perdure-ha/perdure/internal/cli"
)

// version is set by the linker: -X main.version=…
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], cli.Stdio(), runners(), version)
}
