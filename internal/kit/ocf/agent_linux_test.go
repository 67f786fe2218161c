package ocf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

// Each exit code of a monitor, in either role.
func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		code     string
		started  cluster.Status
		promoted cluster.Status
	}{
		{"0", cluster.InService, cluster.Failed},
		{"1", cluster.Failed, cluster.Failed},
		{"2", cluster.Failed, cluster.Failed},
		{"3", cluster.Failed, cluster.Failed},
		{"4", cluster.Failed, cluster.Failed},
		{"5", cluster.Failed, cluster.Failed},
		{"6", cluster.Failed, cluster.Failed},
		{"7", cluster.OutOfService, cluster.OutOfService},
		{"8", cluster.InService, cluster.InService},
		{"9", cluster.Failed, cluster.Failed},
		{"42", cluster.Failed, cluster.Failed},
		{"190", cluster.Degraded, cluster.Failed},
		{"191", cluster.Degraded, cluster.Degraded},
	} {
		k := fake(t, "[ $1 = monitor ] || exit 0; echo ocf-exit-reason:why it is so >&2; exit "+c.code)
		for role, status := range map[string]cluster.Status{roleStarted: c.started, rolePromoted: c.promoted} {
			a, err := k.Member("ocf:test:fake")
			if err != nil {
				t.Fatal(err)
			}
			h := kittest.Open(t, kittest.Host(t, false), a, map[string]string{"text": "x", "ocf.role": role, "check.timeout": "1m"}).Check(t.Context(), kit.Light)
			if h.Status != status {
				t.Errorf("exit code %s as %s: %v, want %s", c.code, role, h, status)
			}
			if h.Reason.Code == message.OCFFailed && !strings.Contains(h.String(), "why it is so") {
				t.Errorf("the agent's reason is not quoted: %v", h)
			}
		}
	}
}

// state is the body of an agent that keeps its role in a file.
const state = `f=$OCF_RESKEY_text
case $1 in
start) echo s >$f;; promote) echo p >$f;; demote) echo s >$f;; stop) rm -f $f;;
monitor) [ -e $f ] || exit 7; [ $(cat $f) = p ] && exit 8; exit 0;;
validate-all) exit 0;;
*) exit 3;;
esac`

func TestLies(t *testing.T) {
	ctx := t.Context()
	f := filepath.Join(t.TempDir(), "f")
	for _, c := range []struct{ name, lie, role, words string }{
		{"start", `[ $1 = start ] && exit 0`, roleStarted, "start succeeded, and its monitor says not running"},
		{"promote", `[ $1 = promote ] && exit 0`, rolePromoted, "promote succeeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			refused(t, open(t, fake(t, c.lie+"\n"+state), "ocf:test:fake", "text", f, "ocf.role", c.role).Start(ctx, ""), message.OCFLies, c.words)
		})
	}
	t.Run("stop", func(t *testing.T) {
		a := open(t, fake(t, "[ $1 = stop ] && exit 0\n"+state), "ocf:test:fake", "text", f)
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		refused(t, a.Stop(ctx), message.OCFLies, "stop succeeded")
	})
}

// An agent that hangs costs its time-out, with all that it started.
func TestHangs(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "f")
	k := fake(t, `[ $1 = $OCF_RESKEY_choice_action ] 2>/dev/null; case "$1 $(cat `+mark+` 2>/dev/null)" in "start hang"|"stop hang"|"monitor hang") sleep 300 & sleep 300;; esac
case $1 in monitor) [ -e `+mark+`.up ] || exit 7; exit 0;; start) touch `+mark+`.up;; stop) rm -f `+mark+`.up;; esac`)
	a := open(t, k, "ocf:test:fake", "text", "x", "check.timeout", "300ms", "stop.timeout", "2s", "start.timeout", "1s")
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"start", func() error { return a.Start(t.Context(), "") }},
		{"stop", func() error { return a.Stop(t.Context()) }},
		{"monitor", func() error { return message.Reason(a.Check(t.Context(), kit.Light).Reason).Err() }},
	} {
		if err := os.WriteFile(mark, []byte("hang"), 0o600); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		err := c.do()
		if !message.Has(err, message.CommandTimedOut) {
			t.Errorf("%s: %v", c.name, err)
		}
		if took := time.Since(begun); took > 30*time.Second {
			t.Errorf("%s took %v", c.name, took)
		}
		os.Remove(mark)
	}
	want(t, a.Check(t.Context(), kit.Light), cluster.OutOfService, message.OCFNotRunning)
}

