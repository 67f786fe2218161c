package why_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/api/apitest"
	"github.com/perdure-ha/perdure/internal/api/why"
	"github.com/perdure-ha/perdure/internal/message"
)

// TestStories plays the scenarios of testdata: what operators see. A question
// is "? why HIERARCHY [all] [entry=ID] [lang=ja] [width=N]".
func TestStories(t *testing.T) {
	apitest.Golden(t, "testdata/*.txt", func(w *apitest.World, words []string) (string, error) {
		var o why.Options
		st := why.Style{Lang: message.English, Width: 80}
		for _, word := range words[2:] {
			k, v, _ := strings.Cut(word, "=")
			n, _ := strconv.Atoi(v)
			switch k {
			case "all":
				o.All = true
			case "entry":
				o.Entry = uint64(n)
			case "lang":
				st.Lang = v
			case "width":
				st.Width = n
			}
		}
		stories, err := why.Tell(w.State, words[1], o)
		if err != nil {
			return "", err
		}
		var b strings.Builder
		for i := range stories {
			if i > 0 {
				b.WriteString("\n~~~~\n")
			}
			if err := stories[i].Print(&b, st); err != nil {
				return "", err
			}
			for _, line := range strings.Split(b.String(), "\n") {
				if message.Width(line) > st.Width {
					t.Errorf("wider than %d columns: %q", st.Width, line)
				}
			}
		}
		return b.String(), nil
	})
}
