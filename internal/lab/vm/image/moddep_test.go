package image

import (
	"slices"
	"strings"
	"testing"
)

// A piece of Debian's, where needs come the last to be loaded first.
const someDependencies = `kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/net/virtio_net.ko: kernel/drivers/net/net_failover.ko kernel/net/core/failover.ko kernel/drivers/virtio/virtio.ko kernel/drivers/virtio/virtio_ring.ko
kernel/net/core/failover.ko:
kernel/drivers/net/net_failover.ko: kernel/net/core/failover.ko
kernel/block/t10-pi.ko.xz: kernel/lib/crc-t10dif.ko.xz
kernel/lib/crc-t10dif.ko.xz:
`

func TestOrder(t *testing.T) {
	d, err := parseDependencies(someDependencies)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ names, want string }{
		{"", ""},
		{"virtio", "virtio_ring virtio"},
		{"virtio virtio_net", "virtio_ring virtio failover net_failover virtio_net"},
		{"virtio_net virtio", "virtio_ring virtio failover net_failover virtio_net"},
		{"t10_pi", "crc_t10dif t10_pi"},
	} {
		files, err := d.order(strings.Fields(c.names))
		var got []string
		for _, f := range files {
			got = append(got, moduleName(f))
		}
		if err != nil || strings.Join(got, " ") != c.want {
			t.Errorf("%q: %q %v, wanted %q", c.names, got, err, c.want)
		}
	}
	if _, err := d.order([]string{"virtio", "zfs"}); err == nil || !strings.Contains(err.Error(), "zfs") {
		t.Errorf("a module that isn't there: %v", err)
	}
}

func TestDependenciesRefused(t *testing.T) {
	for _, text := range []string{"no colon", "kernel/x: y", ": a.ko", "a.ko:\nb"} {
		if d, err := parseDependencies(text); err == nil {
			t.Errorf("%q is read as %v", text, d)
		}
	}
}

func FuzzDependencies(f *testing.F) {
	f.Add(someDependencies)
	f.Add("a.ko: b.ko\nb.ko: a.ko")
	f.Add("a-b.ko:\na_b.ko: a-b.ko a-b.ko")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDependencies(text)
		if err != nil {
			return
		}
		for name := range d {
			files, err := d.order([]string{name})
			if err != nil || !slices.Contains(files, d[name].file) {
				t.Errorf("%q: %q without itself: %v", name, files, err)
			}
			once := slices.Compact(slices.Sorted(slices.Values(files)))
			if len(once) != len(files) {
				t.Errorf("%q: %q has a file twice", name, files)
			}
		}
	})
}