// Megabytes of output are neither kept nor quoted.
func TestPrintsMuch(t *testing.T) {
	k := fake(t, `[ $1 = monitor ] && { head -c 30000000 /dev/zero | tr '\0' 'x'; echo; echo ocf-exit-reason:the end; exit 1; }; exit 0`)
	a := open(t, k, "ocf:test:fake", "text", "x")
	h := a.Check(t.Context(), kit.Light)
	if h.Status != cluster.Failed || len(h.String()) > 2000 {
		t.Errorf("status %s, %d bytes of reason", h.Status, len(h.String()))
	}
	h = a.Check(t.Context(), kit.Light)
	files, _ := filepath.Glob(filepath.Join(a.Instance().RunDir, "*"))
	var size int64
	for _, f := range files {
		if st, err := os.Stat(f); err == nil {
			size += st.Size()
		}
	}
	if size > 40<<20 {
		t.Errorf("%d bytes of output are kept", size)
	}
}

// On a node without the agent, or with a useless one, the message says so.
func TestNotInstalled(t *testing.T) {
	_, err := Kit{Root: t.TempDir()}.Member("ocf:heartbeat:Dummy")
	refused(t, err, message.OCFNoAgent, "not installed on this node")
	for _, bad := range []string{"ocf:../x:y", "ocf:a:../../etc", "ocf:", "ocf::", "ocf:a:b:c", "ocf:a:"} {
		_, err := Kit{}.Member(bad)
		refused(t, err, message.OCFNoAgent, "")
	}
	k := fake(t, "exit 0")
	path := filepath.Join(k.Root, "resource.d/test/fake")
	a := open(t, k, "ocf:test:fake", "text", "x")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused(t, a.Start(t.Context(), ""), message.OCFNoAgent, path)
	for name, script := range map[string]string{"fails": "exit 1", "prints": "echo hello", "many": "yes", "hangs": "exec sleep 100"} {
		if name == "hangs" && testing.Short() {
			continue
		}
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := k.Member("ocf:test:fake")
		refused(t, err, message.OCFMetadata, "")
	}
}

// What an agent leaves running ends with the resource.
func TestNothingIsLeft(t *testing.T) {
	f := filepath.Join(t.TempDir(), "f")
	a := open(t, fake(t, `[ $1 = start ] && { setsid sleep 307 >/dev/null 2>&1 & }`+"\n"+state), "ocf:test:fake", "text", f)
	if err := a.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(must(t, "ps", "-eo", "args"), "sleep 307") {
		t.Error("it isn't running while in service")
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(must(t, "ps", "-eo", "args"), "sleep 307") {
		t.Error("it runs on after the stop")
	}
}

// What agents find in their environment.
func TestEnvironment(t *testing.T) {
	out := filepath.Join(t.TempDir(), "env")
	k := fake(t, "[ $1 = start ] && env >"+out+"\n"+state)
	a := open(t, k, "ocf:test:fake", "text", filepath.Join(t.TempDir(), "f"), "choice", "b", "number", "3")
	if err := a.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	env := string(read(t, out))
	for _, line := range []string{"OCF_ROOT=" + k.Root, "OCF_RESOURCE_INSTANCE=web.r1", "OCF_RESOURCE_TYPE=fake", "OCF_RESOURCE_PROVIDER=test",
		"OCF_RA_VERSION_MAJOR=1", "OCF_RESKEY_choice=b", "OCF_RESKEY_CRM_meta_name=start", "OCF_RESKEY_CRM_meta_clone_max=1"} {
		if !strings.Contains("\n"+env, "\n"+line+"\n") {
			t.Errorf("%s is not in the environment", line)
		}
	}
	if strings.Contains(env, "OCF_RESKEY_number") {
		t.Error("a default is given to the agent, which knows it itself")
	}
}
