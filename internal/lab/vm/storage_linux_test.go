package vm

import (
	"context"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/lab/fault"
)

// TestStorage: a node's writes to the SAN go on with one of its switches gone, fail
// with both gone, and work again afterwards; those to the NAS fail with its switch
// gone, and work again.
func TestStorage(t *testing.T) {
	l := openOne(t, Options{Storage: true})
	ctx, n := t.Context(), l.nodes[0]
	apply := func(text string) {
		t.Helper()
		f, err := fault.Parse(text)
		if err == nil {
			err = fault.Apply(ctx, l, f)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(path string) string {
		t.Helper()
		return ask(t, n, "dd if=/dev/zero of="+path+" bs=4k count=1 oflag=direct conv=notrunc,fsync 2>&1 || true")
	}
	const unit, file = "/dev/mapper/lun-data", "/mnt/nas/file"
	works := func(path, when string) {
		t.Helper()
		if out := write(path); !strings.Contains(out, "1+0 records out") {
			t.Errorf("%s: a write to %s says %s", when, path, out)
		}
	}
	fails := func(path, when string) {
		t.Helper()
		if out := write(path); !strings.Contains(out, "Input/output error") {
			t.Errorf("%s: a write to %s says %s", when, path, out)
		}
	}
	if err := n.MountNAS(ctx, "/mnt/nas", ""); err != nil {
		t.Fatal(err)
	}
	works(unit, "at first")
	works(file, "at first")

	apply("switch-down on sana")
	works(unit, "with one path")
	apply("switch-down on sanb")
	fails(unit, "with no path")
	works(file, "without the SAN")
	apply("heal")
	await(t, func(ctx context.Context) bool {
		paths, err := n.Paths(ctx)
		return err == nil && strings.Count(paths, "ready") == len(sanNetworks)*len(LUNs())
	}, func() string { return "the paths of the SAN aren't back" })
	works(unit, "with its paths back")

	apply("switch-down on nas")
	fails(file, "with the NAS cut off")
	apply("switch-up on nas")
	awaitOutput(t, n, "dd if=/dev/zero of="+file+" bs=4k count=1 oflag=direct conv=notrunc,fsync 2>&1 || true", func(out string) bool {
		return strings.Contains(out, "1+0 records out")
	})
}
