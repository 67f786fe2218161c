package ocf

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// The agents of Debian's package, as they are.

func TestDummy(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	state := filepath.Join(t.TempDir(), "state")
	a := real(t, "Dummy", "state", state)
	life(t, a, func() {
		if err := os.Remove(state); err != nil {
			t.Fatal(err)
		}
		want(t, a.Check(t.Context(), kit.Light), cluster.OutOfService, message.OCFNotRunning)
		if err := a.Start(t.Context(), ""); err != nil {
			t.Error(err)
		}
	})
	// What its user may not write.
	refused(t, real(t, "Dummy", "state", "/proc/no/state").Start(t.Context(), ""), message.OCFFailed, "start")
}

func TestStateful(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	state := filepath.Join(t.TempDir(), "state")
	a := real(t, "Stateful", "state", state, "ocf.role", "promoted")
	life(t, a, func() {
		if err := os.WriteFile(state, []byte("slave\n"), 0o600); err != nil { // demoted by somebody else
			t.Fatal(err)
		}
		want(t, a.Check(t.Context(), kit.Light), cluster.Failed, message.OCFNotPromoted)
		if err := a.Start(t.Context(), ""); err != nil {
			t.Error(err)
		}
		want(t, a.Check(t.Context(), kit.Light), cluster.InService, "")
	})
	// Its promotion score went to the shim.
	scores, _ := filepath.Glob(filepath.Join(a.Instance().RunDir, "../../../ocf/attributes/*/master-web.r1"))
	if len(scores) > 0 {
		b, _ := os.ReadFile(scores[0])
		t.Errorf("the score %q was not taken back at the stop", b)
	}
	started := real(t, "Stateful", "state", filepath.Join(t.TempDir(), "state"))
	life(t, started, nil)
}

func TestIPaddr2(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	needs(t, "ip")
	a := real(t, "IPaddr2", "ip", "192.0.2.77", "cidr_netmask", "24", "nic", "ocftest0", "arp_count", "1", "arp_interval", "10")
	must(t, "ip", "link", "add", "ocftest0", "type", "veth", "peer", "name", "ocftest1")
	must(t, "ip", "link", "set", "ocftest1", "up")
	must(t, "ip", "link", "set", "ocftest0", "up")
	addrs, _, err := a.Guard()
	if err != nil || len(addrs) != 1 || addrs[0].Prefix.Addr().String() != "192.0.2.77" {
		t.Errorf("the guardian is told %v, %v", addrs, err)
	}
	life(t, a, func() {
		if out := must(t, "ip", "-br", "address", "show", "ocftest0"); !strings.Contains(out, "192.0.2.77/24") {
			t.Error(out)
		}
	})
	if out := must(t, "ip", "-br", "address", "show", "ocftest0"); strings.Contains(out, "192.0.2.77") {
		t.Error("still there: ", out)
	}
}

func TestFilesystem(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	needs(t, "losetup", "mkfs.ext4", "fuser")
	dir := t.TempDir()
	img, at := filepath.Join(dir, "img"), filepath.Join(dir, "data")
	if err := os.WriteFile(img, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "mkfs.ext4", "-q", img)
	if os.Getenv(apart) == "" {
		t.Skip("SKIPPED: mounting needs root")
	}
	dev := must(t, "losetup", "-f", "--show", img)
	t.Cleanup(func() { must(t, "losetup", "-d", dev) })
	a := real(t, "Filesystem", "device", dev, "directory", at, "fstype", "ext4")
	life(t, a, func() {
		if out := must(t, "findmnt", "-no", "SOURCE", at); out != dev {
			t.Errorf("mounted is %q", out)
		}
	})
}

func TestAnything(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	dir := t.TempDir()
	a := real(t, "anything", "binfile", "/bin/sleep", "cmdline_options", "61", "pidfile", filepath.Join(dir, "pid"), "logfile", filepath.Join(dir, "log"))
	// A killed program is not tried here: this agent takes a zombie for a
	// living process, and process 1 of some machines leaves zombies.
	life(t, a, func() { must(t, "kill", "-0", strings.TrimSpace(string(read(t, filepath.Join(dir, "pid"))))) })
}

func TestNginx(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	needs(t, "nginx", "curl")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := "pid " + dir + "/pid; error_log " + dir + "/err; events {} http { access_log off; server { listen 127.0.0.1:8099; location / { return 200 'well'; } } }\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	a := real(t, "nginx", "configfile", conf, "httpd", "/usr/sbin/nginx", "port", "8099", "status10url", "http://127.0.0.1:8099/", "status10regex", "well", "ocf.level", "10")
	life(t, a, func() {
		c, err := net.Dial("tcp", "127.0.0.1:8099")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	})
}

func TestPgsql(t *testing.T) {
	t.Parallel() // most of it is the agent's own waiting
	bins, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	if len(bins) == 0 {
		t.Skip("SKIPPED: the package postgresql is not installed")
	}
	bin := bins[len(bins)-1]
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	must(t, "chown", "postgres", data)
	must(t, "runuser", "-u", "postgres", "--", bin+"/initdb", "-D", data, "-A", "trust", "--no-sync")
	a := real(t, "pgsql", "pgctl", bin+"/pg_ctl", "psql", bin+"/psql", "pgdata", data, "pgdba", "postgres", "pgport", "54399",
		"pgdb", "postgres", "socketdir", "/tmp", "logfile", data+"/log", "config", data+"/postgresql.conf", "start_opt", "-c fsync=off -c shared_buffers=16MB -c unix_socket_directories=/tmp", "stop_escalate", "10")
	life(t, a, func() {
		if out := must(t, bin+"/psql", "-h", "127.0.0.1", "-p", "54399", "-U", "postgres", "-Atc", "select 1+1"); out != "2" {
			t.Error(out)
		}
	})
}

// Agents as kits: found without being run, described by themselves.
func TestMembers(t *testing.T) {
	real(t, "Dummy")
	var names []string
	for _, k := range (Kit{}).Members() {
		names = append(names, k.Name())
		if k.Name() == "ocf:heartbeat:Dummy" && !strings.Contains(k.About().EN, "stateless") {
			t.Errorf("about: %q", k.About().EN)
		}
	}
	for _, n := range []string{"Dummy", "Stateful", "IPaddr2", "Filesystem", "anything", "nginx", "pgsql"} {
		if !slices.Contains(names, "ocf:heartbeat:"+n) {
			t.Errorf("%s is not listed", n)
		}
		k, err := Kit{}.Member("ocf:" + n)
		if err != nil {
			t.Error(err)
			continue
		}
		if _, err := kit.Parse(k, given(k)); err != nil {
			t.Errorf("%s with its own defaults: %v", n, err)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
