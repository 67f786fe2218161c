package guardian

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// node is a guardian with its daemon and service in a network namespace, and a
// peer that asks for the service's address.
type node struct {
	t        testing.TB
	id       string
	dir      string
	ns, peer string
	tree     cgroup.Tree
	env      []string
	cmd      *exec.Cmd
	exited   chan error
}

var nodes atomic.Int64

func newNode(t testing.TB, env ...string) *node {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIP: namespaces and cgroups need root")
	}
	id := fmt.Sprintf("pdt%d-%d", os.Getpid(), nodes.Add(1))
	n := &node{t: t, id: id, dir: t.TempDir(), ns: id + "-n", peer: id + "-p", tree: cgroup.Find(id), env: env}
	if ok, why := n.tree.Available(); !ok {
		t.Skip("SKIP: no cgroups: " + why)
	}
	t.Cleanup(n.cleanup)
	for _, ns := range []string{n.ns, n.peer} {
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	run(t, "ip", "-n", n.ns, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", n.peer)
	for ns, a := range map[string]string{n.ns: "10.78.0.1/24", n.peer: "10.78.0.2/24"} {
		run(t, "ip", "-n", ns, "addr", "add", a, "dev", "eth0")
		run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	}
	return n
}

// cleanup kills everything of this node, which is all in its groups.
func (n *node) cleanup() {
	if n.cmd != nil {
		_ = n.cmd.Process.Signal(unix.SIGCONT)
		_ = n.cmd.Process.Kill()
		<-n.exited
	}
	deadline, cancel := deadlineOf(n.t, 5*time.Second)
	defer cancel()
	if err := cgroup.At(n.tree.Path()).Kill(deadline); err != nil {
		n.t.Error(err)
	}
	if err := n.tree.Remove(); err != nil {
		n.t.Error(err)
	}
	if n.t.Failed() {
		log, _ := os.ReadFile(filepath.Join(n.dir, "log"))
		n.t.Logf("the guardian's log:\n%s", log)
	}
}

// start runs the guardian. Not by ip netns exec, which hides the cgroups.
func (n *node) start() {
	n.t.Helper()
	log, err := os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		n.t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command("nsenter", "--net=/run/netns/"+n.ns, os.Args[0])
	cmd.Env = append(os.Environ(), append(n.env, roleVariable+"=guardian", dirVariable+"="+n.dir, nameVariable+"="+n.id)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.cmd, n.exited = cmd, make(chan error, 1)
	exited := n.exited
	go func() {
		exited <- cmd.Wait()
		close(exited)
	}()
}

// reports are what the daemons of this node have written.
func (n *node) reports() []report {
	var out []report
	f, err := os.Open(filepath.Join(n.dir, "reports"))
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	for s := bufio.NewScanner(f); s.Scan(); {
		var r report
		if json.Unmarshal(s.Bytes(), &r) == nil {
			out = append(out, r)
		}
	}
	return out
}

// daemon waits for the nth daemon (from 1) and returns its report.
func (n *node) daemon(nth int) report {
	n.t.Helper()
	eventually(n.t, 10*time.Second, fmt.Sprintf("daemon %d starts", nth), func() bool { return len(n.reports()) >= nth })
	r := n.reports()[nth-1]
	if r.Error != "" {
		n.t.Fatalf("daemon %d: %s", nth, r.Error)
	}
	return r
}

// pings reports whether the peer gets an answer from the service's address.
func (n *node) pings() bool {
	run(n.t, "ip", "-n", n.peer, "neigh", "flush", "all")
	return exec.Command("ip", "netns", "exec", n.peer, "ping", "-n", "-c", "1", "-W", "0.3", testService.Addr.String()).Run() == nil
}

// has reports whether the service's address is on the device.
func (n *node) has() bool {
	return strings.Contains(run(n.t, "ip", "-n", n.ns, "addr", "show", "dev", "eth0"), testService.Addr.String()+"/")
}

func (n *node) frozen() bool {
	f, err := cgroup.At(n.tree.PathOf("service", "web")).Frozen()
	return err == nil && f
}

func (n *node) noticed(kind string) bool {
	b, _ := os.ReadFile(filepath.Join(n.dir, "notices"))
	return strings.Contains(string(b), kind)
}

func (n *node) signal(pid int, s syscall.Signal) {
	n.t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		n.t.Fatalf("signal %d: %v", pid, err)
	}
}

// alive reports whether the process exists; a zombie doesn't count.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(b), ") Z ")
}

func exists(pid int) bool { return !errors.Is(unix.Kill(pid, 0), unix.ESRCH) }

