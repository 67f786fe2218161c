package mysql

import (
	"os"
	"os/exec"
	"path/filepath"
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
	host      kit.Host
	dir, data string
	settings  map[string]string
}

func newWorld(t *testing.T, more ...string) *world {
	t.Helper()
	for _, tool := range []string{"mariadbd", "mariadb", "mariadb-install-db"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: the package mariadb-server is not installed: no %s", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: starting a server of another user needs root")
	}
	dir, err := os.MkdirTemp("/tmp", "my") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	w := &world{host: kittest.Host(t, true), dir: dir, data: filepath.Join(dir, "data")}
	must(t, "chown", "mysql", dir)
	must(t, "mariadb-install-db", "--no-defaults", "--user=mysql", "--datadir="+w.data, "--skip-test-db", "--skip-name-resolve")
	config := filepath.Join(dir, "my.cnf")
	if err := os.WriteFile(config, []byte("[mariadbd]\nskip-networking\ninnodb_buffer_pool_size=8M\ninnodb_log_file_size=4M\ninnodb_flush_method=nosync\nkey_buffer_size=1M\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.settings = map[string]string{"data": w.data, "config": config, "socket": filepath.Join(dir, "s"), "check.timeout": "1m", "deep.timeout": "1m"}
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

func (w *world) start(t *testing.T) int {
	t.Helper()
	if err := w.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	id, runs, err := w.Resource.(*Server).Running()
	if err != nil || !runs {
		t.Fatal("it doesn't run: ", err)
	}
	return id.PID
}

func (w *world) sql(t *testing.T, query string) string {
	t.Helper()
	return must(t, "mariadb", "--socket="+w.settings["socket"], "-N", "-B", "-e", query)
}

func must(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
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
	pid := w.start(t)
	if w.start(t) != pid { // again is nothing
		t.Error("a second start started another server")
	}
	want(t, w.Check(ctx, kit.Light), cluster.InService, "")
	want(t, w.Check(ctx, kit.Deep), cluster.InService, "")
	w.sql(t, "create database shop; create table shop.kept(n int) engine=innodb; insert into shop.kept values (7)")
	next := kittest.Open(t, w.host, Kit{}, w.settings)
	if found, err := next.Adopt(ctx); !found || err != nil {
		t.Fatal(found, err)
	}
	want(t, next.Check(ctx, kit.Deep), cluster.InService, "")

	// Killed: reported unasked, and its next start recovers.
	events := kittest.Events(t, w.Agent)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.DatabaseEnded)
	want(t, w.Check(ctx, kit.Light), cluster.Failed, message.DatabaseEnded)
	w.start(t)
	if got := w.sql(t, "select n from shop.kept"); got != "7" {
		t.Errorf("data %q", got)
	}
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(filepath.Join(w.Instance().RunDir, "output")); !strings.Contains(string(b), "Shutdown complete") {
		t.Errorf("it didn't stop in its own way: %s", b)
	}
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestHangs(t *testing.T) {
	ctx, w := t.Context(), newWorld(t, "deep.timeout", "3s", "stop.timeout", "5s")
	pid := w.start(t)
	slow := kittest.Open(t, w.host, Kit{}, with(w.settings, "query", "select sleep(600)"))
	if found, err := slow.Adopt(ctx); !found || err != nil {
		t.Fatal(found, err)
	}
	want(t, slow.Check(ctx, kit.Deep), cluster.Failed, message.DatabaseNoAnswer)
	want(t, slow.Check(ctx, kit.Light), cluster.InService, "")
	if err := slow.Close(); err != nil {
		t.Error(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, "it is seen to be stopped", func() bool {
		return w.Check(ctx, kit.Light).Reason.Code == message.DatabaseFrozen
	})
	// It hears nothing, and is ended all the same.
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, w.Check(ctx, kit.Light), cluster.OutOfService, message.DatabaseNotRunning)
}

func TestRefusals(t *testing.T) {
	ctx, w := t.Context(), newWorld(t)
	bad := kittest.Open(t, w.host, Kit{}, with(w.settings, "options", "--nonsense=1"))
	if err := bad.Start(ctx, ""); !message.Has(err, message.DatabaseNotStarted) || !strings.Contains(err.Error(), "nonsense") {
		t.Error(err)
	}
	if err := bad.Stop(ctx); err != nil {
		t.Error(err)
	}
	empty := kittest.Open(t, w.host, Kit{}, with(w.settings, "data", w.dir+"/nowhere"))
	if err := empty.Start(ctx, ""); !message.Has(err, message.DatabaseNoData) {
		t.Error(err)
	}
	// A server that somebody started by hand on the same data.
	other := exec.Command("mariadbd", "--defaults-file="+w.settings["config"], "--user=mysql", "--datadir="+w.data, "--socket="+w.dir+"/other")
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	defer other.Wait()
	defer other.Process.Kill()
	kittest.Eventually(t, "the other server is up", func() bool { return greet(ctx, w.dir+"/other") == nil })
	if err := w.Start(ctx, ""); !message.Has(err, message.DatabaseForeign) {
		t.Error(err)
	}
	want(t, w.Check(ctx, kit.Light), cluster.Failed, message.DatabaseForeign)
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Error("a server that isn't ours was stopped: ", err)
	}
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
