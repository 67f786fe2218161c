package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/netns"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

func main() {
	// The service where nginx isn't installed.
	if len(os.Args) == 3 && os.Args[1] == webserver.Argument {
		os.Exit(webserver.Main(os.Args[2]))
	}
	b := &bench{}
	asJSON := flag.Bool("json", false, "print JSON")
	flag.StringVar(&b.binary, "perdure", "", "the binary to measure; built from this tree if empty")
	flag.IntVar(&b.rounds, "n", 5, "rounds of each measurement, at least five")
	flag.DurationVar(&b.idle, "idle", 30*time.Second, "how long an idle cluster is watched")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	results, err := b.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
	if *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(results)
	} else {
		err = writeTable(os.Stdout, results)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

// bench measures.
type bench struct {
	binary string
	rounds int
	idle   time.Duration
}

func (b *bench) run(ctx context.Context) (results []Result, err error) {
	if err := netns.Usable(); err != nil {
		return nil, fmt.Errorf("measure: %w", err)
	}
	b.rounds = max(b.rounds, 5)
	if b.binary == "" {
		dir, err := os.MkdirTemp("", "perdure-bench-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		b.binary = filepath.Join(dir, "perdure")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", b.binary, "./cmd/perdure")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build perdure (run this from the top of the tree): %w: %s", err, out)
		}
	}
	own, err := b.serverAlone(ctx)
	if err != nil {
		return nil, fmt.Errorf("measure the service alone: %w", err)
	}
	results = append(results, own.start, own.stop)
	for _, part := range []func(context.Context) ([]Result, error){
		func(ctx context.Context) ([]Result, error) { return b.perdure(ctx, cluster.DetectionBalanced, own) },
		func(ctx context.Context) ([]Result, error) { return b.perdure(ctx, cluster.DetectionFast, own) },
		b.keepalived,
	} {
		more, err := part(ctx)
		if err != nil {
			return nil, err
		}
		results = append(results, more...)
	}
	return results, nil
}

// say tells on standard error what is done.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
