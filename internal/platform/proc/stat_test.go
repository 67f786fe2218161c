package proc

import (
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	const tail = " 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2 3"
	for _, c := range []struct {
		name, line string
		ok         bool
		dead       bool
	}{
		{"plain", "7 (nginx) S" + tail, true, false},
		{"name with parentheses and blanks", "7 (a) b (c) R) S" + tail, true, false},
		{"zombie", "7 (nginx) Z" + tail, true, true},
		{"no name", "7 nginx S" + tail, false, false},
		{"cut short", "7 (nginx) S 1 7 7", false, false},
		{"letters for a number", "7 (nginx) S" + strings.Replace(tail, "4242", "x", 1), false, false},
		{"empty", "", false, false},
	} {
		s, err := parseStat([]byte(c.line))
		if (err == nil) != c.ok {
			t.Errorf("%s: error %v, want ok %v", c.name, err, c.ok)
			continue
		}
		if c.ok && (s.pid != 7 || s.parent != 1 || s.session != 7 || s.start != 4242 || s.dead() != c.dead) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1 2 3"))
	f.Add([]byte(")("))
	f.Fuzz(func(t *testing.T, line []byte) { parseStat(line) })
}
