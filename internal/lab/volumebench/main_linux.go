package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device"
	"github.com/perdure-ha/perdure/internal/volume/server"
)

// cell is one kind of load.
type cell struct {
	name         string
	read, random bool
	size, depth  int
	flush        bool // after each write
}

var cells = []cell{
	{"4 KiB random writes, depth 1", false, true, 4096, 1, false},
	{"4 KiB random writes, depth 16", false, true, 4096, 16, false},
	{"4 KiB random writes, depth 64", false, true, 4096, 64, false},
	{"4 KiB random reads, depth 1", true, true, 4096, 1, false},
	{"4 KiB random reads, depth 64", true, true, 4096, 64, false},
	{"4 KiB write and flush, depth 1", false, true, 4096, 1, true},
	{"1 MiB writes in order, depth 4", false, false, 1 << 20, 4, false},
	{"1 MiB reads in order, depth 4", true, false, 1 << 20, 4, false},
}

// span is what is written to and read from in bytes: below the volume's own size.
const (
	span     = 224 << 20
	fileSize = 256 << 20
)

// row is one system in one cell: operations a second, and its median's share of
// raw's.
type row struct {
	Cell   string    `json:"cell"`
	System string    `json:"system"`
	Rates  []float64 `json:"rates"`
	Median float64   `json:"median"`
	Raw    float64   `json:"share_of_raw"`
}

// system is something to measure.
type system struct {
	name string
	run  func(ctx context.Context, c cell, d time.Duration) (float64, error)
}

func main() {
	asJSON := flag.Bool("json", false, "print JSON")
	binary := flag.String("perdure", "", "the binary to measure; built from this tree if empty")
	rounds := flag.Int("n", 5, "rounds")
	each := flag.Duration("t", time.Second, "how long each measurement takes")
	dir := flag.String("dir", "", "where the backing files are; a directory of its own below /tmp if empty")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	rows, err := measure(ctx, *binary, *dir, *rounds, *each)
	if err == nil && *asJSON {
		enc := json.NewEncoder(os.Stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(rows)
	} else if err == nil {
		table(os.Stdout, rows)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		stop()
		os.Exit(1)
	}
}

func measure(ctx context.Context, binary, dir string, rounds int, each time.Duration) (rows []row, err error) {
	if dir, err = os.MkdirTemp(dir, "perdure-volumebench-"); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if binary == "" {
		binary = filepath.Join(dir, "perdure")
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/perdure")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build perdure (run this from the top of the tree): %w: %s", err, out)
		}
	}
	var systems []system
	for _, begin := range []func(context.Context, string, string) (system, func(), error){raw, ours, qemuNBD, nbdkit} {
		s, end, err := begin(ctx, dir, binary)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintln(os.Stderr, "not measured:", err)
			continue
		}
		if err != nil {
			return nil, err
		}
		defer end()
		systems = append(systems, s)
	}
	rates := make(map[string][]float64)
	for r := range rounds {
		fmt.Fprintf(os.Stderr, "round %d of %d\n", r+1, rounds)
		for _, c := range cells {
			for _, s := range systems {
				rate, err := s.run(ctx, c, each)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", s.name, c.name, err)
				}
				rates[c.name+s.name] = append(rates[c.name+s.name], rate)
			}
		}
	}
	for _, c := range cells {
		reference := median(rates[c.name+systems[0].name])
		for _, s := range systems {
			all := rates[c.name+s.name]
			rows = append(rows, row{c.name, s.name, all, median(all), median(all) / reference})
		}
	}
	return rows, nil
}

func median(values []float64) float64 {
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	return sorted[len(sorted)/2]
}

func table(w io.Writer, rows []row) {
	_, _ = fmt.Fprintf(w, "%-34s %-16s %12s %12s %12s %8s\n", "load", "system", "median/s", "worst/s", "best/s", "of raw")
	for _, r := range rows {
		_, _ = fmt.Fprintf(w, "%-34s %-16s %12.0f %12.0f %12.0f %8.2f\n", r.Cell, r.System, r.Median, slices.Min(r.Rates), slices.Max(r.Rates), r.Raw)
	}
}

