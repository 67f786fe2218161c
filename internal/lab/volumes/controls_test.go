package volumes

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/volume"
)

// TestBrokenVariantsAreCaught takes one rule away at a time: some seed must
// notice, from one on that is known to.
func TestBrokenVariantsAreCaught(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken volume.Broken
		async  bool
		first  uint64
	}{
		{"acknowledge before the targets have it", volume.Broken{AckEarly: true}, false, 2},
		{"leave a target out before the cluster agreed", volume.Broken{SkipCommit: true}, false, 3},
		{"forget hot extents", volume.Broken{ForgetHot: true}, false, 1},
		{"forget what a power loss took", volume.Broken{ForgetUnsettled: true}, false, 237},
		{"don't count a copy whose add is under way", volume.Broken{AddUncounted: true}, false, 3},
		{"read doubtful blocks", volume.Broken{ReadDoubtful: true}, false, 200},
		{"keep no marks for copies outside the set", volume.Broken{ForgetOutside: true}, false, 167},
		{"an async copy without order", volume.Broken{NoOrder: true}, true, 57},
		{"a resync that leaves its target consistent", volume.Broken{KeepConsistent: true}, true, 29},
	} {
		t.Run(c.name, func(t *testing.T) {
			for s := c.first; s < c.first+400; s++ {
				o := Options{Seed: s, Any: !c.async, Async: c.async, Broken: c.broken}
				if err := New(o).Run(3 * time.Second); err != nil {
					t.Log(err)
					return
				}
			}
			t.Error("nothing noticed")
		})
	}
}
