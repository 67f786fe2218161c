package archtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// layer orders the packages: imports point down only.
type layer int

const (
	layerCluster layer = iota // the vocabulary
	layerPure                 // decides
	layerEdge                 // acts; edge packages don't know each other
	layerDaemon               // the one loop that joins the edge
	layerLab                  // simulator, namespaces, demo
	layerCLI                  // commands
	layerCmd                  // the binary
)

func (l layer) String() string {
	return [...]string{"cluster", "pure", "edge", "daemon", "lab", "cli", "cmd"}[l]
}

// packages is the whole house. A name that ends in /* is every package below;
// what is below an edge package is edge without being named.
// Packages that don't exist yet do no harm here; one that exists and is not
// listed fails the test, so that its place is chosen and not grown.
var packages = map[string]layer{
	"internal/cluster": layerCluster,

	"internal/arbiter": layerPure,
	"internal/core":    layerPure,
	"internal/decide":  layerPure,
	"internal/guard":   layerPure,
	"internal/message": layerPure,
	"internal/volume":  layerPure,

	"internal/api":             layerEdge,
	"internal/audit":           layerEdge,
	"internal/commpath":        layerEdge,
	"internal/console":         layerEdge,
	"internal/fence":           layerEdge,
	"internal/guardian":        layerEdge,
	"internal/hook":            layerEdge,
	"internal/kit":             layerEdge,
	"internal/pki":             layerEdge,
	"internal/platform":        layerEdge,
	"internal/store":           layerEdge,
	"internal/volume/block":    layerEdge,
	"internal/volume/device":   layerEdge,
	"internal/volume/device/*": layerEdge,
	"internal/volume/front":    layerEdge,
	"internal/volume/kernel":   layerEdge,
	"internal/volume/meta":     layerEdge,
	"internal/volume/nbd":      layerEdge,
	"internal/volume/server":   layerEdge,
	"internal/volume/wire":     layerEdge,
	"internal/wal":             layerEdge,

	"internal/daemon": layerDaemon,

	"model":               layerLab,
	"internal/archtest":   layerLab,
	"internal/archtest/*": layerLab,
	"internal/lab/*":      layerLab,

	"internal/cli": layerCLI,

	"cmd/*": layerCmd,
}

// meetings are the edge packages that may import another, each with its reason.
// Everywhere else edge packages meet in the daemon.
var meetings = []struct{ from, to, reason string }{
	{"internal/*", "internal/platform", "platform is the operating system: clocks, atomic files, processes"},
	{"internal/*", "internal/platform/*", "platform is the operating system: clocks, atomic files, processes"},
	{"internal/kit/*", "internal/kit", "kit is the contract that its kits fulfil; they don't know each other"},
	{"internal/kit/all", "internal/kit/*", "the one list of kits"},
	{"internal/guardian", "internal/fence", "the guardian is the process that holds gate and watchdog"},
}

// place finds a package in the table.
func place(dir string) (layer, bool) {
	if l, ok := packages[dir]; ok {
		return l, true
	}
	for pattern, l := range packages {
		if matches(pattern, dir) {
			return l, true
		}
	}
	if l, ok := packages[family(dir)]; ok && l == layerEdge {
		return l, true
	}
	return 0, false
}

// family is the package directly below internal that a package belongs to.
func family(dir string) string {
	parts := strings.SplitN(dir, "/", 3)
	return strings.Join(parts[:min(len(parts), 2)], "/")
}

func matches(pattern, dir string) bool {
	below, any := strings.CutSuffix(pattern, "*")
	if !any {
		return pattern == dir
	}
	return strings.HasPrefix(dir, below)
}

// mayImport says why from may not import to, or "".
func mayImport(from, to string) string {
	f, known := place(from)
	if !known {
		return fmt.Sprintf("%s has no place: add it to the table in internal/archtest/layers_test.go", from)
	}
	g, known := place(to)
	if !known {
		return fmt.Sprintf("%s has no place: add it to the table in internal/archtest/layers_test.go", to)
	}
	switch {
	case from == "internal/message":
		return "message imports nothing of the project, so that everything may speak"
	case f > g:
		return ""
	case f < g:
		return fmt.Sprintf("imports point down: %s (%v) can't import %s (%v)", from, f, to, g)
	case f == layerEdge:
		if family(from) == family(to) && family(from) != "internal/kit" {
			return ""
		}
		for _, m := range meetings {
			if matches(m.from, from) && matches(m.to, to) {
				return ""
			}
		}
		return fmt.Sprintf("edge packages meet only in the daemon: %s can't import %s; share a word in cluster, take an interface, or give a reason in meetings", from, to)
	}
	return "" // equals in the pure, lab and cmd layers; Go forbids circles
}

// imports is the rule for one file. Tests may reach further, because they are in
// no binary: but tests of pure packages stay pure enough to be simulated.
func importsPointDown(s source) []string {
	var findings []string
	for p, spec := range s.imports() {
		to, ours := strings.CutPrefix(p, module+"/")
		if !ours || to == s.dir() {
			continue
		}
		if s.isTest() {
			from, _ := place(s.dir())
			if l, _ := place(to); from > layerPure || l <= layerPure {
				continue
			}
		}
		if why := mayImport(s.dir(), to); why != "" {
			findings = append(findings, s.at(spec)+": "+why)
		}
	}
	return findings
}

func TestImportsPointDown(t *testing.T) { enforce(t, importsPointDown) }

func TestEveryPackageHasItsPlace(t *testing.T) {
	var seen []string
	for _, s := range sources(t) {
		if dir := s.dir(); !slices.Contains(seen, dir) {
			seen = append(seen, dir)
			if _, ok := place(dir); !ok {
				t.Errorf("%s has no place: add it to the table in internal/archtest/layers_test.go", dir)
			}
		}
	}
}

func TestImportRulesCatch(t *testing.T) {
	for _, tt := range []struct {
		from, to string
		allowed  bool
	}{
		{"internal/cluster", "internal/message", false},
		{"internal/cluster", "internal/arbiter", false},
		{"internal/message", "internal/cluster", false},
		{"internal/decide", "internal/message", true},
		{"internal/decide", "internal/cluster", true},
		{"internal/core", "internal/wal", false},
		{"internal/core", "internal/decide", true},
		{"internal/wal", "internal/platform", true},
		{"internal/wal", "internal/core", true},
		{"internal/wal", "internal/commpath", false},
		{"internal/wal", "internal/platform/durable", true},
		{"internal/platform/durable", "internal/wal", false},
		{"internal/wal", "internal/wal/walfs", true},
		{"internal/commpath", "internal/wal/walfs", false},
		{"internal/arbiter/x", "internal/cluster", false},
		{"internal/kit/ip", "internal/kit", true},
		{"internal/kit", "internal/kit/ip", false},
		{"internal/kit/ip", "internal/kit/process", false},
		{"internal/api", "internal/message", true},
		{"internal/api", "internal/daemon", false},
		{"internal/cli", "internal/message", true},
		{"internal/cli", "internal/lab/demo", true},
		{"internal/lab/demo", "internal/cli", false},
		{"internal/lab/sim", "internal/core", true},
		{"internal/daemon", "internal/wal", true},
		{"internal/daemon", "internal/message", true},
		{"cmd/perdure", "internal/cli", true},
		{"internal/surprise", "internal/cluster", false},
	} {
		if why := mayImport(tt.from, tt.to); (why == "") != tt.allowed {
			t.Errorf("%s → %s: allowed %v, want %v (%s)", tt.from, tt.to, why == "", tt.allowed, why)
		}
	}
}