// backingFile makes a file that is written in full, so that nothing is allocated
// while it is measured.
func backingFile(dir, name string) (string, error) {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	b := make([]byte, 1<<20)
	for range fileSize >> 20 {
		if _, err := f.Write(b); err != nil {
			return "", errors.Join(err, f.Close())
		}
	}
	return path, errors.Join(f.Sync(), f.Close())
}

// raw is the file itself.
func raw(_ context.Context, dir, _ string) (system, func(), error) {
	path, err := backingFile(dir, "raw")
	if err != nil {
		return system{}, nil, err
	}
	d, err := device.Open(path, device.Options{Buffered: true})
	if err != nil {
		return system{}, nil, err
	}
	pool, err := block.NewPool(16<<20, 1<<20)
	if err != nil {
		return system{}, nil, err
	}
	return system{"raw " + string(d.Engine()), func(_ context.Context, c cell, t time.Duration) (float64, error) {
		return loadDevice(d, pool, c, t)
	}}, func() { _, _ = d.Close(), pool.Close() }, nil
}

// ours is a volume-server in a process of its own.
func ours(ctx context.Context, dir, binary string) (system, func(), error) {
	path, err := backingFile(dir, "ours")
	if err != nil {
		return system{}, nil, err
	}
	run := filepath.Join(dir, "run")
	end, err := process(ctx, binary, "volume-server", "--run-dir", run)
	if err != nil {
		return system{}, nil, err
	}
	fail := func(err error) (system, func(), error) {
		end()
		return system{}, nil, err
	}
	var c *server.Client
	if err := eventually(ctx, func() (err error) { c, err = server.Dial(ctx, run); return err }); err != nil {
		return fail(err)
	}
	defer c.Close()
	p := server.Spec{Name: "bench", Cluster: "bench", Device: path, Overwrite: true}
	if p.ID, err = c.Create(ctx, p); err != nil {
		return fail(err)
	}
	socket, err := c.Serve(ctx, p)
	if err != nil {
		return fail(err)
	}
	return system{"perdure", client(socket, "bench")}, end, nil
}

func qemuNBD(ctx context.Context, dir, _ string) (system, func(), error) {
	return peer(ctx, dir, "qemu-nbd", func(path, socket string) []string {
		return []string{"-f", "raw", "--cache=none", "--aio=native", "-t", "-k", socket, "-x", "bench", path}
	})
}

func nbdkit(ctx context.Context, dir, _ string) (system, func(), error) {
	return peer(ctx, dir, "nbdkit", func(path, socket string) []string {
		return []string{"-f", "-U", socket, "-e", "bench", "file", path}
	})
}

func peer(ctx context.Context, dir, name string, args func(path, socket string) []string) (system, func(), error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return system{}, nil, err
	}
	path, err := backingFile(dir, name)
	if err != nil {
		return system{}, nil, err
	}
	socket := filepath.Join(dir, name+".sock")
	end, err := process(ctx, program, args(path, socket)...)
	if err != nil {
		return system{}, nil, err
	}
	run := client(socket, "bench")
	first := func() error {
		_, err := run(ctx, cell{read: true, size: 4096, depth: 1}, 0)
		return err
	}
	if err := eventually(ctx, first); err != nil {
		end()
		return system{}, nil, fmt.Errorf("%s: %w", name, err)
	}
	return system{name, run}, end, nil
}

// process runs a program until end is called.
func process(ctx context.Context, program string, args ...string) (end func(), err error) {
	cmd := exec.CommandContext(ctx, program, args...)
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", program, err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}, nil
}

func eventually(ctx context.Context, f func() error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; {
		err := f()
		if err == nil || time.Now().After(end) {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
