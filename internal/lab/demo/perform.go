package demo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Performance is a stage that is there already, and stays.
type Performance struct {
	Stage Stage
	// Witness says that the last node is one.
	Witness bool
	// Times is how often all scenarios are played; the first that isn't survived
	// ends it, if that is more than once.
	Times int
}

// Hindrance says why a scenario can't be played on the stage; empty: it can.
func (p Performance) Hindrance(s Scenario) Text {
	third := slices.ContainsFunc(s.Steps, func(step Step) bool { return slices.Contains(strings.Fields(step.Do), Third) })
	nodes := len(p.Stage.Nodes())
	switch {
	case nodes < 3:
		return words["few-votes"]
	case s.Witness && !(p.Witness && nodes == 3):
		return words["no-witness"]
	// What is done to all of three doesn't mean the same among more, and a witness
	// can't be the third.
	case !s.Witness && third && (p.Witness || nodes != 3):
		return words["not-three"]
	}
	return hindrance(p.Stage, s)
}

// choose finds the scenarios to be played, and those that can't be.
func (p Performance) choose(names []string) (chosen []Scenario, skipped []string, err error) {
	all, err := Find(names)
	if err != nil {
		return nil, nil, err
	}
	for _, s := range all {
		if p.Hindrance(s) == (Text{}) {
			chosen = append(chosen, s)
		} else {
			skipped = append(skipped, s.Name)
		}
	}
	return chosen, skipped, nil
}

// Perform plays on a stage that is there already: the scenarios of o.Faults that it
// can. It returns [ErrNotSurvived] if a fault wasn't survived.
func Perform(ctx context.Context, o Options, p Performance) error {
	scenarios, skipped, err := p.choose(o.Faults)
	if err != nil {
		return err
	}
	p.Times = max(p.Times, 1)
	show := newLive(o.Live, o.Terminal, o.Lang, len(scenarios)*p.Times)
	defer show.close()
	runner := Runner{Stage: p.Stage, Timing: o.timing(), Say: show.say, Mend: true}
	var rounds []Report
	for round := range p.Times {
		if p.Times > 1 {
			show.note(words["round"].In(o.Lang), round+1, p.Times)
		}
		report, err := p.round(ctx, o, runner, show, scenarios, round)
		report.Skipped = skipped
		rounds = append(rounds, report)
		if err != nil {
			return err
		}
		if !report.Survived {
			break
		}
	}
	show.calm()
	if err := p.write(o, rounds); err != nil {
		return err
	}
	if !rounds[len(rounds)-1].Survived {
		return ErrNotSurvived
	}
	return nil
}

// round plays all scenarios once.
func (p Performance) round(ctx context.Context, o Options, runner Runner, show *live, scenarios []Scenario, round int) (Report, error) {
	report := Report{Detection: o.timing().Detection, Survived: true}
	for i, s := range scenarios {
		n := round*len(scenarios) + i + 1
		left := lengthOf(scenarios[i:], o.timing()) + time.Duration(p.Times-round-1)*lengthOf(scenarios, o.timing())
		show.next(n, p.Stage.Client(), left)
		result, err := playScenario(ctx, runner, s)
		if err != nil {
			return report, err
		}
		report.Results = append(report.Results, result)
		report.Survived = report.Survived && result.Survived()
		show.note("[%2d/%d] %s: %s, %s", n, show.total, s.Title.In(o.Lang), whatHappened(result, o.Lang), outageOf(result, o.Lang))
		if result.Broken {
			show.note("%s", words["stopped"].In(o.Lang))
			break
		}
		if p.Times > 1 && !result.Survived() {
			break
		}
	}
	return report, nil
}

func (p Performance) write(o Options, rounds []Report) error {
	last := rounds[len(rounds)-1]
	switch {
	case o.JSON && p.Times == 1:
		return write(o, last, "")
	case o.JSON:
		enc := json.NewEncoder(o.Out)
		enc.SetIndent("", "  ")
		return enc.Encode(struct {
			Survived bool     `json:"survived"`
			Rounds   []Report `json:"rounds"`
		}{last.Survived, rounds})
	}
	if p.Times == 1 || !last.Survived {
		if err := WriteTable(o.Out, o.Lang, last.Results); err != nil {
			return err
		}
	}
	text := ""
	if p.Times > 1 {
		text = "\n" + summary(o.Lang, rounds, p.Times)
	}
	if len(last.Skipped) > 0 {
		text += "\n" + Wrap(fmt.Sprintf(words["not-here"].In(o.Lang), strings.Join(last.Skipped, ", ")), widthAll) + "\n"
	}
	_, err := fmt.Fprint(o.Out, text)
	return err
}

// summary is a row for each scenario over all rounds.
func summary(lang string, rounds []Report, times int) string {
	var b strings.Builder
	say := func(key string) string { return words[key].In(lang) }
	row := func(title, runs, survived, median, longest string) {
		b.WriteString(strings.TrimRight(cell(title, widthTitle, false)+cell(runs, 8, true)+cell(survived, 10, true)+
			cell(median, 12, true)+cell(longest, 12, true), " ") + "\n")
	}
	row(say("fault"), say("runs"), say("survived"), say("median"), say("longest"))
	b.WriteString(strings.Repeat("─", widthAll) + "\n")
	var names []string
	results := map[string][]Result{}
	for _, report := range rounds {
		for _, r := range report.Results {
			if results[r.Name] == nil {
				names = append(names, r.Name)
			}
			results[r.Name] = append(results[r.Name], r)
		}
	}
	for _, name := range names {
		all := results[name]
		survived := len(all)
		for _, r := range all {
			if !r.Survived() {
				survived--
			}
		}
		slices.SortFunc(all, func(a, b Result) int { return cmp.Compare(a.Verdict.Longest, b.Verdict.Longest) })
		row(titleOf(name, name, lang), fmt.Sprint(len(all)), fmt.Sprint(survived), outageOf(all[len(all)/2], lang), outageOf(all[len(all)-1], lang))
	}
	fmt.Fprintf(&b, "\n"+say("rounds")+"\n", len(rounds), times)
	return b.String()
}
