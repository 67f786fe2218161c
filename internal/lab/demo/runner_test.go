package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestScenarios(t *testing.T) {
	seen := map[string]bool{}
	kinds := map[fault.Kind]bool{}
	for _, s := range Scenarios() {
		if err := s.Check(); err != nil {
			t.Error(err)
		}
		if seen[s.Name] {
			t.Errorf("two scenarios are called %s", s.Name)
		}
		seen[s.Name] = true
		if w := max(message.Width(s.Title.EN), message.Width(s.Title.JA)); w > widthTitle {
			t.Errorf("title of %s is %d cells wide", s.Name, w)
		}
		for _, step := range s.Steps {
			if f, err := fault.Parse(step.Do); err == nil {
				kinds[f.Kind] = true
			}
		}
		for _, d := range []time.Duration{cluster.DetectionFast, cluster.DetectionBalanced, cluster.DetectionWide} {
			if e := s.Expect(cluster.TimingFor(d)); !slices.Contains([]Place{Stays, Moves, Anywhere}, e.Place) {
				t.Errorf("%s with detection %v expects %+v", s.Name, d, e)
			}
		}
	}
	for _, k := range []fault.Kind{fault.PowerOff, fault.Freeze, fault.Cut, fault.OneWay, fault.Isolate, fault.Kill, fault.Hang,
		fault.FailStart, fault.KillDaemon, fault.StopDaemon, fault.Switchover, fault.RevertState} {
		if !kinds[k] {
			t.Errorf("no scenario has a %s", k)
		}
	}
	if _, err := Find([]string{"power-loss", "earthquake"}); err == nil || !strings.Contains(err.Error(), "earthquake") {
		t.Errorf("an unknown fault is found: %v", err)
	}
}

func TestScenarioCheck(t *testing.T) {
	good := func(cluster.Timing) Expectation { return Expectation{Place: Stays} }
	for _, bad := range []Scenario{
		{},
		{Name: "x", Title: Text{"x", "x"}, Expect: good},
		{Name: "x", Title: Text{"x", "x"}, Expect: good, Steps: []Step{{Do: "explode owner"}}},
		{Name: "x", Title: Text{"x", "x"}, Expect: good, Steps: []Step{{Await: "peace"}}},
	} {
		if err := bad.Check(); err == nil {
			t.Errorf("%+v is taken", bad.Steps)
		}
	}
}

func TestPowerLimits(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{
		cluster.DetectionBalanced: 3 * time.Second, cluster.DetectionFast: 900 * time.Millisecond,
	} {
		if got := takeover.At(cluster.TimingFor(d)); got > want {
			t.Errorf("with detection %v a takeover may take %v, the target is %v", d, got, want)
		}
	}
}

// small are scenarios that the fake cluster can play.
var small = []Scenario{
	{Name: "power-loss", Title: Text{"node powered off", "ノードの電源断"}, Steps: []Step{{Do: "power-off owner", Await: Moved}},
		Expect: moves(Span{Detections: 1, Plus: 300 * time.Millisecond})},
	{Name: "standby-power-loss", Title: Text{"s", "s"}, Steps: []Step{{Do: "power-off standby", Wait: Span{Detections: 1}}}, Expect: unnoticed},
	{Name: "server-killed", Title: Text{"k", "k"}, Steps: []Step{{Do: "kill owner nginx", Await: Served}}, Expect: stays(Span{Plus: 300 * time.Millisecond})},
}

