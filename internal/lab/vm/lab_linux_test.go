package vm

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
)

// openOne makes a lab of the kind that is asked for, with one node if none is named.
func openOne(t *testing.T, o Options) *Lab {
	t.Helper()
	kind := os.Getenv("PERDURE_LAB_VM")
	if kind == "" {
		t.Skip("SKIPPED: virtual machines are booted by make lab, which sets PERDURE_LAB_VM to uml or qemu")
	}
	if err := Usable(Kind(kind)); err != nil {
		t.Skip(err)
	}
	if len(o.Nodes) == 0 {
		o.Nodes = []string{"n1"}
	}
	o.Kind, o.Perdure, o.Say = Kind(kind), buildPerdure(t), func(what string) { t.Log(what) }
	l, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			tell(t, l)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// tell logs how the nodes are when a test has failed.
func tell(t *testing.T, l *Lab) {
	ctx, cancel := context.WithTimeout(context.Background(), actWait)
	defer cancel()
	for _, n := range l.nodes {
		out, err := n.Run(ctx, "sh", "-c", "ps ax | grep -v \"\\[\"; systemctl list-jobs; systemctl --failed; tail -n 40 "+perdureLog+" || journalctl -n 60 -o cat")
		t.Logf("%s (%v): %s", n.Name, err, out)
	}
}

// buildPerdure builds the program that guests run.
func buildPerdure(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "perdure")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../../cmd/perdure")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build perdure: %v: %s", err, out)
	}
	return binary
}

// ask runs a line of a shell on a node.
func ask(t *testing.T, n *Node, line string) string {
	t.Helper()
	// A write to a server that is cut off fails after some 40 s: opening and writing
	// wait 18 s each.
	ctx, cancel := context.WithTimeout(t.Context(), awaitWait)
	defer cancel()
	out, err := n.Run(ctx, "sh", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// awaitOutput waits until a line of a shell prints what is right.
func awaitOutput(t *testing.T, n *Node, line string, right func(string) bool) {
	t.Helper()
	var last string
	await(t, func(ctx context.Context) bool {
		out, err := n.Run(ctx, "sh", "-c", line)
		last = strings.TrimSpace(out)
		return err == nil && right(last)
	}, func() string { return line + " prints " + last })
}

// awaitServed waits until the protected service answers a client outside.
func awaitServed(t *testing.T, l *Lab) {
	t.Helper()
	clock := client.NewClock()
	c := client.Start(client.Config{Clock: clock, Dial: l.Outside().Dial})
	defer c.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), awaitWait)
	defer cancel()
	if _, err := c.WaitGood(ctx, clock.Now(), ""); err != nil {
		t.Fatalf("no answer from outside: %v", err)
	}
}

// awaitWait bounds the wait for what a slow machine takes long for.
const awaitWait = 90 * time.Second

// await tries until it is right.
func await(t *testing.T, try func(context.Context) bool, wanting func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), awaitWait)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !try(ctx) {
		select {
		case <-ctx.Done():
			t.Fatal(wanting())
		case <-tick.C:
		}
	}
}
