package archtest

import (
	"go/ast"
	"go/token"
	"strings"
	"testing"
)

// A pure package decides by its arguments alone, so that the simulator can run
// a whole cluster in one thread and replay it from a seed.

// impure are the imports that pure packages can't have, each with the way that
// is open instead. A name that ends in / is the package and all below it.
var impure = []struct{ path, instead string }{
	{"C", "the release build has no cgo"},
	{"context", "nothing here waits, so there is nothing to cancel"},
	{"crypto/rand", "chance is a seed in the configuration"},
	{"crypto/tls", "connections belong to the edge"},
	{"database/", "storage belongs to the edge"},
	{"io/ioutil", "files belong to the edge"},
	{"log/", "return an event with its reason; the edge writes logs"},
	{"net/", "sockets belong to the edge; net/netip and net/url are values and allowed"},
	{"os/", "files, processes and the environment belong to the edge"},
	{"plugin", "code is not loaded here"},
	{"runtime/", "the scheduler and the collector are not inputs of a decision"},
	{"sync/", "one goroutine steps a pure package, so there is nothing to lock"},
	{"syscall", "the operating system belongs to platform"},
	{"testing/", "test code stays in tests"},
	{"time/tzdata", "time zones belong to whoever shows a time"},
	{"unsafe", "decisions need no memory tricks"},
}

// pureExceptions are values in impure neighbourhoods.
var pureExceptions = []string{"net/netip", "net/url"}

// pureModules are the modules from outside that pure packages may import.
var pureModules = []struct{ dir, module, reason string }{
	{"internal/core", "go.etcd.io/raft/v3", "RawNode has no clock and no goroutine of its own"},
	{"internal/core", "google.golang.org/protobuf", "raft's messages are protocol buffers"},
	{"internal/message", "github.com/pelletier/go-toml/v2", "reads the embedded catalogue"},
	{"internal/message", "github.com/clipperhouse/displaywidth", "columns of wide characters, a table"},
}

// impureCalls are functions of otherwise useful packages.
var impureCalls = []struct {
	path    string
	names   []string
	instead string
}{
	{"time", []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick", "LoadLocation", "Local"},
		"time is an argument"},
	{"fmt", []string{"Print", "Printf", "Println", "Scan", "Scanf", "Scanln"}, "input and output belong to the edge"},
	{"math/rand", globalRand, "take a *rand.Rand made from the seed"},
	{"math/rand/v2", globalRand, "take a *rand.Rand made from the seed"},
}

var globalRand = []string{"ExpFloat64", "Float32", "Float64", "Int", "Int31", "Int31n", "Int32", "Int32N", "Int63", "Int63n",
	"Int64", "Int64N", "IntN", "Intn", "N", "NormFloat64", "Perm", "Read", "Seed", "Shuffle", "Uint", "Uint32", "Uint32N",
	"Uint64", "Uint64N", "UintN"}

// pure is the rule for one file.
func pure(s source) []string {
	if l, known := place(s.dir()); !known || l > layerPure || s.isTest() {
		return nil
	}
	findings := impureImports(s)
	say := func(n ast.Node, what, instead string) {
		findings = append(findings, s.at(n)+": "+s.dir()+" is pure and can't have "+what+": "+instead)
	}
	ast.Inspect(s.file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			say(n, "a goroutine", "the simulator steps a cluster in one thread")
		case *ast.ChanType, *ast.SendStmt, *ast.SelectStmt:
			say(n, "a channel", "events come in as arguments and effects go out as results")
		case *ast.UnaryExpr:
			if n.Op == token.ARROW {
				say(n, "a channel", "events come in as arguments and effects go out as results")
			}
		case *ast.SelectorExpr:
			for _, c := range impureCalls {
				if name, ok := s.selects(n, c.path); ok && contains(c.names, name) {
					say(n, c.path+"."+name, c.instead)
				}
			}
		}
		return true
	})
	return findings
}

func impureImports(s source) []string {
	var findings []string
	for p, spec := range s.imports() {
		if contains(pureExceptions, p) || strings.HasPrefix(p, module+"/") {
			continue
		}
		if strings.Contains(strings.SplitN(p, "/", 2)[0], ".") {
			if !pureMayUse(s.dir(), p) {
				findings = append(findings, s.at(spec)+": "+s.dir()+" is pure and can't import "+p+
					": nobody has looked whether it is pure; give a reason in pureModules")
			}
			continue
		}
		for _, b := range impure {
			if p == strings.TrimSuffix(b.path, "/") || strings.HasSuffix(b.path, "/") && strings.HasPrefix(p, b.path) {
				findings = append(findings, s.at(spec)+": "+s.dir()+" is pure and can't import "+p+": "+b.instead)
			}
		}
	}
	return findings
}

func pureMayUse(dir, p string) bool {
	for _, m := range pureModules {
		if m.dir == dir && (p == m.module || strings.HasPrefix(p, m.module+"/")) {
			return true
		}
	}
	return false
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func TestPure(t *testing.T) { enforce(t, pure) }

func TestPurityCatches(t *testing.T) {
	catches(t, pure, "internal/decide/x.go", []snippet{
		{`import "os"`, 1},
		{`import "os/exec"`, 1},
		{`import "net"`, 1},
		{`import "net/http"`, 1},
		{`import "net/netip"`, 0},
		{`import "sync/atomic"`, 1},
		{`import "crypto/rand"`, 1},
		{`import "crypto/sha256"`, 0},
		{`import "log/slog"`, 1},
		{`import "go.etcd.io/raft/v3"`, 1},
		{`import "github.com/google/go-cmp/cmp"`, 1},
		{`import "time"; const d = time.Second`, 0},
		{`import "time"; var d = time.Now()`, 1},
		{`import "time"; var f = time.Since`, 1},
		{`import clock "time"; var d = clock.NewTimer(0)`, 1},
		{`import "fmt"; func f() { fmt.Println() }`, 1},
		{`import "fmt"; func f() string { return fmt.Sprint() }`, 0},
		{`import "math/rand/v2"; var n = rand.IntN(3)`, 1},
		{`import "math/rand/v2"; func f(r *rand.Rand) int { return r.IntN(3) }`, 0},
		{`import "math/rand/v2"; var r = rand.New(rand.NewPCG(1, 2))`, 0},
		{`func f() { go f() }`, 1},
		{`func f(c chan int) {}`, 1},
		{`func f() { select {} }`, 1},
	})
	catches(t, pure, "internal/core/x.go", []snippet{{`import "go.etcd.io/raft/v3/raftpb"`, 0}})
	catches(t, pure, "internal/wal/x.go", []snippet{{`import "os"`, 0}})
	catches(t, pure, "internal/decide/x_test.go", []snippet{{`import "os"`, 0}})
}

// snippet is source after the package clause, with the number of findings
// that a rule must have in it.
type snippet struct {
	text     string
	findings int
}

func catches(t *testing.T, r rule, path string, snippets []snippet) {
	t.Helper()
	for _, sn := range snippets {
		s, err := parse(path, "package x\n"+sn.text)
		if err != nil {
			t.Fatalf("%s: %v", sn.text, err)
		}
		if got := r(s); len(got) != sn.findings {
			t.Errorf("%s: %s: %d findings, want %d: %v", path, sn.text, len(got), sn.findings, got)
		}
	}
}
