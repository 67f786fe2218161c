package cluster

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestKinds: hooks can be told of every kind of entry, and the docs say what
// each one is.
func TestKinds(t *testing.T) {
	source, err := os.ReadFile("kind.go")
	if err != nil {
		t.Fatal(err)
	}
	docs, err := os.ReadFile("../../docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	consts := regexp.MustCompile(`(?m)^\tKind\w+ +Kind = "(.*)"$`).FindAllStringSubmatch(string(source), -1)
	if len(consts) < 25 {
		t.Fatalf("only %d kinds were found", len(consts))
	}
	for _, m := range consts {
		k := Kind(m[1])
		if k == KindSilence {
			continue // no entry of its own: why makes it
		}
		if !slices.Contains(Kinds(), k) {
			t.Errorf("Kinds doesn't have %q", k)
		}
		if !strings.Contains(string(docs), "| `"+k.Event()+"` |") {
			t.Errorf("docs/hooks.md doesn't say what %s is", k.Event())
		}
	}
}

func TestHookCheck(t *testing.T) {
	good := Hook{Name: "mail", Argv: []string{"/bin/mail"}, Where: HookLeader, Timeout: HookTimeout, Events: []string{"evicted", "local-recovery"}}
	if r := good.Check(); r.Code != "" {
		t.Fatal(r)
	}
	if !good.Wants(KindEvicted) || !good.Wants(KindLocalRecovery) || good.Wants(KindWant) {
		t.Error("it is told of the wrong events")
	}
	for want, change := range map[string]func(*Hook){
		RefusedBadName:     func(h *Hook) { h.Name = "../x" },
		RefusedHookProgram: func(h *Hook) { h.Argv = []string{"mail"} },
		RefusedHookWhere:   func(h *Hook) { h.Where = "" },
		RefusedHookTimeout: func(h *Hook) { h.Timeout = 0 },
		RefusedHookEvent:   func(h *Hook) { h.Events = []string{"local recovery"} },
	} {
		h := good
		change(&h)
		if r := h.Check(); r.Code != want {
			t.Errorf("%+v: %v, want %s", h, r, want)
		}
	}
}
