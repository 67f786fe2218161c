package netns

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/estate"
)

func TestOutageIsMeasured(t *testing.T) {
	c := newToy(t, Options{Nodes: []string{"n1", "n2"}})
	pass(100 * time.Millisecond) // good replies before the outage
	from := c.client.Clock().Now()
	c.drop("n1")
	dropped := c.client.Clock().Now()
	pass(700 * time.Millisecond)
	taking := c.client.Clock().Now()
	c.take("n2")
	taken := c.client.Clock().Now()
	c.serves("n2")

	v := client.Judge(client.Gather(c.client, c.prober, from), from, c.client.Clock().Now())
	// The address went and came at a moment inside the commands that moved it.
	least, most := taking-dropped, taken-from
	const tolerance = 10 * time.Millisecond
	if v.Longest < least-tolerance-v.Stalled || v.Longest > most+tolerance+v.Stalled {
		t.Errorf("measured %v, truth between %v and %v: %s", v.Longest, least, most, v)
	}
	if v.Nodes() != "n1 → n2" || len(v.Outages) != 1 || v.Open() {
		t.Errorf("one move from n1 to n2 is judged as: %s: %+v", v, v.Outages)
	}
	if len(v.Doubles) != 0 {
		t.Errorf("a handover is judged as double service: %+v", v.Doubles)
	}
	t.Logf("truth %v to %v: %s", least, most, v)
}

func TestDoubleServiceIsSeen(t *testing.T) {
	c := newToy(t, Options{})
	from := c.client.Clock().Now()
	c.take("n2")
	pass(300 * time.Millisecond)
	c.drop("n1")
	until := c.client.Clock().Now()
	c.serves("n2")
	v := client.Judge(client.Gather(c.client, c.prober, from), from, c.client.Clock().Now())
	seen := map[string]time.Duration{}
	for _, d := range v.Doubles {
		if d.A != "n1" || d.B != "n2" {
			t.Errorf("double service of the wrong nodes: %+v", d)
		}
		seen[d.By] += d.Length()
	}
	for _, by := range []string{"http", client.ByARP} {
		if seen[by] < 200*time.Millisecond-v.Stalled || seen[by] > until-from+10*time.Millisecond {
			t.Errorf("two nodes had the address for %v, seen by %s: %v", until-from, by, seen[by])
		}
	}
	t.Logf("truth %v, seen %v: %s", until-from, seen, v)
}

