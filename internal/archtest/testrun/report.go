package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"
	"time"
)

// event is a line of go test -json. Source: go doc test2json.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Elapsed    float64
	Output     string
}

// key is one test, or a package's own output where name is empty.
type key struct{ pkg, name string }

type skip struct {
	key
	reason string
}

// report collects events and prints as packages end.
type report struct {
	to     io.Writer
	output map[key][]string
	failed map[string][]key
	skips  []skip
	slow   []slowTest
	counts struct{ passed, failed, skipped int }
}

type slowTest struct {
	key
	seconds float64
}

func newReport(to io.Writer) *report {
	return &report{to: to, output: make(map[key][]string), failed: make(map[string][]key)}
}

// read takes events until the end of the stream. Lines that are no events are
// printed as they are.
func (r *report) read(from io.Reader) error {
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			var e event
			if json.Unmarshal([]byte(line), &e) != nil || e.Action == "" {
				fmt.Fprint(r.to, line)
			} else {
				r.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the events of go test: %w", err)
		}
	}
}

func (r *report) take(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.to, e.Output)
	case "output":
		r.output[k] = append(r.output[k], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e)
			return
		}
		r.endTest(k, e)
	}
}

func (r *report) endTest(k key, e event) {
	if !strings.Contains(e.Test, "/") && e.Elapsed >= 1 {
		r.slow = append(r.slow, slowTest{k, e.Elapsed})
	}
	switch e.Action {
	case "pass":
		r.counts.passed++
		delete(r.output, k)
	case "skip":
		r.counts.skipped++
		r.skips = append(r.skips, skip{k, reason(r.output[k])})
		delete(r.output, k)
	case "fail":
		r.counts.failed++
		r.failed[k.pkg] = append(r.failed[k.pkg], k)
	}
}

// endPackage prints the package's line, and if it failed all that its failed
// tests and the package itself said.
func (r *report) endPackage(e event) {
	own := key{e.Package, ""}
	switch {
	case e.Action == "fail":
		for _, k := range r.failed[e.Package] {
			r.print(r.output[k])
		}
		for k, lines := range r.output { // tests that a crash or time-out cut off
			if k.pkg == e.Package && k.name != "" && !has(r.failed[e.Package], k) {
				r.print(lines)
			}
		}
		r.print(r.output[own])
		fmt.Fprintf(r.to, "FAIL  %-44s %6.1f s\n", short(e.Package), e.Elapsed)
	case e.Action == "skip":
		fmt.Fprintf(r.to, "  -   %-44s no tests\n", short(e.Package))
	default:
		fmt.Fprintf(r.to, "ok    %-44s %6.1f s\n", short(e.Package), e.Elapsed)
	}
	for k := range r.output {
		if k.pkg == e.Package {
			delete(r.output, k)
		}
	}
}

func (r *report) print(lines []string) {
	for _, l := range lines {
		if !strings.HasPrefix(l, "=== ") {
			fmt.Fprint(r.to, l)
		}
	}
}

// summary prints the slowest tests, what was skipped and why, and the verdict.
func (r *report) summary(passed bool, took time.Duration) {
	sort.Slice(r.slow, func(i, j int) bool { return r.slow[i].seconds > r.slow[j].seconds })
	if len(r.slow) > 0 {
		fmt.Fprintln(r.to, "\nslowest:")
		for _, s := range r.slow[:min(len(r.slow), 5)] {
			fmt.Fprintf(r.to, "  %6.1f s  %s %s\n", s.seconds, short(s.pkg), s.name)
		}
	}
	if len(r.skips) > 0 {
		fmt.Fprintln(r.to, "\nskipped, with the reason:")
		for _, s := range r.skips {
			fmt.Fprintf(r.to, "  %s %s: %s\n", short(s.pkg), s.name, s.reason)
		}
	}
	verdict := "PASS"
	if !passed {
		verdict = "FAIL"
	}
	fmt.Fprintf(r.to, "\n%s: %d passed, %d failed, %d skipped, %.0f s\n",
		verdict, r.counts.passed, r.counts.failed, r.counts.skipped, took.Seconds())
}

// reason is what a test said when it skipped itself: its lines without the
// marks of go test and the place in the source.
func reason(lines []string) string {
	var said []string
	for _, l := range lines {
		l = strings.TrimSpace(l)
		if l == "" || strings.HasPrefix(l, "=== ") || strings.HasPrefix(l, "--- ") {
			continue
		}
		if place, text, ok := strings.Cut(l, ": "); ok && strings.Contains(place, ".go:") {
			l = text
		}
		said = append(said, l)
	}
	if len(said) == 0 {
		return "no reason given"
	}
	return strings.Join(said, " ")
}

func has(keys []key, k key) bool {
	for _, x := range keys {
		if x == k {
			return true
		}
	}
	return false
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/perdure-ha/perdure/") }
