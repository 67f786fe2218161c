package image

import (
	"os"
	"testing"
	"time"
)

// TestMake builds for real, or takes what an earlier build left in the cache.
func TestMake(t *testing.T) {
	if os.Getenv("PERDURE_LAB_IMAGES") == "" {
		t.Skip("SKIPPED: images of virtual machines are not built: set PERDURE_LAB_IMAGES=1 (takes minutes, needs root)")
	}
	began := time.Now()
	last := ""
	images, err := Make(t.Context(), Options{Progress: func(p Progress) {
		if p.Step != last {
			t.Logf("%6.1f s %v", time.Since(began).Seconds(), p)
			last = p.Step
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v: %+v", time.Since(began), images)
	for _, k := range kinds {
		if len(images.Modules[k]) < len(early[k]) || images.Release[k] == "" {
			t.Errorf("%s: release %q with modules %v", k, images.Release[k], images.Modules[k])
		}
	}
	again, err := Make(t.Context(), Options{Kinds: []Kind{UML}, Progress: func(p Progress) { t.Errorf("built again: %v", p) }})
	if err != nil || again.Root != images.Root {
		t.Errorf("the second time: %+v, %v", again, err)
	}
}
