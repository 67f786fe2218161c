package demo

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/fault"
)

// Text is said to people in their language.
type Text struct{ EN, JA string }

// In returns the text in a language.
func (t Text) In(lang string) string {
	if lang == "ja" {
		return t.JA
	}
	return t.EN
}

// The names of the protected hierarchy and of the resource that faults hit.
const (
	Hierarchy = "web"
	Server    = "nginx"
)

// Roles stand in scenarios for the nodes that play them when one begins.
const (
	// Owner is the node that serves.
	Owner = "owner"
	// Standby and Third are the others in the order of their names. With two
	// nodes and a witness the third is the witness.
	Standby = "standby"
	Third   = "third"
)

// Span is a length of time that may depend on the detection time.
type Span struct {
	// Detections is in detection times.
	Detections float64
	Plus       time.Duration
}

// At is the length for a detection time.
func (s Span) At(t cluster.Timing) time.Duration {
	return time.Duration(s.Detections*float64(t.Detection)) + s.Plus
}

// Goal is what a step waits for.
type Goal string

// The goals.
const (
	// Served: a good reply to a request sent after the step.
	Served Goal = "served"
	// Moved: the same from another node than the owner.
	Moved Goal = "moved"
	// Ready: all nodes that are on are in the cluster and nothing is pending.
	Ready Goal = "ready"
	// Reset: the owner's machine was reset by its watchdog.
	Reset Goal = "reset"
)

// Step is one thing that happens.
type Step struct {
	// Do is a fault in printed form, with roles for nodes; may be empty.
	Do string
	// Wait is how long nothing happens then.
	Wait Span
	// Await is what is waited for then; reaching it is part of the
	// expectation.
	Await Goal
}

// Place says where the service must be in the end.
type Place string

// The places.
const (
	Stays    Place = "stays"
	Moves    Place = "moves"
	Anywhere Place = "anywhere"
)

// Expectation is what must come of a scenario. That no two nodes serve at once
// is expected of every one.
type Expectation struct {
	Place Place
	// Outage is the longest that may be seen; zero means that no request may
	// be lost.
	Outage Span
	// Residue is for how long two nodes may answer at once: zero, but where the
	// clock of a machine stood still, which no software inside can notice.
	// See docs/design/freeze.md.
	Residue Span
	// Starts bounds how often the server is started on all nodes together;
	// zero means no bound.
	Starts int
}

// Scenario is one row of the table.
type Scenario struct {
	// Name is for --fault and for tests.
	Name  string
	Title Text
	// Witness: the third voter is a witness that hosts nothing.
	Witness bool
	// Workers: the server must have processes beside its main one.
	Workers bool
	// Machine: it needs a machine of its own, and isn't on the list of others.
	Machine bool
	// Gate: only an address gate in the kernel can silence the node in time.
	Gate bool
	// Watchdog: the machines need one that resets them.
	Watchdog bool
	Steps    []Step
	Expect   func(t cluster.Timing) Expectation
}

// Check finds mistakes in the scenario itself.
func (s Scenario) Check() error {
	var errs []error
	if s.Name == "" || s.Title.EN == "" || s.Title.JA == "" || s.Expect == nil || len(s.Steps) == 0 {
		errs = append(errs, errors.New("name, title in both languages, steps and expectation are needed"))
	}
	for i, step := range s.Steps {
		if step.Do != "" {
			if _, err := fault.Parse(step.Do); err != nil {
				errs = append(errs, fmt.Errorf("step %d: %w", i+1, err))
			}
		}
		if !slices.Contains([]Goal{"", Served, Moved, Ready, Reset}, step.Await) {
			errs = append(errs, fmt.Errorf("step %d: unknown goal %q", i+1, step.Await))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("scenario %q: %w", s.Name, err)
	}
	return nil
}

// Length is about how long the scenario takes, for the time left.
func (s Scenario) Length(t cluster.Timing) time.Duration {
	length := bootTime + endWatch.At(t)
	for _, step := range s.Steps {
		length += step.Wait.At(t) + step.length()
		if step.Await == Moved {
			length += min(t.Detection, s.Expect(t).Outage.At(t))
		}
	}
	return length
}

// boots counts the nodes that are switched on on the way.
func (s Scenario) boots() (n int) {
	for _, step := range s.Steps {
		if f, err := fault.Parse(step.Do); err == nil && f.Kind == fault.PowerOn {
			n++
		}
	}
	return n
}

// bootTime is about what a node needs to be whole again.
const bootTime = 1500 * time.Millisecond

func (s Step) length() time.Duration {
	f, err := fault.Parse(s.Do)
	if err != nil {
		return 0
	}
	return f.For
}

// Find returns the scenarios of these names, or all for none.
func Find(names []string) ([]Scenario, error) {
	if len(names) == 0 {
		return Scenarios(), nil
	}
	var found []Scenario
	for _, name := range names {
		i := slices.IndexFunc(Scenarios(), func(s Scenario) bool { return s.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no fault %q: the faults are %v", name, Names())
		}
		found = append(found, Scenarios()[i])
	}
	return found, nil
}

// Names lists the scenarios' names.
func Names() []string {
	var names []string
	for _, s := range Scenarios() {
		names = append(names, s.Name)
	}
	return names
}
