package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stageEnv says how far a process has come on the way to the tests: nothing,
// then "init" (the first process of the namespaces), then "play".
const stageEnv = "PERDURE_E2E_STAGE"

// binary is the perdure under test.
var binary string

func TestMain(m *testing.M) {
	switch stage := os.Getenv(stageEnv); {
	case stage == "init":
		os.Exit(initProcess())
	case stage == "" && os.Geteuid() == 0:
		if code, ok := enter(); ok {
			os.Exit(code)
		}
		fmt.Println("no namespaces here: the tests run where they are")
	}
	os.Exit(play(m))
}

// enter runs this program again in namespaces of its own. ok is false where
// that is not allowed.
func enter() (code int, ok bool) {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.Env = append(os.Environ(), stageEnv+"=init", fmt.Sprintf("PERDURE_E2E_INSTANCE=e2e%d", os.Getpid()))
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	err := c.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, true
	case errors.As(err, &exit):
		return max(exit.ExitCode(), 1), true
	}
	return 0, false
}

// initProcess is the first process of the namespaces: it furnishes them, runs
// the tests and buries whatever loses its parent.
func initProcess() int {
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	}
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "furnish the namespaces:", err)
		return 1
	}
	os.Unsetenv(stageEnv)
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Env = append(os.Environ(), stageEnv+"=play")
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := child.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "run the tests:", err)
		return 1
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			fmt.Fprintln(os.Stderr, "wait for the tests:", err)
			return 1
		case pid == child.Process.Pid && status.Exited():
			return status.ExitStatus()
		case pid == child.Process.Pid:
			return 1
		}
	}
}

// play builds the binary and runs the tests.
func play(m *testing.M) int {
	dir, err := os.MkdirTemp("", "perdure-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "perdure")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", binary, "github.com/perdure-ha/perdure/cmd/perdure")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build perdure: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// rooted reports whether the tests have namespaces of their own.
func rooted() bool { return os.Getenv(stageEnv) == "play" }

// instance is a name for a node among all nodes of this machine.
func instance(name string) string {
	base := os.Getenv("PERDURE_E2E_INSTANCE")
	if base == "" {
		base = fmt.Sprintf("e2e%d", os.Getpid())
	}
	return base + strings.ReplaceAll(name, "-", "")
}

// address gives out loopback addresses; without namespaces those of other test
// processes are avoided.
func address(network, host int) string {
	second := 16
	if !rooted() {
		second = 16 + os.Getpid()%200
	}
	return fmt.Sprintf("127.%d.%d.%d", second, network, host)
}
