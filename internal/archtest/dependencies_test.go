package archtest

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesHaveReasons compares the modules that the source imports, and
// the tools of go.mod, with the table in docs/dependencies.md.
func TestDependenciesHaveReasons(t *testing.T) {
	gomod := read(t, "go.mod")
	required, tools := requirements(gomod)
	listed := table(read(t, "docs/dependencies.md"))
	used := make(map[string]string)
	for _, s := range sources(t) {
		for p, spec := range s.imports() {
			if m := moduleOf(required, p); m != "" {
				used[m] = s.at(spec)
			}
		}
	}
	for _, tool := range tools {
		if m := moduleOf(required, tool); m != "" {
			used[m] = "go.mod: tool " + tool
		}
	}
	for m, where := range used {
		if listed[m] == "" {
			t.Errorf("%s: %s has no reason in docs/dependencies.md", where, m)
		}
	}
	for m := range listed {
		if !slices.Contains(required, m) {
			t.Errorf("docs/dependencies.md gives a reason for %s, which go.mod doesn't have", m)
		}
		if used[m] == "" {
			t.Logf("docs/dependencies.md gives a reason for %s, which nothing imports", m)
		}
	}
}

// confined are modules that only some packages may see, so that they could be
// replaced and their words stay out of the rest.
var confined = []struct {
	module string
	dirs   []string
	reason string
}{
	{"go.etcd.io/raft/v3", []string{"internal/core", "internal/wal", "internal/lab/world"},
		"agreement is core's; wal keeps its entries, the lab's world plays the wal; others see commands and bytes"},
	{"github.com/vishvananda/netlink", []string{"internal/kit/*", "internal/fence", "internal/platform/sockets", "internal/volume/kernel", "internal/lab/*"}, "links, addresses, sockets, and the kernel's NBD"},
	{"github.com/google/nftables", []string{"internal/fence", "internal/lab/*"}, "the gate is fence's"},
	{"github.com/alecthomas/kong", []string{"internal/cli", "cmd/*"}, "arguments are parsed in one place"},
}

func confinement(s source) []string {
	var findings []string
	for p, spec := range s.imports() {
		for _, c := range confined {
			if p != c.module && !strings.HasPrefix(p, c.module+"/") {
				continue
			}
			inside := slices.ContainsFunc(c.dirs, func(pattern string) bool { return matches(pattern, s.dir()) })
			if !inside {
				findings = append(findings, s.at(spec)+": "+c.module+" is for "+strings.Join(c.dirs, ", ")+" only: "+c.reason)
			}
		}
	}
	return findings
}

func TestModulesStayInTheirPlace(t *testing.T) { enforce(t, confinement) }

func TestDependencyRulesCatch(t *testing.T) {
	catches(t, confinement, "internal/daemon/x.go", []snippet{
		{`import "go.etcd.io/raft/v3/raftpb"`, 1}, {`import "github.com/google/nftables"`, 1}})
	catches(t, confinement, "internal/wal/x.go", []snippet{{`import "go.etcd.io/raft/v3/raftpb"`, 0}})
	catches(t, confinement, "internal/kit/ip/x.go", []snippet{{`import "github.com/vishvananda/netlink"`, 0}})

	required, tools := requirements("require (\n\ta.b/c v1.0.0\n\ta.b/c/d v1.0.0 // indirect\n)\nrequire e.f/g v2.0.0\ntool h.i/j\ntool (\n\tk.l/m\n)\n")
	if want := []string{"a.b/c", "a.b/c/d", "e.f/g"}; !slices.Equal(required, want) {
		t.Errorf("required: got %v, want %v", required, want)
	}
	if want := []string{"h.i/j", "k.l/m"}; !slices.Equal(tools, want) {
		t.Errorf("tools: got %v, want %v", tools, want)
	}
	for p, want := range map[string]string{"a.b/c/d/e": "a.b/c/d", "a.b/cd": "", "a.b/c": "a.b/c", "fmt": ""} {
		if got := moduleOf(required, p); got != want {
			t.Errorf("module of %s: got %q, want %q", p, got, want)
		}
	}
	if got := table("| module | why |\n|---|---|\n| `a.b/c` | good |\n| `e.f/g` | |\n"); got["a.b/c"] != "good" || got["e.f/g"] != "" {
		t.Errorf("table: got %v", got)
	}
}

// requirements reads the modules and tools of a go.mod file.
func requirements(text string) (required, tools []string) {
	block := ""
	for _, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "//")
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
		case f[0] == ")":
			block = ""
		case len(f) == 2 && f[1] == "(":
			block = f[0]
		case block == "require":
			required = append(required, f[0])
		case block == "tool":
			tools = append(tools, f[0])
		case f[0] == "require" && len(f) > 1:
			required = append(required, f[1])
		case f[0] == "tool" && len(f) > 1:
			tools = append(tools, f[1])
		}
	}
	return required, tools
}

// moduleOf finds the module of a package: the longest that is its prefix.
func moduleOf(required []string, p string) string {
	best := ""
	for _, m := range required {
		if (p == m || strings.HasPrefix(p, m+"/")) && len(m) > len(best) {
			best = m
		}
	}
	return best
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)`[^|]*\\|\\s*([^|]*?)\\s*\\|")

func table(text string) map[string]string {
	found := make(map[string]string)
	for _, m := range row.FindAllStringSubmatch(text, -1) {
		found[m[1]] = m[2]
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatalf("read %s: %v", name, err)
	}
	return string(text)
}
