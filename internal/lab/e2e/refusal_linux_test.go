package e2e

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// shop is a cluster that has been formed, with a service.
type shop struct {
	nodes   []*machine
	service string // the file with the service's process id
}

// sight is everything that a refused command must leave as it was.
type sight struct {
	Nodes       []cluster.Node
	Voters      []cluster.NodeID
	Tokens      []cluster.Token
	Hierarchies []cluster.Hierarchy
	Detection   string
	Service     int
	Daemons     map[string]int
}

func (s *shop) look(t *testing.T) sight {
	t.Helper()
	v, err := s.nodes[0].view()
	if err != nil {
		t.Fatal(err)
	}
	st := v.State
	see := sight{Nodes: st.Nodes, Voters: st.Voters, Tokens: st.Tokens, Hierarchies: st.Hierarchies, Detection: st.Detection.String(), Daemons: map[string]int{}}
	if s.service != "" {
		see.Service = servicePID(t, s.service)
	}
	for _, m := range s.nodes {
		see.Daemons[m.name] = m.daemon()
	}
	return see
}

// unchanged runs what must change nothing.
func (s *shop) unchanged(t *testing.T, act func()) {
	t.Helper()
	before := s.look(t)
	act()
	if diff := cmp.Diff(before, s.look(t)); diff != "" {
		t.Errorf("something changed:\n%s", diff)
	}
}

// refuses runs a command that must be refused with a code and these words, and
// that changes nothing.
func (s *shop) refuses(t *testing.T, m *machine, code string, words []string, command ...string) answer {
	t.Helper()
	var a answer
	s.unchanged(t, func() { a = m.refuses(t, code, words, command...) })
	return a
}

// refuses runs a command that must say clearly why it does nothing: a code, the
// words, a cause and a next step that can be taken.
func (m *machine) refuses(t *testing.T, code string, words []string, command ...string) answer {
	t.Helper()
	a := m.perdure(command...)
	flat := strings.Join(strings.Fields(a.err), " ")
	if a.code <= 0 {
		t.Errorf("it is not refused: %v", short(a))
	}
	if !coded.MatchString(flat) || code != "" && !strings.Contains(flat, "("+code+")") {
		t.Errorf("no code %s in: %v", code, short(a))
	}
	for _, w := range words {
		if !strings.Contains(flat, w) {
			t.Errorf("no %q in: %v", w, short(a))
		}
	}
	for _, w := range []string{"Cause: ", "Next: "} {
		if !strings.Contains(flat, w) {
			t.Errorf("no %q in: %v", w, short(a))
		}
	}
	for _, w := range []string{"panic", "goroutine ", "%!", "{0}", "{1}", "\x1b"} {
		if strings.Contains(a.err+a.out, w) {
			t.Errorf("%q in: %v", w, short(a))
		}
	}
	if len(a.err) > 4000 {
		t.Errorf("%d bytes are no clear message: %v", len(a.err), short(a))
	}
	m.follow(t, a)
	return a
}

// coded is a message's code.
var coded = regexp.MustCompile(`\(PD\d{4}\)`)

// short keeps long answers readable.
func short(a answer) string {
	for i := range a.words {
		if len(a.words[i]) > 200 {
			a.words = slices.Clone(a.words)
			a.words[i] = a.words[i][:200] + "…"
		}
	}
	text := a.String()
	return text[:min(len(text), 3000)]
}

// looks are commands in next steps that change nothing and end by themselves.
var looks = regexp.MustCompile(`Next: [^;]*?\bperdure ((?:(?:node|hierarchy|resource|kit|path|token) (?:show|list)|why|status|events|quorum status)(?: [\w./-]+)?)(?:$|[;,]| Cause)`)

// follow takes the next step literally, as somebody called at night does. It
// needs a daemon.
func (m *machine) follow(t *testing.T, a answer) {
	t.Helper()
	for _, match := range looks.FindAllStringSubmatch(strings.Join(strings.Fields(a.err), " "), -1) {
		words := strings.Fields(match[1])
		if strings.ToUpper(words[len(words)-1]) == words[len(words)-1] && len(words) > 1 {
			continue // only the reader knows the word
		}
		if m.top == nil && words[0] != "kit" {
			continue
		}
		if next := m.perdure(words...); next.code != 0 {
			t.Errorf("the next step of\n%v\ndoesn't work:\n%v", short(a), short(next))
		}
	}
}

// healthy fails when a log tells of a crash.
func healthy(t *testing.T, all ...*machine) {
	t.Helper()
	for _, m := range all {
		b, err := os.ReadFile(m.log())
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(b), "\n") {
			if strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") || strings.HasPrefix(line, "goroutine ") {
				t.Errorf("%s crashed: %s\n%s", m.name, line, m.tail(30))
				break
			}
		}
	}
}

// logs reports whether a machine's log has the words.
func logs(m *machine, words string) bool {
	b, err := os.ReadFile(m.log())
	return err == nil && strings.Contains(string(b), words)
}
