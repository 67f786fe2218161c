package guardian

import (
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/clock"
)

const (
	volumesArgument = "volumes"
	volumesVariable = "PERDURE_TEST_VOLUMES"
)

// volumesMain is a volume-server that writes down what it is told: its process id,
// and for how long it may serve.
func volumesMain() int {
	fd, _ := strconv.Atoi(os.Getenv(FDVariable))
	l, err := DialLease(uintptr(fd))
	if err != nil {
		return 1
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, unix.SIGTERM)
	go func() {
		<-terminated
		appendLine("volumes", fmt.Sprintf("%d ended", os.Getpid()))
		os.Exit(0)
	}()
	for {
		until, err := l.Next()
		if err != nil {
			return 2
		}
		left := until - clock.Now().Boot
		switch {
		case until == 0:
			appendLine("volumes", fmt.Sprintf("%d shut", os.Getpid()))
		case until == math.MaxInt64:
			appendLine("volumes", fmt.Sprintf("%d forever", os.Getpid()))
		case left > 0 && left <= testGate:
			appendLine("volumes", fmt.Sprintf("%d open", os.Getpid()))
		default:
			appendLine("volumes", fmt.Sprintf("%d odd %v", os.Getpid(), left))
		}
	}
}

// told are the lines of a node's volume-servers.
func (n *node) told() [][]string {
	text, _ := os.ReadFile(filepath.Join(n.dir, "volumes"))
	var all [][]string
	for _, l := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if f := strings.SplitN(l, " ", 2); len(f) == 2 {
			all = append(all, f)
		}
	}
	return all
}

// TestVolumeServer: it is started when the daemon wants it, hears of each renewal
// and of the lease's end, is started again when it is killed, doesn't notice that
// the daemon is killed, and ends in order with the guardian.
func TestVolumeServer(t *testing.T) {
	n := newNode(t, volumesVariable+"=1")
	n.start()
	first := n.daemon(1)
	last := func() []string {
		if all := n.told(); len(all) > 0 {
			return all[len(all)-1]
		}
		return []string{"", ""}
	}
	eventually(t, 10*time.Second, "the volume-server may serve", func() bool { return last()[1] == "open" })
	pid := last()[0]
	id, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(id, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "another one may serve", func() bool { return last()[0] != pid && last()[1] == "open" })
	pid = last()[0]
	// A daemon that stands still renews nothing.
	if err := unix.Kill(first.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "the lease's end is told", func() bool { return last()[1] == "shut" })
	if err := unix.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	n.daemon(2)
	eventually(t, 10*time.Second, "it may serve again", func() bool { return last()[1] == "open" })
	if last()[0] != pid {
		t.Error("the volume-server was replaced with the daemon")
	}
	if err := n.cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-n.exited; err != nil {
		t.Errorf("the guardian ended with %v", err)
	}
	n.cmd = nil
	ended := false
	for _, l := range n.told() {
		ended = ended || l[0] == pid && l[1] == "ended"
		if strings.HasPrefix(l[1], "odd") {
			t.Errorf("told a deadline that isn't the gate's: %v", l)
		}
	}
	if !ended {
		t.Errorf("the volume-server wasn't asked to end: %v", n.told())
	}
}
