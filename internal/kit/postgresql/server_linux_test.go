package postgresql

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server with data of its own.
type world struct {
	*kit.Agent
	host           kit.Host
	bin, data, dir string
	settings       map[string]string
}

func newWorld(t *testing.T, more ...string) *world {
	t.Helper()
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		t.Skip("SKIPPED: the package postgresql is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: starting a server of another user needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "pg") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{host: kittest.Host(t, true), bin: bins[len(bins)-1], dir: dir, data: filepath.Join(dir, "data")}
	must(t, "chown", "postgres", dir)
	must(t, "runuser", "-u", "postgres", "--", w.bin+"/initdb", "-D", w.data, "-A", "trust", "--no-sync", "--no-instructions", "-E", "UTF8")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	w.settings = map[string]string{"data": w.data, "check.timeout": "1m", "deep.timeout": "1m",
		"options": fmt.Sprintf("-c port=%d -c unix_socket_directories=%s -c fsync=off -c shared_buffers=16MB -c max_connections=20", port, dir)}
	for i := 0; i < len(more); i += 2 {
		w.settings[more[i]] = more[i+1]
	}
	w.Agent = kittest.Open(t, w.host, Kit{}, w.settings)
	t.Cleanup(func() {
		if err := w.Stop(kittest.Context(t)); err != nil {
			t.Error("stop at the end: ", err)
		}
	})
	return w
}

func (w *world) start(t *testing.T) {
	t.Helper()
	if err := w.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
}

func (w *world) pid(t *testing.T) int {
	t.Helper()
	f, err := readPidFile(w.data)
	if err != nil {
		t.Fatal(err)
	}
	return f.pid
}

func (w *world) psql(t *testing.T, query string) string {
	t.Helper()
	f, err := readPidFile(w.data)
	if err != nil {
		t.Fatal(err)
	}
	return must(t, w.bin+"/psql", "-XAtq", "-h", w.dir, "-p", strconv.Itoa(f.port), "-U", "postgres", "-c", query)
}

func must(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func TestLife(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	if err := w.Validate(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, w.Check(ctx, kit.Light), cluster.OutOfService, message.DatabaseNotRunning)
	w.start(t)
	pid := w.pid(t)
	w.start(t) // again is nothing
	if w.pid(t) != pid {
		t.Error("a second start started another server")
	}
	want(t, w.Check(ctx, kit.Light), cluster.InService, "")
	want(t, w.Check(ctx, kit.Deep), cluster.InService, "")
	w.psql(t, "create table kept(n int); insert into kept values (7)")

	// Another daemon takes it over as it runs.
	next := kittest.Open(t, w.host, Kit{}, w.settings)
	if found, err := next.Adopt(ctx); !found || err != nil {
		t.Fatal(found, err)
	}
	want(t, next.Check(ctx, kit.Deep), cluster.InService, "")

	// A client is no reason not to stop.
	client := exec.Command(w.bin+"/psql", "-X", "-h", w.dir, "-U", "postgres", "-p", strconv.Itoa(func() int { f, _ := readPidFile(w.data); return f.port }()), "-c", "select pg_sleep(600)")
	if err := client.Start(); err != nil {
		t.Fatal(err)
	}
	defer client.Wait()
	kittest.Eventually(t, "the client is there", func() bool {
		return w.psql(t, "select count(*) from pg_stat_activity where query like '%pg_sleep(600)%' and pid <> pg_backend_pid()") == "1"
	})
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := readPidFile(w.data); err != errNoPidFile {
		t.Error("it didn't end in its own way: ", err)
	}
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
	w.start(t)
	if got := w.psql(t, "select n from kept"); got != "7" {
		t.Errorf("data %q", got)
	}
}

// A killed postmaster is reported without being asked, and comes back with its
// recovery although its file names a process that lives.
func TestKilled(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	w.start(t)
	w.psql(t, "create table kept(n int); insert into kept values (7)")
	events := kittest.Events(t, w.Agent)
	if err := syscall.Kill(w.pid(t), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.DatabaseEnded)
	want(t, w.Check(ctx, kit.Light), cluster.Failed, message.DatabaseEnded)
	// As if it had come from another node: the number is somebody else's here,
	// and of the server's own user, which PostgreSQL alone would not get over.
	other := exec.Command("runuser", "-u", "postgres", "--", "sleep", "600")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	path := filepath.Join(w.data, "postmaster.pid")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n")
	if err := os.WriteFile(path, []byte(strconv.Itoa(other.Process.Pid)+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	w.start(t)
	if got := w.psql(t, "select n from kept"); got != "7" {
		t.Errorf("data %q", got)
	}
	want(t, w.Check(ctx, kit.Deep), cluster.InService, "")
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("the other process was harmed: ", err)
	}
}

// The process is there and does nothing: only a query tells.
func TestHangs(t *testing.T) {
	ctx, w := t.Context(), newWorld(t, "deep.timeout", "2s", "stop.timeout", "10s")
	w.start(t)
	if err := syscall.Kill(w.pid(t), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, "it is seen to be stopped", func() bool {
		return w.Check(ctx, kit.Light).Reason.Code == message.DatabaseFrozen
	})
	// A backend that waits for ever, in every connection there is.
	if err := syscall.Kill(w.pid(t), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	slow := kittest.Open(t, w.host, Kit{}, with(w.settings, "query", "select pg_sleep(600)"))
	if found, err := slow.Adopt(ctx); !found || err != nil {
		t.Fatal(found, err)
	}
	want(t, slow.Check(ctx, kit.Deep), cluster.Failed, message.DatabaseNoAnswer)
	want(t, slow.Check(ctx, kit.Light), cluster.InService, "")
	bad := kittest.Open(t, w.host, Kit{}, with(w.settings, "query", "select * from nothing"))
	if _, err := bad.Adopt(ctx); err != nil {
		t.Fatal(err)
	}
	if h := bad.Check(ctx, kit.Deep); h.Status != cluster.Failed || !strings.Contains(h.String(), "does not exist") {
		t.Error(h)
	}
	// A stopped server hears nothing, and is ended all the same.
	if err := syscall.Kill(w.pid(t), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	pid := w.pid(t)
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if postmaster(pid, w.data) {
		t.Error("it runs on")
	}
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	w := newWorld(t)
	t.Run("somebody else's server", func(t *testing.T) {
		must(t, "runuser", "-u", "postgres", "--", w.bin+"/pg_ctl", "start", "-D", w.data, "-w", "-l", w.dir+"/log", "-o", w.settings["options"])
		defer must(t, "runuser", "-u", "postgres", "--", w.bin+"/pg_ctl", "stop", "-D", w.data, "-w", "-m", "immediate")
		if err := w.Start(ctx, ""); !message.Has(err, message.DatabaseForeign) {
			t.Error(err)
		}
		want(t, w.Check(ctx, kit.Light), cluster.Failed, message.DatabaseForeign)
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		if !postmaster(w.pid(t), w.data) {
			t.Error("a server that isn't ours was stopped")
		}
	})
	t.Run("bad option", func(t *testing.T) {
		a := kittest.Open(t, w.host, Kit{}, with(w.settings, "options", "-c shared_buffers=nonsense"))
		err := a.Start(ctx, "")
		if !message.Has(err, message.DatabaseNotStarted) || !strings.Contains(err.Error(), "shared_buffers") {
			t.Error(err)
		}
	})
	t.Run("no data", func(t *testing.T) {
		a := kittest.Open(t, w.host, Kit{}, with(w.settings, "data", w.dir+"/nowhere"))
		if err := a.Validate(ctx); err != nil {
			t.Error("the disk may come later: ", err)
		}
		if err := a.Start(ctx, ""); !message.Has(err, message.DatabaseNoData) {
			t.Error(err)
		}
		want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.DatabaseNotRunning)
	})
	t.Run("no such user", func(t *testing.T) {
		if err := kittest.Open(t, w.host, Kit{}, with(w.settings, "user", "nobody-here")).Validate(ctx); !message.Has(err, message.NoSuchUser) {
			t.Error(err)
		}
	})
	t.Run("no programs", func(t *testing.T) {
		if err := kittest.Open(t, w.host, Kit{}, with(w.settings, "bin", "/nowhere")).Validate(ctx); !message.Has(err, message.DatabaseNoProgram) {
			t.Error(err)
		}
	})
}

func with(m map[string]string, name, value string) map[string]string {
	out := map[string]string{name: value}
	for k, v := range m {
		if k != name {
			out[k] = v
		}
	}
	return out
}
