package container

import (
	"encoding/json"
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
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "runc" {
		os.Exit(runtimeWithoutLimits())
	}
	goleak.VerifyTestMain(m)
}

// runc is where Debian has it.
const runc = "/usr/sbin/runc"

// runtimeWithoutLimits is runc (by that name podman knows what it can do) for a machine on which nobody may set resource
// limits, as inside another container: podman asks for some in any case.
func runtimeWithoutLimits() int {
	for i, arg := range os.Args {
		switch { // a container's description, or a further process's
		case i+1 == len(os.Args):
		case arg == "--bundle":
			dropLimits(filepath.Join(os.Args[i+1], "config.json"))
		case arg == "--process":
			dropLimits(os.Args[i+1])
		}
	}
	// It is called without a PATH.
	err := syscall.Exec(runc, append([]string{runc}, os.Args[1:]...), os.Environ())
	println("run runc:", err.Error())
	return 1
}

func dropLimits(path string) {
	var config map[string]any
	b, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(b, &config) != nil {
		return
	}
	delete(config, "rlimits")
	if p, ok := config["process"].(map[string]any); ok {
		delete(p, "rlimits")
	}
	if b, err = json.Marshal(config); err == nil {
		os.WriteFile(path, b, 0o600)
	}
}

// podman is an engine with storage of its own and one small image.
func podman(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"podman", runc, "busybox"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed", tool)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: this test's containers need root")
	}
	dir, err := os.MkdirTemp("/tmp", "ctr") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	runtime := filepath.Join(dir, "runc")
	if err := os.Symlink(self, runtime); err != nil {
		t.Fatal(err)
	}
	engine := "podman --root " + dir + "/root --runroot " + dir + "/run --storage-driver vfs --cgroup-manager cgroupfs --runtime " + runtime
	bin := filepath.Join(dir, "fs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	busybox, _ := exec.LookPath("busybox")
	must(t, "cp", busybox, bin)
	for _, n := range []string{"sh", "sleep", "test", "touch", "rm"} {
		if err := os.Symlink("busybox", filepath.Join(bin, n)); err != nil {
			t.Fatal(err)
		}
	}
	must(t, "tar", "-C", filepath.Join(dir, "fs"), "-cf", filepath.Join(dir, "fs.tar"), ".")
	must(t, append(strings.Fields(engine), "import", filepath.Join(dir, "fs.tar"), "shop:1")...)
	return engine
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

func TestPodman(t *testing.T) {
	ctx, engine := t.Context(), podman(t)
	h := kittest.Host(t, true)
	settings := map[string]string{"image": "localhost/shop:1", "engine": engine, "options": "--network host --security-opt seccomp=unconfined",
		"command": `sh -c "trap 'exit 0' TERM; touch /well; while :; do sleep 1; done"`, "check.command": "test -e /well", "stop.grace": "3s",
		"check.timeout": "1m", "deep.timeout": "1m"}
	a := kittest.Open(t, h, Kit{}, settings)
	t.Cleanup(func() {
		if err := a.Stop(kittest.Context(t)); err != nil {
			t.Error("stop at the end: ", err)
		}
	})
	if err := a.Validate(ctx); err != nil {
		t.Fatal(err)
	}
	absent := kittest.Open(t, h, Kit{}, map[string]string{"image": "localhost/none:1", "engine": engine, "check.timeout": "1m"})
	if err := absent.Validate(ctx); !message.Has(err, message.ContainerNoImage) {
		t.Error(err)
	}
	if err := absent.Start(ctx, ""); !message.Has(err, message.ContainerNoImage) {
		t.Error(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.ContainerNotRunning)
	for range 2 { // again is nothing
		if err := a.Start(ctx, ""); err != nil {
			if strings.Contains(err.Error(), "permitted") || strings.Contains(err.Error(), "not supported") {
				t.Skip("SKIPPED: containers can't be started on this machine: ", err)
			}
			t.Fatal(err)
		}
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	kittest.Eventually(t, "its own check is well", func() bool {
		h := a.Check(ctx, kit.Deep)
		t.Log(h)
		return h.Status == cluster.InService
	})
	must(t, append(strings.Fields(engine), "exec", "perdure-web-r1", "rm", "/well")...)
	want(t, a.Check(ctx, kit.Deep), cluster.Failed, message.CommandFailed)
	next := kittest.Open(t, h, Kit{}, settings)
	if found, err := next.Adopt(ctx); !found || err != nil {
		t.Fatal(found, err)
	}
	// Its end is reported without being asked for.
	events := kittest.Events(t, a)
	var id proc.ID
	if was, err := a.Instance().LoadState(stateFile, &id); !was || err != nil {
		t.Fatal(was, err)
	}
	if err := syscall.Kill(id.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.ContainerEnded)
	kittest.Eventually(t, "the engine knows it", func() bool {
		return a.Check(ctx, kit.Light).Reason.Code == message.ContainerEnded
	})
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if out := must(t, append(strings.Fields(engine), "ps", "--all", "--quiet")...); out != "" {
		t.Errorf("left: %s", out)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.ContainerNotRunning)
}
