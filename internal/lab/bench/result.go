package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Unit of a result's values.
type Unit string

// The units.
const (
	Milliseconds Unit = "ms"
	Percent      Unit = "% of a core"
	MiB          Unit = "MiB"
)

// Result is one measured thing.
type Result struct {
	What   string    `json:"what"`
	Unit   Unit      `json:"unit"`
	Values []float64 `json:"values"`
	Median float64   `json:"median"`
	// Target is what the median may be at most; 0: there is none.
	Target float64 `json:"target,omitempty"`
	Met    bool    `json:"met"`
}

func newResult(what string, unit Unit, target float64, values []float64) Result {
	r := Result{What: what, Unit: unit, Values: values, Median: median(values), Target: target}
	r.Met = target == 0 || len(values) > 0 && r.Median <= target
	return r
}

// median is the middle of the values, or the mean of the middle two; 0 of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[float64])
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return (sorted[mid-1] + sorted[mid]) / 2
}

// ms are the durations in milliseconds, less an amount, and never below zero.
func ms(ds []time.Duration, less float64) []float64 {
	values := make([]float64, len(ds))
	for i, d := range ds {
		values[i] = max(float64(d)/float64(time.Millisecond)-less, 0)
	}
	return values
}

func writeTable(w io.Writer, results []Result) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%-48s %9s %9s %9s %9s\n", "what", "median", "best", "worst", "target")
	b.WriteString(strings.Repeat("-", 88) + "\n")
	for _, r := range results {
		target := ""
		if r.Target != 0 {
			target = fmt.Sprintf("%9.4g", r.Target)
		}
		verdict := ""
		if !r.Met {
			verdict = " missed"
		}
		best, worst := 0.0, 0.0
		if len(r.Values) > 0 {
			best, worst = slices.Min(r.Values), slices.Max(r.Values)
		}
		line := fmt.Sprintf("%-48s %9.4g %9.4g %9.4g %9s%s", r.What+", "+string(r.Unit), r.Median, best, worst, target, verdict)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
