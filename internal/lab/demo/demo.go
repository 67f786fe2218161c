package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Options are those of perdure demo.
type Options struct {
	// Binary is the perdure to run; the nodes start it.
	Binary string
	// Faults are names of scenarios; none means all.
	Faults []string
	// Once ends after the table; otherwise the cluster stays until ctx ends.
	Once bool
	// JSON writes the results as JSON to Out instead of the table.
	JSON bool
	// Detection is the detection time; 0 means the default.
	Detection time.Duration
	// Lang is "en" or "ja".
	Lang string
	// Out takes the result, Live what happens meanwhile; Terminal reports
	// whether Live is one.
	Out      io.Writer
	Live     io.Writer
	Terminal bool
	// Keep leaves the logs of the nodes.
	Keep bool
}

func (o Options) timing() cluster.Timing {
	if o.Detection == 0 {
		return cluster.TimingFor(cluster.DetectionBalanced)
	}
	return cluster.TimingFor(o.Detection)
}

// ErrNotSurvived says that a fault was not survived as it should be.
var ErrNotSurvived = errors.New("not every fault was survived as it should be")

// Report is the result of a demo.
type Report struct {
	Detection time.Duration `json:"detection"`
	Survived  bool          `json:"survived"`
	Results   []Result      `json:"results"`
}

// openStage builds a stage; witness asks for two nodes and a witness.
type openStage func(ctx context.Context, o Options, witness bool) (Stage, error)

// Run runs the demo. It returns ErrNotSurvived if a fault wasn't survived.
func Run(ctx context.Context, o Options) error { return run(ctx, o, open) }

func run(ctx context.Context, o Options, open openStage) (err error) {
	scenarios, err := Find(o.Faults)
	if err != nil {
		return err
	}
	if o.Live == nil {
		o.Live = io.Discard
	}
	show := newLive(o.Live, o.Terminal, o.Lang, len(scenarios))
	defer show.close()

	troupe := troupe{options: o, open: open, say: show.note}
	defer func() { err = errors.Join(err, troupe.close()) }()
	report := Report{Detection: o.timing().Detection, Survived: true}
	why := ""
	for i, s := range scenarios {
		stage, err := troupe.stage(ctx, s.Witness)
		if err != nil {
			return err
		}
		show.next(i+1, stage.Client(), lengthOf(scenarios[i:], o.timing()))
		runner := Runner{Stage: stage, Timing: o.timing(), Say: show.say}
		result, err := runner.Run(ctx, s)
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			result.Problems = append(result.Problems, "it couldn't be played to its end: "+err.Error())
			result.Broken = true
		}
		report.Results = append(report.Results, result)
		report.Survived = report.Survived && result.Survived()
		show.note("[%2d/%d] %s: %s, %s", i+1, len(scenarios), s.Title.In(o.Lang), whatHappened(result, o.Lang), outageOf(result, o.Lang))
		if why, err = stage.Why(ctx); err != nil {
			show.note("why %s: %v", Hierarchy, err)
		}
		if result.Broken {
			// The next one deserves a cluster that is whole.
			if err := troupe.close(); err != nil {
				return err
			}
		}
	}
	if err := write(o, report, why); err != nil {
		return err
	}
	if !o.Once {
		troupe.play(ctx, show)
	}
	if !report.Survived {
		return ErrNotSurvived
	}
	return nil
}

// lengthOf is about how long scenarios take.
func lengthOf(scenarios []Scenario, t cluster.Timing) (length time.Duration) {
	for _, s := range scenarios {
		length += s.Length(t)
	}
	return length
}

func write(o Options, report Report, why string) error {
	if o.JSON {
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(report)
	}
	if err := WriteTable(o.Out, o.Lang, report.Results); err != nil {
		return err
	}
	if why != "" {
		_, err := fmt.Fprintf(o.Out, "\nperdure why %s\n%s", Hierarchy, why)
		return err
	}
	return nil
}

// troupe holds the stage in use: one at a time, so that they don't disturb
// each other's time.
type troupe struct {
	options Options
	open    openStage
	say     func(format string, args ...any)
	current Stage
	witness bool
}

func (t *troupe) stage(ctx context.Context, witness bool) (Stage, error) {
	if t.current != nil && t.witness == witness {
		return t.current, nil
	}
	if err := t.close(); err != nil {
		return nil, err
	}
	stage, err := t.open(ctx, t.options, witness)
	if err != nil {
		return nil, fmt.Errorf("build the cluster: %w", err)
	}
	t.current, t.witness = stage, witness
	return stage, nil
}

func (t *troupe) close() error {
	if t.current == nil {
		return nil
	}
	err := t.current.Close()
	if kept := t.current.Kept(); kept != "" {
		t.say("logs and state of the nodes: %s", kept)
	}
	t.current = nil
	return err
}

// play leaves the cluster up until ctx ends.
func (t *troupe) play(ctx context.Context, show *live) {
	if t.current == nil {
		return
	}
	for _, line := range t.current.Enter() {
		show.note("%s", line)
	}
	<-ctx.Done()
}
