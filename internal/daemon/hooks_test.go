package daemon

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHooks tells real programs of what a real node does: one that keeps what it
// is told, one that never ends and leaves children, and one that isn't there.
func TestHooks(t *testing.T) {
	n := &testNode{t: t, name: "n1", dir: t.TempDir(), addr: fmt.Sprintf("127.79.%d.1:7400", os.Getpid()%200)}
	if _, err := Init(InitOptions{StateDir: n.dir + "/state", ClusterName: "test", NodeName: n.name, Paths: n.paths(), Detection: time.Second}); err != nil {
		t.Fatal(err)
	}
	n.start()
	await(t, "a leader", 10*time.Second, func() bool { return n.d.Local().Leader != 0 })
	c := api.Dial(n.dir + "/run")
	defer c.Close()
	ctx := t.Context()
	told := filepath.Join(t.TempDir(), "told")
	children := filepath.Join(t.TempDir(), "children")
	for name, h := range map[string]api.HookChange{
		"keeps": {Argv: []string{script(t, `printf '%s|%s|' "$PERDURE_EVENT" "$PERDURE_TEXT" >> `+told+`; cat >> `+told), "x"}, Events: []string{"access"}, TimeoutSeconds: 10},
		"hangs": {Argv: []string{script(t, `sleep 1000 & echo $! >> `+children+`; trap '' TERM; echo waiting; sleep 1000`)}, Events: []string{"access"}, TimeoutSeconds: 1},
		"gone":  {Argv: []string{"/nonexistent/hook"}, Events: []string{"access"}, TimeoutSeconds: 1},
	} {
		if _, err := c.SetHook(ctx, name, h); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.CreateKey(ctx, "monitor", cluster.Guest, 0); err != nil {
		t.Fatal(err)
	}
	state := func(name string) api.HookState {
		for _, h := range n.d.Local().Hooks {
			if h.Name == name {
				return h
			}
		}
		return api.HookState{}
	}
	for _, name := range []string{"keeps", "hangs", "gone"} {
		await(t, name+" is over", 15*time.Second, func() bool { return state(name).Done == 1 })
	}
	b, err := os.ReadFile(told)
	if err != nil {
		t.Fatal(err)
	}
	event, rest, _ := strings.Cut(string(b), "|")
	text, input, _ := strings.Cut(rest, "|")
	var in hookInput
	if err := json.Unmarshal([]byte(input), &in); err != nil || event != "access" || !strings.Contains(text, "monitor") || in.Version != 1 || in.Entry.Kind != cluster.KindAccess {
		t.Errorf("%q %v", b, err)
	}
	if s := state("hangs"); s.Failed != 1 || s.Last.Reason.Code != message.CommandTimedOut || !strings.Contains(s.Last.Output, "waiting") {
		t.Errorf("the one that hangs: %+v %+v", s, s.Last)
	}
	if s := state("gone"); s.Failed != 1 || s.Last.Reason.Code == "" {
		t.Errorf("the one that isn't there: %+v", s)
	}
	pid, err := os.ReadFile(children)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "its children are gone", 10*time.Second, func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	r, err := c.Status(ctx)
	if err != nil || len(r.Findings) == 0 {
		t.Fatal(r, err)
	}
	found := map[string]bool{}
	for _, f := range r.Findings {
		found[f.Reason.Code+fmt.Sprint(f.Reason.Args[:min(1, len(f.Reason.Args))])] = true
	}
	if !found[message.HookFailed+"[hangs]"] || !found[message.HookFailed+"[gone]"] || found[message.HookFailed+"[keeps]"] {
		t.Errorf("status says %v", found)
	}
	run, err := c.TestHook(ctx, "keeps")
	if err != nil || run.Reason.Code != "" || run.ExitCode != 0 {
		t.Errorf("%+v %v", run, err)
	}
}
