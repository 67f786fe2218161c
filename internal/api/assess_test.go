package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/apitest"
)

// TestAssess plays the scenarios of testdata. A question is "? assess [lang=ja]".
func TestAssess(t *testing.T) {
	apitest.Golden(t, "testdata/assess/*.txt", func(w *apitest.World, words []string) (string, error) {
		lang := "en"
		if len(words) > 1 {
			_, lang, _ = strings.Cut(words[1], "=")
		}
		r := api.Assess(w.State, w.Local, w.Now())
		var b strings.Builder
		fmt.Fprintf(&b, "safe %v; votes %d of %d, %d needed, %d spare\n", r.Safe, r.Quorum.Answering, r.Quorum.Voters, r.Quorum.Majority, r.Quorum.Spare)
		for _, f := range r.Findings {
			fmt.Fprintf(&b, "%-7s %s %s\n", f.Severity, f.Reason.Code, f.Text.In(lang))
			if f.Fix != "" {
				fmt.Fprintf(&b, "        fix: %s\n", f.Fix)
			}
		}
		for _, h := range r.Hierarchies {
			fmt.Fprintf(&b, "%s: %s on %q, standbys %v, outage %v (start %v, fencing %v, endless %v)\n",
				h.Name, h.Status, h.Node, h.Standbys, h.Outage, h.StartTook, h.Fencing, h.Endless)
		}
		return b.String(), nil
	})
}
