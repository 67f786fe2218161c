package server

import (
	"context"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// The test program is also the process.
const roleVariable = "PERDURE_TEST_VOLUME_SERVER"

func processMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	s := New(Config{RunDir: os.Getenv(roleVariable), Weaker: Protect(), Memory: 8 << 20})
	err := s.Control(ctx)
	if e := s.Close(); err == nil {
		err = e
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "volume-server:", err)
		return 1
	}
	return 0
}

// process starts a volume-server and waits until it answers.
func process(t *testing.T, dir string) (*exec.Cmd, *Client) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+dir)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); ; <-tick.C {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		c, err := Dial(ctx, dir)
		cancel()
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			return cmd, c
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// TestProcess serves a volume from a process of its own: to qemu-io, across kill -9
// and an orderly end, with what protects it read back from the kernel.
func TestProcess(t *testing.T) {
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 32<<20); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd, c := process(t, dir)
	p := Spec{Name: "vol", Cluster: "c", Device: disk}
	var err error
	if p.ID, err = c.Create(ctx, p); err != nil {
		t.Fatal(err)
	}
	socket, err := c.Serve(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	st, err := c.Status(ctx)
	if err != nil || st.Open || len(st.Volumes) != 1 {
		t.Fatalf("status: %+v %v", st, err)
	}
	protected(t, cmd.Process.Pid, st.Weaker)
	if _, err := exec.LookPath("qemu-io"); err != nil {
		t.Skip("SKIPPED: no qemu-io here (Debian package qemu-utils)")
	}
	io := func(commands ...string) {
		t.Helper()
		args := []string{"-f", "raw"}
		for _, c := range commands {
			args = append(args, "-c", c)
		}
		out, err := exec.CommandContext(ctx, "qemu-io", append(args, "nbd:unix:"+socket+":exportname=vol")...).CombinedOutput()
		if err != nil || strings.Contains(string(out), "failed") {
			t.Fatalf("qemu-io %v: %v\n%s", commands, err, out)
		}
	}
	if err := c.Lease(ctx, math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	io("write -P 0xaa 1M 64k", "flush", "write -P 0xbb 9M 64k")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()

	cmd, c = process(t, dir)
	if _, err := c.Serve(ctx, p); err != nil {
		t.Fatal(err)
	}
	if err := c.Lease(ctx, math.MaxInt64); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(ctx); err != nil || st.Volumes[0].Hot != 2 {
		t.Errorf("after kill -9: %+v %v, want 2 hot extents", st, err)
	}
	io("read -P 0xaa 1M 64k", "read -P 0xbb 9M 64k")
	if err := c.Stop(ctx, "vol"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Serve(ctx, p); err != nil {
		t.Fatal(err)
	}
	if st, err := c.Status(ctx); err != nil || st.Volumes[0].Hot != 0 {
		t.Errorf("after an orderly end: %+v %v", st, err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	if _, err := c.Status(ctx); err == nil {
		t.Error("it answers after its end")
	}
}

// protected reads back what Protect has done. What it says it could not do is named
// in the log.
func protected(t *testing.T, pid int, weaker []cluster.Reason) {
	t.Helper()
	has := func(what string) bool {
		for _, w := range weaker {
			if w.Args[0] == what {
				t.Logf("NOT CHECKED: not permitted here: %v", w.Args)
				return false
			}
		}
		return true
	}
	if has("oom_score_adj") {
		score, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
		if err != nil || strings.TrimSpace(string(score)) != oomScore {
			t.Errorf("oom_score_adj is %q (%v)", score, err)
		}
	}
	if has("mlockall") {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range strings.Split(string(status), "\n") {
			var kib int
			if n, _ := fmt.Sscanf(l, "VmLck: %d kB", &kib); n == 1 && kib < 8<<10 {
				t.Errorf("%d KiB are locked: less than the pool", kib)
			}
		}
	}
	if has("PR_SET_IO_FLUSHER") {
		allFlushers(t, pid)
	}
}

// allFlushers looks at each thread's flags.
func allFlushers(t *testing.T, pid int) {
	t.Helper()
	// PF_MEMALLOC_NOIO and PF_LOCAL_THROTTLE (linux/sched.h).
	const flusher = 0x00080000 | 0x00100000
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(tasks) < 2 {
		t.Fatalf("threads of the process: %v %v", tasks, err)
	}
	for _, task := range tasks {
		stat, err := os.ReadFile(task)
		if err != nil {
			continue
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		var flags uint64
		if _, err := fmt.Sscan(fields[6], &flags); err != nil || flags&flusher != flusher {
			t.Errorf("%s: flags %#x don't say IO_FLUSHER (%v)", task, flags, err)
		}
	}
}
