package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"strings"
	"time"
)

func main() {
	alone := flag.String("alone", "", "regular expression of packages that run one at a time after the others")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: testrun [-alone REGEXP] [-- go test flags] packages")
		flag.PrintDefaults()
	}
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ok, err := run(ctx, *alone, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "testrun:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// run tests the packages in two rounds and reports both. It reports whether all
// of them passed.
func run(ctx context.Context, alone string, args []string) (bool, error) {
	flags, patterns := split(args)
	together, single, err := packages(ctx, alone, patterns)
	if err != nil {
		return false, err
	}
	r := newReport(os.Stdout)
	start, passed := time.Now(), true
	for _, round := range []struct{ flags, packages []string }{
		{nil, together}, {[]string{"-p=1"}, single},
	} {
		if len(round.packages) == 0 {
			continue
		}
		ok, err := test(ctx, r, append(append(round.flags, flags...), round.packages...))
		if err != nil {
			return false, err
		}
		passed = passed && ok
	}
	r.summary(passed, time.Since(start))
	return passed, nil
}

// split parts the flags of go test from the packages after them. A flag with a
// value is written with an equals sign.
func split(args []string) (flags, patterns []string) {
	for _, a := range args {
		if strings.HasPrefix(a, "-") {
			flags = append(flags, a)
		} else {
			patterns = append(patterns, a)
		}
	}
	return flags, patterns
}

func packages(ctx context.Context, alone string, patterns []string) (together, single []string, err error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, nil, fmt.Errorf("list the packages %v: %w", patterns, err)
	}
	match, err := regexp.Compile(alone)
	if err != nil {
		return nil, nil, fmt.Errorf("read -alone: %w", err)
	}
	for _, p := range strings.Fields(string(out)) {
		if alone != "" && match.MatchString(p) {
			single = append(single, p)
		} else {
			together = append(together, p)
		}
	}
	return together, single, nil
}

// test runs go test once and feeds its events to the report.
func test(ctx context.Context, r *report, args []string) (bool, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, fmt.Errorf("run go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("run go test: %w", err)
	}
	readErr := r.read(out)
	if err := cmd.Wait(); err != nil {
		return false, nil
	}
	return true, readErr
}
