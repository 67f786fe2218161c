package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// hostile gives names and values that no person would type.
func hostile(t *testing.T, s *shop) {
	a := s.nodes[0]
	long := strings.Repeat("x", 100<<10)
	for name, c := range map[string][]string{
		"long hierarchy name":     {"hierarchy", "create", long},
		"long resource name":      {"resource", "create", "process", long, "-H", "app", "command=/bin/true"},
		"long setting name":       {"resource", "create", "process", "x", "-H", "app", "command=/bin/true", long + "=1"},
		"long kit":                {"resource", "create", long, "x", "-H", "app"},
		"long unknown hierarchy":  {"hierarchy", "show", long},
		"long unknown node":       {"node", "show", long},
		"long token":              {"join", "perdure1." + long, "--node", "z", "--path", "lan=127.9.9.9"},
		"long path":               {"path", "set", "lan=" + long},
		"long detection time":     {"quorum", "detection", long},
		"control in a name":       {"hierarchy", "create", "a\x1b[2Jb"},
		"newline in a name":       {"hierarchy", "create", "a\nb"},
		"control in a kit":        {"resource", "create", "a\x1b[2Jb\x07", "x", "-H", "app"},
		"control in a node":       {"switchover", "app", "--to", "\x1b]0;evil\x07"},
		"control in a setting":    {"resource", "create", "process", "x", "-H", "app", "command=/bin/true", "a\x1b[2Jb=1"},
		"control in a command":    {"\x1b[2J"},
		"not UTF-8":               {"hierarchy", "create", "a\xff\xfeb"},
		"empty name":              {"hierarchy", "create", ""},
		"path in a node":          {"node", "show", "../../v1/status"},
		"path in a kit":           {"kit", "show", "../status"},
		"query in a hierarchy":    {"hierarchy", "delete", "app?force=1"},
		"slash in a hierarchy":    {"hierarchy", "delete", "app/"},
		"override of right order": {"hierarchy", "create", "a\u202eb"},
	} {
		t.Run(name, func(t *testing.T) {
			s.unchanged(t, func() {
				got := a.refuses(t, "", nil, c...)
				if strings.ContainsAny(got.err, "\x1b\x07\u202e") {
					t.Errorf("control characters reach the terminal: %q", got.err[:min(len(got.err), 300)])
				}
			})
		})
	}
}

// duplicateAddress claims one address twice: in one hierarchy, and in two.
func duplicateAddress(t *testing.T, s *shop) {
	a := s.nodes[0]
	ip := fmt.Sprintf("address=%s/32", address(99, 1))
	a.must(t, "resource", "create", "ip", "vip", "-H", "idle", ip, "devices=lo")
	s.refuses(t, a, "", []string{"used by resource idle/vip already"}, "resource", "create", "ip", "other", "-H", "idle", ip, "devices=lo")
	s.refuses(t, a, "", []string{"used by resource idle/vip already"}, "resource", "create", "ip", "other", "-H", "app", ip, "devices=lo")
	a.must(t, "resource", "delete", "idle/vip")
}

// startWithoutNodes asks for service of what may run nowhere.
func startWithoutNodes(t *testing.T, s *shop) {
	a := s.nodes[0]
	s.refuses(t, a, "", nil, "hierarchy", "set", "idle", "--nodes", "nobody")
}
