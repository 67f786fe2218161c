package decide

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what happened into testdata; then read the diff")

// TestStories plays testdata/*.txt: comments, a command, "----", what must come
// of it, an empty line.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, newTheatre(), string(want))
			if bytes.Equal(want, []byte(got)) {
				return
			}
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			t.Errorf("%s (go test -rewrite, then read the diff):\n%s", file, firstDifference(string(want), got))
		})
	}
}

// play runs a story and returns it with the outcomes that came.
func play(t *testing.T, th *theatre, story string) string {
	t.Helper()
	var out strings.Builder
	var block []string
	inOutcome := false
	end := func() {
		if len(block) == 0 {
			return
		}
		fmt.Fprintln(&out, "----")
		for _, cmd := range block {
			th.do(t, cmd)
		}
		out.WriteString(th.flush())
		block = nil
	}
	for line := range strings.Lines(story) {
		line = strings.TrimRight(line, "\n")
		switch {
		case line == "----":
			inOutcome = true
		case line == "":
			if len(block) > 0 {
				end()
			}
			inOutcome = false
			fmt.Fprintln(&out)
		case inOutcome:
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		default:
			fmt.Fprintln(&out, line)
			block = append(block, line)
		}
	}
	end()
	return out.String()
}

func firstDifference(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			return fmt.Sprintf("line %d\n want %s\n got  %s", i+1, a, b)
		}
	}
	return "no difference"
}
