package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
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
	// Machines asks for virtual machines as nodes, of this kind ("uml", "qemu");
	// Watchdog gives them one.
	Machines string
	Watchdog bool
	// IPv6 has the service and the comm paths speak IPv6, in namespaces.
	IPv6 bool
	// Say is told what a stage of machines is being made of; may be nil.
	Say func(string)
	// Confined asks for what an ordinary user can have, also as root.
	Confined bool
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
	// Skipped are the faults that can't be injected here.
	Skipped []string `json:"skipped,omitempty"`
}

// Run runs the demo. It returns ErrNotSurvived if a fault wasn't survived.
func Run(ctx context.Context, o Options) error {
	if o.Live == nil {
		o.Live = io.Discard
	}
	if why := confined(o); why != nil && o.Machines == "" {
		fmt.Fprintf(o.Live, words["confined"].In(o.Lang)+"\n", why)
	}
	return run(ctx, o, open)
}

func run(ctx context.Context, o Options, open openStage) (err error) {
	scenarios, err := Find(o.Faults)
	if err != nil {
		return err
	}
	if len(o.Faults) == 0 && o.Machines == "" {
		scenarios = slices.DeleteFunc(scenarios, func(s Scenario) bool { return s.Machine })
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
		if !playable(stage, s) {
			report.Skipped = append(report.Skipped, s.Name)
			continue
		}
		show.next(i+1, stage.Client(), lengthOf(scenarios[i:], o.timing()))
		result, err := troupe.playOne(ctx, s, show.say)
		if err != nil {
			return err
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
	show.calm()
	if err := write(o, report, why); err != nil {
		return err
	}
	if !o.Once {
		if err := troupe.stay(ctx); err != nil {
			return err
		}
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
	if len(report.Skipped) > 0 {
		text := Wrap(fmt.Sprintf(words["skipped"].In(o.Lang), strings.Join(report.Skipped, ", ")), widthAll)
		if _, err := fmt.Fprintf(o.Out, "\n%s\n", text); err != nil {
			return err
		}
	}
	if why != "" {
		_, err := fmt.Fprintf(o.Out, "\nperdure why %s\n%s", Hierarchy, why)
		return err
	}
	return nil
}
