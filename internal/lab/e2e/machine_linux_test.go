package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// commandMax bounds one command.
const commandMax = 30 * time.Second

// machine is one computer: a directory, addresses and perhaps a guardian or a
// witness.
type machine struct {
	name    string
	dir     string
	network int // of its first address; the second is one higher
	host    int
	env     []string
	// instance tells it apart from all other nodes of this computer.
	instance string
	// top is the process that the test started; nil: off.
	top  *exec.Cmd
	over chan struct{} // closed when top has ended
}

// newMachine makes one that is off. Its addresses are the host's in two
// networks.
func newMachine(t *testing.T, name string, network, host int) *machine {
	t.Helper()
	m := &machine{name: name, dir: t.TempDir(), network: network, host: host, instance: instance(fmt.Sprintf("%s%d", name, network))}
	m.env = append(clean(os.Environ()), "PERDURE_STATE_DIR="+m.state(), "PERDURE_RUN_DIR="+filepath.Join(m.dir, "run"),
		"PERDURE_INSTANCE="+m.instance, "COLUMNS=160", "LANG=C.UTF-8", "USER=kay", "TZ=UTC")
	if len(fleet[t]) == 0 {
		// All at once: nodes that leave one by one end up without a majority.
		t.Cleanup(func() {
			healthy(t, fleet[t]...)
			var ends sync.WaitGroup
			for _, m := range fleet[t] {
				ends.Go(func() { m.off(t) })
			}
			ends.Wait()
			for _, m := range fleet[t] {
				m.sweep()
			}
			delete(fleet, t)
		})
	}
	fleet[t] = append(fleet[t], m)
	return m
}

// fleet are the machines of each test. Tests run one after the other.
var fleet = map[*testing.T][]*machine{}

// clean leaves out what would change what the program says.
func clean(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "PERDURE_") && !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") && !strings.HasPrefix(e, "COLUMNS") {
			out = append(out, e)
		}
	}
	return out
}

func (m *machine) state() string { return filepath.Join(m.dir, "state") }
func (m *machine) log() string   { return filepath.Join(m.dir, "log") }

// paths are the flags for its comm paths.
func (m *machine) paths() []string {
	return []string{"--path", "lan=" + address(m.network, m.host), "--path", "san=" + address(m.network+1, m.host)}
}

// answer is what a command said.
type answer struct {
	words    []string
	code     int
	out, err string
	took     time.Duration
}

func (a answer) String() string {
	return fmt.Sprintf("$ perdure %s\nexit code %d after %v\n%s%s", strings.Join(a.words, " "), a.code, a.took.Round(time.Millisecond), a.out, a.err)
}

// command prepares a command as typed on the machine.
func (m *machine) command(ctx context.Context, words ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, binary, words...)
	c.Env, c.Dir = m.env, m.dir
	c.WaitDelay = time.Second
	return c
}

// perdure runs a command on the machine.
func (m *machine) perdure(words ...string) answer {
	ctx, cancel := context.WithTimeout(context.Background(), commandMax)
	defer cancel()
	c := m.command(ctx, words...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	began := time.Now()
	err := c.Run()
	a := answer{words: words, out: out.String(), err: errs.String(), took: time.Since(began)}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		a.code, a.err = -1, a.err+"\nno end within "+commandMax.String()
	case errors.As(err, &exit):
		a.code = exit.ExitCode()
	case err != nil:
		a.code, a.err = -1, a.err+err.Error()
	}
	return a
}

// must runs a command that has to succeed and returns what it printed.
func (m *machine) must(t *testing.T, words ...string) string {
	t.Helper()
	a := m.perdure(words...)
	if a.code != 0 {
		t.Fatalf("on %s: %v", m.name, a)
	}
	return a.out
}

// view is what its daemon knows.
func (m *machine) view() (v api.View, err error) {
	a := m.perdure("status", "--json", "--long")
	if a.code != 0 {
		return v, fmt.Errorf("on %s: %v", m.name, a)
	}
	return v, json.Unmarshal([]byte(a.out), &v)
}

// on starts the guardian, or the witness.
func (m *machine) on(t *testing.T, role cluster.Role) {
	t.Helper()
	words := []string{"guardian", "--watchdog", "none"}
	if role == cluster.RoleWitness {
		words = []string{"witness"}
	}
	log, err := os.OpenFile(m.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	c := m.command(context.Background(), words...)
	c.Stdout, c.Stderr = log, log
	// A group of its own: whatever is left of it can be ended as one.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	m.top, m.over = c, over
	go func() {
		_ = c.Wait()
		close(over)
	}()
}

// off ends what runs on the machine, however it has to.
func (m *machine) off(t *testing.T) {
	if m.top == nil {
		return
	}
	daemon := m.daemon()
	_ = syscall.Kill(m.top.Process.Pid, syscall.SIGTERM)
	select {
	case <-m.over:
	case <-time.After(15 * time.Second):
		t.Errorf("%s doesn't end; it is killed\n%s", m.name, m.tail(20))
		_ = syscall.Kill(-m.top.Process.Pid, syscall.SIGKILL)
		if daemon != 0 {
			_ = syscall.Kill(daemon, syscall.SIGKILL)
		}
		<-m.over
	}
	m.top = nil
}

// sweep removes the machine's control groups, which are empty now.
func (m *machine) sweep() {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var dirs []string
		_ = filepath.WalkDir(filepath.Join(root, "perdure", m.instance), func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for i := len(dirs) - 1; i >= 0; i-- {
			_ = os.Remove(dirs[i])
		}
	}
}

// ended waits for the end of the top process.
func (m *machine) ended(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-m.over:
		m.top = nil
	case <-time.After(within):
		t.Fatalf("%s still runs after %v\n%s", m.name, within, m.tail(20))
	}
}

// daemon is the process id of the daemon below the guardian; 0: there is none.
// A witness is its own daemon.
func (m *machine) daemon() int {
	if m.top == nil {
		return 0
	}
	pid := m.top.Process.Pid
	if len(m.top.Args) > 1 && m.top.Args[1] == "witness" {
		return pid
	}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		b, _ := os.ReadFile(task)
		for _, word := range strings.Fields(string(b)) {
			line, _ := os.ReadFile("/proc/" + word + "/cmdline")
			if bytes.Contains(line, []byte("\x00daemon\x00")) {
				child, _ := strconv.Atoi(word)
				return child
			}
		}
	}
	return 0
}

// tail is the end of the machine's log.
func (m *machine) tail(lines int) string {
	b, _ := os.ReadFile(m.log())
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return "log of " + m.name + ":\n" + strings.Join(all[max(len(all)-lines, 0):], "\n")
}

// alive reports whether a process runs: zombies don't.
func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// until asks again and again until it is so, or fails with what was said last.
func until(t *testing.T, what string, within time.Duration, ask func() error) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not within %v: %v\n%s", what, within, err, stories(t))
		case <-tick.C:
		}
	}
}

// stories is what a person would look at when something didn't happen.
func stories(t *testing.T) string {
	var b strings.Builder
	for test, all := range fleet {
		if !strings.HasPrefix(t.Name(), test.Name()) {
			continue
		}
		for i, m := range all {
			if i == 0 && m.top != nil {
				fmt.Fprintf(&b, "%v\n%v\n", m.perdure("status"), m.perdure("events", "-n", "30"))
			}
			b.WriteString(m.tail(12) + "\n")
		}
	}
	return b.String()
}
