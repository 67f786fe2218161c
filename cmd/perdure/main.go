// Command perdure is the whole program: guardian, daemon, witness, command line
// and demonstration.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/perdure-ha/perdure/internal/cli"
	"github.com/perdure-ha/perdure/internal/kit/ocf"
	"github.com/perdure-ha/perdure/internal/lab/vm/agent"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// version is set by the linker: -X main.version=…
var version = "dev"

func main() { os.Exit(run()) }

func run() int {
	if ocf.ShimName(os.Args[0]) != "" {
		return ocf.Main(os.Args) // an OCF agent calls a command of Pacemaker
	}
	if agent.Wanted() {
		return agent.Main(command) // process 1 of a machine of the lab, or its agent
	}
	if len(os.Args) == 3 && os.Args[1] == webserver.Argument {
		return webserver.Main(os.Args[2]) // the service of the demo where there is no nginx
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Main(ctx, os.Args[1:], cli.Stdio(), runners(), version)
}

// command is the command line without a process of its own.
func command(ctx context.Context, args []string, out, err io.Writer) int {
	t := cli.Terminal{In: strings.NewReader(""), Out: out, Err: err, Getenv: os.Getenv}
	return cli.Main(ctx, args, t, runners(), version)
}