func TestKilledDaemonIsBackWithSessionAndLease(t *testing.T) {
	n := newNode(t)
	n.start()
	first := n.daemon(1)
	if !n.pings() {
		t.Fatal("the service doesn't answer")
	}
	killed := time.Now()
	n.signal(first.PID, unix.SIGKILL)
	eventually(t, 5*time.Second, "a second daemon", func() bool { return len(n.reports()) >= 2 })
	took := time.Since(killed)
	second := n.daemon(2)
	if took > testGate {
		t.Errorf("the daemon was back after %v, later than the lease allows", took)
	}
	t.Logf("back and in touch with its guardian after %v", took)
	s := second.State
	if s.Session != first.State.Session || s.Generation != 1 || s.LeaseUntil == 0 || len(s.Guarded) != 1 {
		t.Errorf("the second daemon finds %+v", s)
	}
	if second.Service != first.Service || !alive(first.Service) || !n.pings() {
		t.Error("the service didn't run on")
	}
	// The dead daemon's service is the guardian's child now, and it reaps it.
	n.signal(first.Service, unix.SIGKILL)
	eventually(t, 2*time.Second, "the orphan is reaped", func() bool { return !exists(first.Service) })
}

func TestStoppedDaemonLosesServicesRungByRung(t *testing.T) {
	n := newNode(t)
	n.start()
	d := n.daemon(1)
	if !n.pings() {
		t.Fatal("the service doesn't answer")
	}
	n.signal(d.PID, unix.SIGSTOP)
	eventually(t, 3*time.Second, "the address falls silent", func() bool { return !n.pings() })
	eventually(t, time.Second, "the service is frozen", n.frozen)
	if !alive(d.Service) || !n.has() {
		t.Error("killed before its time")
	}
	eventually(t, 4*time.Second, "the service is killed", func() bool { return !exists(d.Service) || !alive(d.Service) })
	eventually(t, time.Second, "the address is removed", func() bool { return !n.has() })
	n.signal(d.PID, unix.SIGCONT)
	eventually(t, 2*time.Second, "the daemon is told", func() bool { return n.noticed("killed web") })
}

func TestStoppedDaemonBackInTime(t *testing.T) {
	n := newNode(t)
	n.start()
	d := n.daemon(1)
	n.signal(d.PID, unix.SIGSTOP)
	eventually(t, 3*time.Second, "the service is frozen", n.frozen)
	n.signal(d.PID, unix.SIGCONT)
	eventually(t, 2*time.Second, "the address answers again", n.pings)
	eventually(t, 2*time.Second, "the daemon is told to announce it again", func() bool { return n.noticed("doubt") })
	if n.frozen() || !alive(d.Service) {
		t.Error("the service didn't go on")
	}
}

// TestStoppedGuardian: only the kernel is left to close the gate.
func TestStoppedGuardian(t *testing.T) {
	n := newNode(t)
	n.start()
	d := n.daemon(1)
	if !n.pings() {
		t.Fatal("the service doesn't answer")
	}
	stopped := time.Now()
	n.signal(n.cmd.Process.Pid, unix.SIGSTOP)
	eventually(t, 3*time.Second, "the address falls silent", func() bool { return !n.pings() })
	t.Logf("silent %v after the guardian stood still", time.Since(stopped))
	if n.frozen() {
		t.Error("who froze it?")
	}
	n.signal(n.cmd.Process.Pid, unix.SIGCONT)
	eventually(t, 3*time.Second, "the address answers again", n.pings)
	eventually(t, 2*time.Second, "the daemon is told to announce it again", func() bool { return n.noticed("doubt") })
	if !alive(d.Service) {
		t.Error("the service was killed")
	}
}

func TestNextGuardianCleans(t *testing.T) {
	n := newNode(t)
	n.start()
	first := n.daemon(1)
	n.signal(n.cmd.Process.Pid, unix.SIGKILL)
	<-n.exited
	eventually(t, 3*time.Second, "the daemon ends with its guardian", func() bool { return !alive(first.PID) })
	eventually(t, 3*time.Second, "the address falls silent", func() bool { return !n.pings() })
	if !alive(first.Service) || !n.has() {
		t.Fatal("nothing is left over, so this proves nothing")
	}
	n.start()
	second := n.daemon(2)
	if alive(first.Service) {
		t.Error("the old service still runs")
	}
	if s := second.State; s.Session == first.State.Session || s.Generation != 0 || len(s.Cleaned) == 0 {
		t.Errorf("the next session: %+v", s)
	}
	t.Logf("cleaned: %v", second.State.Cleaned)
}

