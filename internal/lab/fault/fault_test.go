package fault_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/fault"
)

var valid = []string{
	"power-off n1", "power-on n1", "freeze n1", "freeze n1 for 2s", "thaw n1",
	"cut n1 n2", "cut n1 n2 on heartbeat", "one-way n1 n2 on public",
	"isolate owner", "isolate n1 on mgmt", "link-down n1 on public", "link-up n1 on public",
	"heal", "kill n1 nginx", "kill-main n1 nginx", "hang n1 nginx", "resume n1 nginx",
	"fail-start n2 nginx", "mend-start n2 nginx", "kill-daemon n1", "kill-guardian n1",
	"hang-workers n1 nginx", "keep-stop n1", "join-anew n1",
	"stop-daemon n1", "start-daemon n1", "corrupt-state n1", "lose-state n1",
	"save-state n1", "revert-state n1", "switchover n2 web",
	"power-off-host n1", "power-on-host n1", "panic n1", "nmi n1", "pause n1 for 3s", "suspend n1 for 20s",
	"continue n1", "snapshot n1", "revert n1", "migrate n1", "migrate-all n1", "move-disk n1 state",
	"port-down n1 on public", "port-up n1 on public", "loss n1", "delay n1 on heartbeat",
	"disk-error n1 state", "disk-hang n1 state", "disk-gone n1 state", "disk-mend n1 state",
	"switch-down on sana", "switch-up on sana", "hang-guardian n1", "resume-guardian n1",
}

func TestParsePrintsBack(t *testing.T) {
	seen := map[fault.Kind]bool{}
	for _, text := range valid {
		f, err := fault.Parse(text)
		if err != nil {
			t.Errorf("Parse(%q): %v", text, err)
			continue
		}
		if f.String() != text {
			t.Errorf("Parse(%q) prints %q", text, f)
		}
		seen[f.Kind] = true
	}
	for _, k := range fault.Kinds() {
		if !seen[k] {
			t.Errorf("kind %q has no example here", k)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "empty",
		"explode n1":              "unknown fault",
		"power-off":               "needs a node",
		"cut n1":                  "needs a second node",
		"cut n1 n1":               "two different nodes",
		"kill n1":                 "needs a resource",
		"link-down n1":            "needs a network",
		"power-off n1 on public":  "takes no network",
		"power-off n1 for 1s":     "takes no duration",
		"freeze n1 for -1s":       "negative",
		"freeze n1 for soon":      "invalid duration",
		"freeze n1 for":           "don't know",
		"power-off n1 n2 n3":      "don't know",
		"freeze n1 for 1s for 2s": "don't know",
		"power-off n/1":           "no name",
	} {
		if _, err := fault.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error with %q", text, err, want)
		}
	}
}

func TestResolve(t *testing.T) {
	f := fault.Fault{Kind: fault.Cut, Node: "owner", Peer: "n9"}
	if got := f.Resolve(map[string]string{"owner": "n2"}).String(); got != "cut n2 n9" {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range valid {
		f.Add(text)
	}
	f.Add("cut on for on for")
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := fault.Parse(text)
		if err != nil {
			return
		}
		again, err := fault.Parse(parsed.String())
		if err != nil || again != parsed {
			t.Errorf("%q parses to %+v, whose print parses to %+v, %v", text, parsed, again, err)
		}
	})
}

// recorder is a lab that writes down what it is asked.
type recorder struct{ said []string }

func (r *recorder) say(words ...string) error {
	r.said = append(r.said, strings.Join(words, " "))
	return nil
}

func (r *recorder) Freeze(_ context.Context, node string) error { return r.say("freeze", node) }
func (r *recorder) Thaw(_ context.Context, node string) error   { return r.say("thaw", node) }
func (r *recorder) Block(_ context.Context, from, to, network string) error {
	return r.say("block", from, to, network)
}
func (r *recorder) BlockAll(_ context.Context, node, network string) error {
	return r.say("isolate", node, network)
}
func (r *recorder) Heal(context.Context) error { return r.say("heal") }

func TestApply(t *testing.T) {
	lab := &recorder{}
	for _, f := range []fault.Fault{
		{Kind: fault.Freeze, Node: "n1", For: time.Millisecond},
		{Kind: fault.Cut, Node: "n1", Peer: "n2", Network: "public"},
		{Kind: fault.OneWay, Node: "n2", Peer: "n1"},
		{Kind: fault.Heal},
	} {
		if err := fault.Apply(t.Context(), lab, f); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	want := "freeze n1|thaw n1|block n1 n2 public|block n2 n1 public|block n2 n1 |heal"
	if got := strings.Join(lab.said, "|"); got != want {
		t.Errorf("the lab was asked\n%s\nwant\n%s", got, want)
	}
}

// choosy can do less than its methods say.
type choosy struct{ recorder }

func (*choosy) Can(k fault.Kind) bool { return k != fault.Freeze }

func TestSelective(t *testing.T) {
	lab := &choosy{}
	frozen := fault.Fault{Kind: fault.Freeze, Node: "n1"}
	if fault.Can(lab, frozen) || !errors.Is(fault.Apply(t.Context(), lab, frozen), fault.ErrUnsupported) {
		t.Error("a lab that can't freeze is asked to")
	}
	if err := fault.Apply(t.Context(), lab, fault.Fault{Kind: fault.Heal}); err != nil {
		t.Error(err)
	}
	if got := strings.Join(lab.said, "|"); got != "heal" {
		t.Errorf("the lab was asked %s", got)
	}
}

func TestApplyThawsWhenCancelled(t *testing.T) {
	lab := &recorder{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := fault.Apply(ctx, lab, fault.Fault{Kind: fault.Freeze, Node: "n1", For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(lab.said, "|"); got != "freeze n1|thaw n1" {
		t.Errorf("the lab was asked %s", got)
	}
}

func TestApplyUnsupported(t *testing.T) {
	for _, text := range valid {
		f, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := fault.Apply(t.Context(), struct{}{}, f); !errors.Is(err, fault.ErrUnsupported) {
			t.Errorf("%s in a lab without means: %v", f, err)
		}
	}
}