func TestFreeze(t *testing.T) {
	c := newToy(t, Options{Nodes: []string{"n1", "n2"}})
	n1, _ := c.Node("n1")
	from := c.client.Clock().Now()
	if err := c.Freeze(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	frozen := c.client.Clock().Now()
	pass(400 * time.Millisecond)
	in, err := n1.LookInside(t.Context())
	if err != nil || !in.On || !in.Address || !in.Accepts {
		t.Errorf("a frozen node's kernel must go on accepting: %+v, %v", in, err)
	}
	if serving, why := c.prober.Serving("n1"); serving || why != "timeout" {
		t.Errorf("a frozen node still serves (%v) or fails otherwise than by silence: %s", serving, why)
	}
	thawing := c.client.Clock().Now()
	if err := c.Thaw(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	c.serves("n1")
	v := client.Judge(client.Gather(c.client, c.prober, from), from, c.client.Clock().Now())
	if v.Longest < thawing-frozen-20*time.Millisecond {
		t.Errorf("frozen for %v, out for %v only: %s", thawing-frozen, v.Longest, v)
	}
	// A patient connection from before the thaw is answered after it.
	var late int
	for _, r := range c.prober.Replies(thawing) {
		if r.By == client.ByPatience && r.Sent < thawing-50*time.Millisecond {
			late++
		}
	}
	if late == 0 {
		t.Error("no patient probe saw the late reply of the thawed server")
	}
}

// TestThawedServerIsSeen is the very case the judge exists for: the old node
// wakes up while the new one serves.
func TestThawedServerIsSeen(t *testing.T) {
	c := newToy(t, Options{Nodes: []string{"n1", "n2"}})
	from := c.client.Clock().Now()
	if err := c.Freeze(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	pass(300 * time.Millisecond) // patient probes collect
	c.take("n2")
	c.serves("n2")
	pass(300 * time.Millisecond)
	if err := c.Thaw(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	pass(300 * time.Millisecond)
	v := client.Judge(client.Gather(c.client, c.prober, from), from, c.client.Clock().Now())
	http := false
	for _, d := range v.Doubles {
		http = http || d.By == "http"
	}
	if !http {
		t.Errorf("the thawed server beside the new one wasn't seen: %s", v)
	}
}

func TestPowerOff(t *testing.T) {
	c := newToy(t, Options{Nodes: []string{"n1", "n2"}})
	n1, _ := c.Node("n1")
	boot, err := n1.Run(t.Context(), "cat", bootID)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(n1.StateDir(), "state"), []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	// A connection from outside: the power loss must not say farewell on it.
	conn, err := c.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := c.PowerOff(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if _, err := conn.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("a node without power said something: %v", err)
	}
	if pids, err := n1.cg.PIDs(); err != nil || len(pids) != 0 {
		t.Errorf("processes without power: %v, %v", pids, err)
	}
	if _, err := n1.Run(t.Context(), "true"); err == nil {
		t.Error("a node without power runs a command")
	}
	if err := c.PowerOn(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	again, err := n1.Run(t.Context(), "sh", "-c", "cat "+bootID+"; uname -n; ls /run; cat /sys/class/net/eth0/carrier; test -d /sys/fs/cgroup && ip -4 -br addr show eth0")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(again, "\n")
	if lines[0] == strings.TrimSpace(boot) || lines[1] != "n1" || lines[2] != "web" || lines[3] != "1" ||
		strings.Contains(again, c.VIP().Addr().String()) {
		t.Errorf("after the boot (boot id was %s):\n%s", boot, again)
	}
	if kept, err := os.ReadFile(filepath.Join(n1.StateDir(), "state")); err != nil || string(kept) != "kept" {
		t.Errorf("durable state after the boot: %q, %v", kept, err)
	}
	c.take("n2")
	c.serves("n2")
}

func isTimeout(err error) bool {
	timeout, ok := err.(net.Error)
	return ok && timeout.Timeout()
}

// The probes reach a node that is cut off from all others.
func TestProbesPassCuts(t *testing.T) {
	c := newToy(t, Options{Nodes: []string{"n1", "n2"}})
	if err := c.BlockAll(t.Context(), "n1", ""); err != nil {
		t.Fatal(err)
	}
	from := c.client.Clock().Now()
	until(t, "a probe's reply from the isolated node", func() bool {
		for _, r := range c.prober.Replies(from) {
			if r.Node == "n1" && r.By == client.ByProbe && r.Sent >= from {
				return true
			}
		}
		return false
	})
	if a := c.client.LastGood(); a.Sent > from+20*time.Millisecond {
		t.Errorf("the outside client reaches an isolated node: %+v", a)
	}
}

func TestCrashLeavesNothing(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the process lab needs root for namespaces and cgroups")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, os.Args[0], "crash").Output()
	paths := strings.Fields(string(out))
	if len(paths) != 2 {
		t.Fatalf("the lab that should crash said %q", out)
	}
	until(t, "the janitor's work", func() bool {
		for _, path := range paths {
			if _, err := os.Stat(path); err == nil {
				return false
			}
		}
		return true
	})
}

// What even the janitor left is removed by the next lab.
func TestStaleIsRemoved(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the process lab needs root for namespaces and cgroups")
	}
	mount, err := estate.Mount()
	if err != nil {
		t.Fatal(err)
	}
	// This process lives, but began at another time.
	fields := strings.Split(must(estate.NewName()), "-")
	fields[3] = "1"
	name := strings.Join(fields, "-")
	group, dir := estate.Group(filepath.Join(mount, name, "n1", "init")), filepath.Join(os.TempDir(), name)
	if err := group.Make(); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "n1"), 0o700); err != nil {
		t.Fatal(err)
	}
	sleep := exec.Command("sleep", "300")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	if err := group.Write("cgroup.procs", itoa(sleep.Process.Pid)); err != nil {
		t.Fatal(err)
	}
	newLab(t, Options{Nodes: []string{"n1"}})
	if err := sleep.Wait(); err == nil {
		t.Error("the stale process ended by itself")
	}
	for _, path := range []string{filepath.Join(mount, name), dir} {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("stale %s is still there", path)
		}
	}
}
