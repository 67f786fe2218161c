package guardian

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// The test program is also the guardian and the daemon of the process tests.
const (
	roleVariable = "PERDURE_TEST_ROLE"
	dirVariable  = "PERDURE_TEST_DIR"
	nameVariable = "PERDURE_TEST_INSTANCE"
)

// Times of the process tests: a lease as for a detection time of one second.
const (
	testLease     = time.Second
	testGate      = 900 * time.Millisecond
	testStopAfter = 1500 * time.Millisecond
	testBeat      = 50 * time.Millisecond
)

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == volumesArgument {
		os.Exit(volumesMain())
	}
	switch os.Getenv(roleVariable) {
	case "guardian":
		os.Exit(guardianMain())
	case "daemon":
		os.Exit(daemonMain())
	case "crasher":
		os.Exit(crasherMain())
	}
	os.Exit(m.Run())
}

func guardianMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	defer stop()
	role := "daemon"
	if os.Getenv("PERDURE_TEST_CRASH") != "" {
		role = "crasher"
	}
	_ = os.Setenv(roleVariable, role)
	err := Run(ctx, Config{
		Daemon:       []string{os.Args[0]},
		VolumeServer: []string{os.Args[0], volumesArgument},
		Instance:     os.Getenv(nameVariable),
		RunDir:       os.Getenv(dirVariable),
		StopAfter:    testStopAfter,
		Log:          slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "guardian:", err)
		return 1
	}
	return 0
}

// report is what a daemon of the tests writes when it has started.
type report struct {
	PID     int
	State   State
	Service int // its process
	Error   string
}

// crasherMain is a daemon that ends at once.
func crasherMain() int {
	writeReport(report{PID: os.Getpid()})
	return 3
}

// daemonMain is a daemon that always has a lease and one service.
func daemonMain() int {
	fd, _ := strconv.Atoi(os.Getenv(FDVariable))
	c, err := Dial(uintptr(fd))
	if err != nil {
		writeReport(report{PID: os.Getpid(), Error: err.Error()})
		return 1
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM)
	r := report{PID: os.Getpid()}
	if r.State, err = c.Hello(); err == nil {
		r.Service, err = bringUp(c, r.State)
	}
	if err != nil {
		r.Error = err.Error()
	}
	if r.Error == "" && os.Getenv(volumesVariable) != "" {
		if err := c.Volumes(true); err != nil {
			r.Error = err.Error()
		}
	}
	writeReport(r)
	beat := time.NewTicker(testBeat)
	defer beat.Stop()
	for {
		select {
		case <-beat.C:
			if renew(c) != nil {
				return 1
			}
		case n, ok := <-c.Events():
			if !ok {
				return 2 // the guardian is gone
			}
			appendLine("notices", string(n.Kind)+" "+n.Hierarchy)
		case <-terminated:
			if os.Getenv("PERDURE_TEST_UNMANAGED") != "" {
				_ = c.Unmanaged(true)
			}
			return 0
		}
	}
}

func renew(c *Client) error {
	now := clock.Now().Boot
	return c.Renew(guard.Renew{Generation: 1, Until: now + testLease, Gate: now + testGate})
}

var testService = guard.Address{Addr: netip.MustParseAddr("10.78.0.10"), Device: "eth0"}

// bringUp starts the service unless it runs.
func bringUp(c *Client, s State) (int, error) {
	if s.Generation == 0 {
		if err := c.Admitted(1); err != nil {
			return 0, err
		}
	}
	if err := renew(c); err != nil {
		return 0, err
	}
	tree := cgroup.Find(os.Getenv(nameVariable))
	group := tree.PathOf("service", "web")
	if err := c.Guard("web", 1, []guard.Address{testService}, []string{group}); err != nil {
		return 0, err
	}
	if s.Unmanaged {
		if err := c.Unmanaged(false); err != nil {
			return 0, err
		}
	}
	if pids, err := cgroup.At(group).Procs(); err == nil && len(pids) > 0 {
		return pids[0], nil
	}
	if out, err := exec.Command("ip", "addr", "replace", testService.Addr.String()+"/24", "dev", "eth0").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	dir, err := cgroup.At(group).Open()
	if err != nil {
		return 0, err
	}
	defer func() { _ = dir.Close() }()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	return startOf(cmd)
}

func startOf(cmd *exec.Cmd) (int, error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

func writeReport(r report) {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	appendLine("reports", string(b))
}

func appendLine(file, line string) {
	f, err := os.OpenFile(filepath.Join(os.Getenv(dirVariable), file), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return
	}
	_, _ = f.WriteString(line + "\n")
	_ = f.Close()
}
