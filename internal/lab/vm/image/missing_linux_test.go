package image

import (
	"errors"
	"slices"
	"testing"
)

const bookworm = "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_CODENAME=bookworm\nID=debian\n"

func TestMissing(t *testing.T) {
	without := func(lacking ...string) host {
		return host{arch: "amd64", release: bookworm, keyrings: true, look: func(program string) error {
			if slices.Contains(lacking, program) {
				return errors.New("not found")
			}
			return nil
		}}
	}
	other := without()
	other.arch, other.release, other.uid, other.keyrings = "arm64", "ID=fedora\n", 1000, false
	for what, c := range map[string]struct {
		host  host
		kinds []Kind
		want  string
	}{
		"nothing":        {without(), kinds, ""},
		"unneeded":       {without("linux.uml"), []Kind{QEMU}, ""},
		"two programs":   {without("linux.uml", "mksquashfs"), kinds, "virtual machines of the lab need linux.uml, mksquashfs; install it by: apt-get install --no-install-recommends user-mode-linux squashfs-tools"},
		"another system": {other, kinds, "virtual machines of the lab need an amd64 processor (this is arm64), a release of Debian (guests are made from its packages), root (run it by sudo), the keys of Debian's archive; install it by: apt-get install --no-install-recommends debian-archive-keyring"},
	} {
		got := ""
		if err := c.host.missing(c.kinds); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwanted:\n%s", what, got, c.want)
		}
	}
}

func TestKernelDepends(t *testing.T) {
	record := "Package: linux-image-amd64\nVersion: 6.1.192-2\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.192-2)\nDescription: Linux\n"
	if got := kernelDepends(record); got != "linux-image-6.1.0-56-amd64=6.1.192-2" {
		t.Errorf("%q", got)
	}
	if got := kernelDepends("Depends: linux-base (= 4)\n"); got != "" {
		t.Errorf("%q", got)
	}
}