func TestUnmanagedIsHandedOver(t *testing.T) {
	n := newNode(t, "PERDURE_TEST_UNMANAGED=1")
	n.start()
	first := n.daemon(1)
	n.signal(n.cmd.Process.Pid, unix.SIGTERM)
	if err := <-n.exited; err != nil {
		t.Fatalf("the guardian's end: %v", err)
	}
	over := time.After(testLease + testStopAfter)
	eventually(t, 10*time.Second, "every deadline has passed", func() bool {
		select {
		case <-over:
			return true
		default:
			return false
		}
	})
	if !n.pings() || !alive(first.Service) {
		t.Fatal("the service doesn't run on")
	}
	n.start()
	second := n.daemon(2)
	if s := second.State; s.Session != first.State.Session || s.Generation != 1 || !s.Unmanaged || len(s.Guarded) != 1 {
		t.Errorf("the next guardian: %+v", s)
	}
	if second.Service != first.Service || !alive(first.Service) || !n.pings() {
		t.Error("the service was disturbed")
	}
	// Managed again, so the deadlines hold.
	n.signal(second.PID, unix.SIGSTOP)
	eventually(t, 3*time.Second, "the address falls silent", func() bool { return !n.pings() })
	n.signal(second.PID, unix.SIGCONT)
}

func TestCleanStopLeavesNothing(t *testing.T) {
	n := newNode(t)
	n.start()
	d := n.daemon(1)
	n.signal(n.cmd.Process.Pid, unix.SIGTERM)
	if err := <-n.exited; err != nil {
		t.Fatalf("the guardian's end: %v", err)
	}
	if alive(d.Service) || n.has() {
		t.Error("the service or its address is left")
	}
	if rules := run(t, "ip", "netns", "exec", n.ns, "nft", "list", "ruleset"); rules != "" {
		t.Errorf("rules are left:\n%s", rules)
	}
}

func TestOneGuardian(t *testing.T) {
	n := newNode(t)
	n.start()
	n.daemon(1)
	other := &node{t: t, id: n.id, dir: n.dir, ns: n.ns, env: n.env}
	other.start()
	if err := <-other.exited; err == nil {
		t.Error("a second guardian of the instance ran")
	}
	if !n.pings() {
		t.Error("the second guardian disturbed the first")
	}
}

func TestCrashLoopBacksOff(t *testing.T) {
	n := newNode(t, "PERDURE_TEST_CRASH=1")
	n.start()
	eventually(t, 10*time.Second, "four crashes", func() bool { return len(n.reports()) >= 4 })
	began, count := time.Now(), len(n.reports())
	eventually(t, 10*time.Second, "a fifth", func() bool { return len(n.reports()) > count })
	if pause := time.Since(began); pause < 150*time.Millisecond {
		t.Errorf("started again after %v in a crash loop", pause)
	}
}

// TestFlushedRulesetIsBuiltAgain: a firewall that is reloaded takes the gate
// with it.
func TestFlushedRulesetIsBuiltAgain(t *testing.T) {
	n := newNode(t)
	n.start()
	d := n.daemon(1)
	run(t, "ip", "netns", "exec", n.ns, "nft", "flush", "ruleset")
	eventually(t, 2*time.Second, "the daemon is told", func() bool { return n.noticed("trouble") })
	eventually(t, 2*time.Second, "the address answers", n.pings)
	n.signal(d.PID, unix.SIGSTOP)
	eventually(t, 3*time.Second, "the address falls silent", func() bool { return !n.pings() })
}

// BenchmarkGuardian shows what the guardian of a node in service costs with 20
// renewals a second; by default there are 8.
func BenchmarkGuardian(b *testing.B) {
	n := newNode(b)
	n.start()
	n.daemon(1)
	before, began := cpuOf(b, n.cmd.Process.Pid), time.Now()
	for b.Loop() {
		<-time.After(time.Second)
	}
	used := cpuOf(b, n.cmd.Process.Pid) - before
	b.ReportMetric(float64(used)/float64(time.Since(began))*100, "%core")
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", n.cmd.Process.Pid))
	if _, after, ok := strings.Cut(string(status), "VmRSS:"); ok {
		var kb float64
		_, _ = fmt.Sscan(after, &kb)
		b.ReportMetric(kb/1024, "MiB")
	}
}

// cpuOf is the processor time of a process, by its scheduler statistics.
func cpuOf(b *testing.B, pid int) time.Duration {
	b.Helper()
	var sum time.Duration
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, f := range tasks {
		text, _ := os.ReadFile(f)
		var ns int64
		_, _ = fmt.Sscan(string(text), &ns)
		sum += time.Duration(ns)
	}
	if sum == 0 {
		b.Skip("SKIP: this kernel has no scheduler statistics")
	}
	return sum
}
