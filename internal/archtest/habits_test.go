package archtest

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"strings"
	"testing"
)

// A file has one subject. Above the wish it is named in the log, above the
// limit the test fails.
const (
	wantedLines = 400
	mostLines   = 800
)

func fileSize(s source) []string {
	if lines := strings.Count(s.text, "\n"); lines > mostLines && !s.isGenerated() {
		return []string{fmt.Sprintf("%s: %d lines, at most %d: cut it by subject", s.path, lines, mostLines)}
	}
	return nil
}

func TestFileSize(t *testing.T) {
	enforce(t, fileSize)
	for _, s := range sources(t) {
		if lines := strings.Count(s.text, "\n"); lines > wantedLines && !s.isGenerated() {
			t.Logf("%s: %d lines, wanted are %d", s.path, lines, wantedLines)
		}
	}
}

// emptyNames say nothing about what is inside a package.
var emptyNames = regexp.MustCompile(`^(utils?|common|helpers?|types|misc|shared|base|lib|tools?|internal)$`)

func packageName(s source) []string {
	name := strings.TrimSuffix(s.file.Name.Name, "_test")
	if emptyNames.MatchString(name) || emptyNames.MatchString(path.Base(s.dir())) && s.dir() != "internal" {
		return []string{s.path + ": a package is named for its subject, not " + path.Base(s.dir())}
	}
	return nil
}

func TestPackageNames(t *testing.T) { enforce(t, packageName) }

// openEnd are the words of work left open, written so that this file has none.
var openEnd = regexp.MustCompile(`TO` + `DO|FIX` + `ME|XX` + `X|not imple` + `mented`)

func leftOpen(s source) []string {
	var findings []string
	for i, line := range strings.Split(s.text, "\n") {
		if word := openEnd.FindString(line); word != "" {
			findings = append(findings, fmt.Sprintf("%s:%d: %q: finish it, or say in docs what is missing", s.path, i+1, word))
		}
	}
	return findings
}

func TestNothingLeftOpen(t *testing.T) { enforce(t, leftOpen) }

func sleeps(s source) []string {
	if !s.isTest() {
		return nil
	}
	var findings []string
	ast.Inspect(s.file, func(n ast.Node) bool {
		if e, ok := n.(*ast.SelectorExpr); ok {
			if name, ok := s.selects(e, "time"); ok && name == "Sleep" {
				findings = append(findings, s.at(n)+": tests don't sleep: wait for the event with a deadline, or use testing/synctest")
			}
		}
		return true
	})
	return findings
}

func TestNoSleepInTests(t *testing.T) { enforce(t, sleeps) }

// storedContext finds contexts kept in structs: whose deadline they carry can't
// be seen any more. The daemon keeps the one of its life, which is the
// process's: whatever it starts belongs to it.
func storedContext(s source) []string {
	var findings []string
	if s.dir() == "internal/daemon" {
		return nil
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		st, ok := n.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range st.Fields.List {
			if name, ok := s.selects(f.Type, "context"); ok && name == "Context" {
				findings = append(findings, s.at(f)+": a context is passed first and never stored")
			}
		}
		return true
	})
	return findings
}

func TestContextsAreNotStored(t *testing.T) { enforce(t, storedContext) }

func TestPackageDocs(t *testing.T) {
	docs := make(map[string]bool)
	names := make(map[string]string)
	for _, s := range sources(t) {
		if s.isTest() {
			continue
		}
		names[s.dir()] = s.file.Name.Name
		if s.file.Doc != nil && docFits(s.file.Name.Name, s.file.Doc.Text()) {
			docs[s.dir()] = true
		}
	}
	for dir, name := range names {
		if !docs[dir] {
			t.Errorf("%s has no package doc that begins with %q: what it is for, what it owns and leaves to others, what may be called concurrently, where to start reading", dir, docStart(name))
		}
	}
}

func docFits(name, text string) bool { return strings.HasPrefix(text, docStart(name)) }

func docStart(name string) string {
	if name == "main" {
		return "Command "
	}
	return "Package " + name + " "
}

// decoder matches functions that turn bytes or text from elsewhere into values.
var decoder = regexp.MustCompile(`^(Decode|Unmarshal|Parse)`)

// TestDecodersAreFuzzed asks for a fuzz test in every package that exports a
// decoder.
func TestDecodersAreFuzzed(t *testing.T) {
	decoders, fuzzed := make(map[string]string), make(map[string]bool)
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			switch {
			case s.isTest() && strings.HasPrefix(f.Name.Name, "Fuzz"):
				fuzzed[s.dir()] = true
			case !s.isTest() && decoder.MatchString(f.Name.Name):
				decoders[s.dir()] = s.at(f) + ": " + f.Name.Name
			}
		}
	}
	for dir, where := range decoders {
		if !fuzzed[dir] {
			t.Errorf("%s reads what others wrote, and %s has no fuzz test", where, dir)
		}
	}
}

func TestHabitsCatch(t *testing.T) {
	long := strings.Repeat("\n", mostLines+1)
	catches(t, fileSize, "internal/core/x.go", []snippet{{long, 1}, {"", 0}})
	catches(t, packageName, "internal/util/x.go", []snippet{{"", 1}})
	catches(t, packageName, "internal/kit/ip/x.go", []snippet{{"", 0}})
	catches(t, leftOpen, "internal/core/x.go", []snippet{
		{"// TO" + "DO later", 1}, {"// FIX" + "ME", 1}, {"var s = `not imple" + "mented`", 1}, {"// done", 0}})
	catches(t, sleeps, "internal/core/x_test.go", []snippet{
		{`import "time"; func f() { time.Sleep(1) }`, 1}, {`import z "time"; func f() { z.Sleep(1) }`, 1},
		{`import "time"; const d = time.Second`, 0}})
	catches(t, sleeps, "internal/kit/x.go", []snippet{{`import "time"; func f() { time.Sleep(1) }`, 0}})
	catches(t, storedContext, "internal/kit/x.go", []snippet{
		{`import "context"; type t struct { ctx context.Context }`, 1},
		{`import "context"; func f(ctx context.Context) {}`, 0}})
	if docFits("core", "Core is …") || !docFits("core", "Package core joins") || !docFits("main", "Command perdure is") {
		t.Error("package docs are not told from other comments")
	}
}
