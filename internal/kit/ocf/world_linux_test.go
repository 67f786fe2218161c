package ocf

import (
	"fmt"
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

// apart says that this process has mount and network namespaces of its own: no
// address and no mount of a test is seen outside.
const apart = "PERDURE_TEST_APART"

func TestMain(m *testing.M) {
	if ShimName(os.Args[0]) != "" {
		os.Exit(Main(os.Args)) // called by an agent
	}
	if os.Geteuid() != 0 || os.Getenv(apart) != "" {
		exec.Command("ip", "link", "set", "lo", "up").Run()
		goleak.VerifyTestMain(m)
		return
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), apart+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// real opens a resource with an agent of the distribution.
func real(t *testing.T, agent string, settings ...string) *kit.Agent {
	t.Helper()
	if os.Getenv(apart) == "" {
		t.Skip("SKIPPED: agents need root")
	}
	if _, err := os.Stat(filepath.Join(DefaultRoot, "resource.d", "heartbeat", agent)); err != nil {
		t.Skip("SKIPPED: the package resource-agents is not installed: ", err)
	}
	return open(t, Kit{}, "ocf:heartbeat:"+agent, settings...)
}

func open(t *testing.T, k Kit, name string, settings ...string) *kit.Agent {
	t.Helper()
	member, err := k.Member(name)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{"check.timeout": "1m", "deep.timeout": "1m", "start.timeout": "2m", "stop.timeout": "2m"} // the machine may be busy
	for i := 0; i < len(settings); i += 2 {
		m[settings[i]] = settings[i+1]
	}
	a := kittest.Open(t, kittest.Host(t, true), member, m)
	t.Cleanup(func() { a.Stop(kittest.Context(t)) })
	return a
}

func needs(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed", tool)
		}
	}
}

func must(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// life brings a resource in service, looks, and takes it out.
func life(t *testing.T, a *kit.Agent, while func()) {
	t.Helper()
	ctx := t.Context()
	if h := a.Ready(ctx); h.Reason.Code != "" {
		t.Errorf("not ready: %v", h)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.OCFNotRunning)
	for range 2 { // again is nothing
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	want(t, a.Check(ctx, kit.Deep), cluster.InService, "")
	if found, err := a.Adopt(ctx); !found || err != nil {
		t.Errorf("adopt: %v, %v", found, err)
	}
	if while != nil {
		while()
	}
	for range 2 {
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.OCFNotRunning)
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func refused(t *testing.T, err error, code, words string) {
	t.Helper()
	if !message.Has(err, code) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %s with %q", err, code, words)
	}
}

// fake writes an agent; body answers $1. It has parameters text, number and
// flag, and all actions.
func fake(t *testing.T, body string) Kit {
	t.Helper()
	root := t.TempDir()
	dir := filepath.Join(root, "resource.d", "test")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nif [ $1 = meta-data ]; then cat <<'X'\n" + fakeMetadataText + "\nX\nexit 0; fi\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, "fake"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return Kit{Root: root}
}
