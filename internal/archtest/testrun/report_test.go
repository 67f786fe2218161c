package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

func feed(t *testing.T, events string) string {
	t.Helper()
	var out bytes.Buffer
	r := newReport(&out)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.summary(r.counts.failed == 0, 3*time.Second)
	return out.String()
}

func TestReport(t *testing.T) {
	got := feed(t, `{"Action":"start","Package":"github.com/perdure-ha/perdure/internal/wal"}
{"Action":"output","Package":"github.com/perdure-ha/perdure/internal/wal","Test":"TestA","Output":"noise of a good test\n"}
{"Action":"pass","Package":"github.com/perdure-ha/perdure/internal/wal","Test":"TestA","Elapsed":1.5}
{"Action":"output","Package":"github.com/perdure-ha/perdure/internal/wal","Test":"TestB","Output":"=== RUN   TestB\n"}
{"Action":"output","Package":"github.com/perdure-ha/perdure/internal/wal","Test":"TestB","Output":"    b_test.go:9: needs root\n"}
{"Action":"output","Package":"github.com/perdure-ha/perdure/internal/wal","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"github.com/perdure-ha/perdure/internal/wal","Test":"TestB"}
{"Action":"pass","Package":"github.com/perdure-ha/perdure/internal/wal","Elapsed":2}
{"Action":"skip","Package":"github.com/perdure-ha/perdure/internal/empty"}
`)
	want := `ok    internal/wal                                    2.0 s
  -   internal/empty                               no tests

slowest:
     1.5 s  internal/wal TestA

skipped, with the reason:
  internal/wal TestB: needs root

PASS: 1 passed, 0 failed, 1 skipped, 3 s
`
	if got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestReportShowsWhatFailed(t *testing.T) {
	got := feed(t, `{"Action":"build-output","ImportPath":"x","Output":"x.go:1: no such thing\n"}
not json
{"Action":"output","Package":"p","Test":"TestGood","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestGood"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"=== CONT  TestBad\n"}
{"Action":"output","Package":"p","Test":"TestBad","Output":"    bad_test.go:3: loud\n"}
{"Action":"fail","Package":"p","Test":"TestBad"}
{"Action":"output","Package":"p","Test":"TestCut","Output":"panic: cut off\n"}
{"Action":"output","Package":"p","Output":"exit status 2\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`)
	for _, want := range []string{"x.go:1: no such thing", "not json", "bad_test.go:3: loud", "panic: cut off", "exit status 2", "FAIL  p", "FAIL: 1 passed, 1 failed"} {
		if !strings.Contains(got, want) {
			t.Errorf("the report doesn't say %q:\n%s", want, got)
		}
	}
	for _, noise := range []string{"quiet", "=== CONT"} {
		if strings.Contains(got, noise) {
			t.Errorf("the report says %q:\n%s", noise, got)
		}
	}
}

func TestSplit(t *testing.T) {
	flags, patterns := split([]string{"-race", "-timeout=5m", "./...", "./x"})
	if strings.Join(flags, " ") != "-race -timeout=5m" || strings.Join(patterns, " ") != "./... ./x" {
		t.Errorf("got %v and %v", flags, patterns)
	}
}
