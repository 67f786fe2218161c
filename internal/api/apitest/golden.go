package apitest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the answers found into the scenario files; read the diff")

// Rewriting reports whether the flag -rewrite was given.
func Rewriting() bool { return *rewrite }

// fence begins and ends an answer.
const fence = "----"

// Golden runs the scenario files that match a pattern. A line that begins with
// "? " asks; its answer stands between fences and is compared. All other lines
// change the world.
func Golden(t *testing.T, pattern string, ask func(w *World, words []string) (string, error)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenario matches %s (%v)", pattern, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(string(b), "\r\n", "\n")
			got, err := play(want, ask)
			if err != nil {
				t.Fatal(err)
			}
			if got == want {
				return
			}
			if !*rewrite {
				t.Errorf("%s differs (go test -rewrite, then read the diff); now:\n%s", file, got)
				return
			}
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// play runs a scenario and returns it with the answers found.
func play(text string, ask func(*World, []string) (string, error)) (string, error) {
	w := &World{wall: Began.UnixMilli(), index: 1}
	var out strings.Builder
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		out.WriteString(lines[i] + "\n")
		question, asks := strings.CutPrefix(lines[i], "? ")
		if !asks {
			if err := w.Do(lines[i]); err != nil {
				return "", fmt.Errorf("line %d: %q: %w", i+1, lines[i], err)
			}
			continue
		}
		words, err := split(question)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", i+1, err)
		}
		answer, err := ask(w, words)
		if err != nil {
			answer = "error: " + err.Error() + "\n"
		}
		out.WriteString(fence + "\n" + answer + fence + "\n")
		if i+1 < len(lines) && lines[i+1] == fence {
			for i += 2; i < len(lines) && lines[i] != fence; i++ {
			}
		}
	}
	return out.String(), nil
}