func TestRunner(t *testing.T) {
	for _, tt := range []struct {
		broken   string
		scenario int
		problem  string // empty: survived
	}{
		{"", 0, ""},
		{"", 1, ""},
		{"", 2, ""},
		{"slow", 0, "at most 400ms is right"},
		{"double", 1, "served at once"},
	} {
		t.Run(tt.broken+" "+small[tt.scenario].Name, func(t *testing.T) {
			var said []string
			r := Runner{Stage: newFake(t, tt.broken), Timing: testTiming, Say: func(h Happening) { said = append(said, h.What) }}
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			result, err := r.Run(ctx, small[tt.scenario])
			if err != nil {
				t.Fatal(err)
			}
			problems := strings.Join(result.Problems, "; ")
			if (tt.problem == "") != result.Survived() || !strings.Contains(problems, tt.problem) {
				t.Errorf("problems %q, want %q: %s", problems, tt.problem, result.Verdict)
			}
			t.Logf("%v: %s %s", said, problems, result.Verdict)
			if result.Owner != "n1" || len(result.Steps) != 1 {
				t.Errorf("owner %s, steps %v", result.Owner, result.Steps)
			}
			if got := r.Stage.(*fake).off; len(got) != 0 {
				t.Errorf("not undone: %v are off", got)
			}
		})
	}
}

// A service that doesn't come back is a problem and no error: the run goes on.
func TestRunnerUnreachedGoal(t *testing.T) {
	s := small[0]
	s.Expect = moves(Span{Plus: -lateWait + 300*time.Millisecond}) // don't wait 15 s for it
	r := Runner{Stage: newFake(t, "stuck"), Timing: testTiming}
	result, err := r.Run(t.Context(), s)
	if err != nil || result.Survived() || !strings.Contains(result.Problems[0], "moved was not reached") {
		t.Errorf("%v, problems %v", err, result.Problems)
	}
}

func TestRunnerUnsupported(t *testing.T) {
	s := small[0]
	s.Steps = []Step{{Do: "isolate owner"}}
	r := Runner{Stage: newFake(t, ""), Timing: testTiming}
	if _, err := r.Run(t.Context(), s); !errors.Is(err, fault.ErrUnsupported) {
		t.Errorf("a fault beyond the stage's means: %v", err)
	}
}

func TestUndone(t *testing.T) {
	var open []fault.Fault
	for _, text := range []string{"power-off n1", "cut n1 n2", "isolate n3", "freeze n2", "freeze n2 for 1s", "fail-start n1 nginx",
		"kill n1 nginx", "thaw n2"} {
		f, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		open = undone(open, f)
	}
	var got []string
	for _, f := range open {
		got = append(got, f.String())
	}
	if want := "power-on n1, heal, mend-start n1 nginx"; strings.Join(got, ", ") != want {
		t.Errorf("to be undone: %v, want %s", got, want)
	}
}

func TestRun(t *testing.T) {
	names := []string{"standby-power-loss", "switchover", "server-killed"}
	open := func(context.Context, Options, bool) (Stage, error) { return newFake(t, ""), nil }
	for _, asJSON := range []bool{false, true} {
		var out, liveOut bytes.Buffer
		err := run(t.Context(), Options{Faults: names, Once: true, JSON: asJSON, Out: &out, Live: &liveOut, Detection: testTiming.Detection}, open)
		if err != nil {
			t.Errorf("%v\n%s%s", err, out.String(), liveOut.String())
		}
		if !asJSON {
			t.Log("\n" + out.String())
			continue
		}
		var report Report
		if err := json.Unmarshal(out.Bytes(), &report); err != nil || len(report.Results) != 3 || !report.Survived {
			t.Errorf("report: %v\n%s", err, out.String())
		}
	}
}

func TestTable(t *testing.T) {
	results := []Result{
		{Name: "power-loss", Owner: "n1", After: "n2", Verdict: client.Verdict{Longest: 2710 * time.Millisecond}},
		{Name: "two-nodes-cut", Owner: "n2", After: "n2"},
		{Name: "isolated", Owner: "n2", After: "n2", Problems: []string{"n1 and n2 served at once for 1.2s at 3s (http)"},
			Verdict: client.Verdict{Longest: time.Minute, Outages: []client.Outage{{Open: true}}, DoubleTime: 1200 * time.Millisecond, Doubles: []client.Double{{}}}},
	}
	for _, lang := range []string{"en", "ja"} {
		var b strings.Builder
		if err := WriteTable(&b, lang, results); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if w := message.Width(strings.TrimSuffix(line, "\n")); w > 80 {
				t.Errorf("%d cells: %s", w, line)
			}
		}
		t.Log("\n" + b.String())
	}
}
