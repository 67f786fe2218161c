package image

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// tool is a program and the Debian package that brings it.
type tool struct {
	program, pkg string
	kind         Kind // that needs it; empty: all
}

var tools = []tool{
	{"qemu-system-x86_64", "qemu-system-x86", QEMU},
	{"linux.uml", "user-mode-linux", UML},
	{"xz", "xz-utils", ""},
	{"depmod", "kmod", ""},
	{"dpkg-deb", "dpkg", ""},
	{"apt-get", "apt", ""},
	{"mmdebstrap", "mmdebstrap", ""},
	{"mksquashfs", "squashfs-tools", ""},
}

// host is what Missing looks at.
type host struct {
	look     func(program string) error
	uid      int
	arch     string
	release  string // text of /etc/os-release
	keyrings bool   // Debian's archive keys are there
}

// Missing says what this machine lacks to build images of these kinds (all if
// none) and to boot them: one error with the command that brings it, or nil.
func Missing(wanted []Kind) error {
	wanted, err := normalize(wanted)
	if err != nil {
		return err
	}
	release, _ := os.ReadFile("/etc/os-release") // empty is no Debian, and said so
	_, err = os.Stat("/usr/share/keyrings/debian-archive-keyring.gpg")
	return host{
		look:     func(program string) error { _, err := exec.LookPath(program); return err },
		uid:      os.Geteuid(),
		arch:     runtime.GOARCH,
		release:  string(release),
		keyrings: err == nil,
	}.missing(wanted)
}

func (h host) missing(wanted []Kind) error {
	var lacks, pkgs []string
	if h.arch != "amd64" {
		lacks = append(lacks, "an amd64 processor (this is "+h.arch+")")
	}
	if osRelease(h.release)["ID"] != "debian" || osRelease(h.release)["VERSION_CODENAME"] == "" {
		lacks = append(lacks, "a release of Debian (guests are made from its packages)")
	}
	if h.uid != 0 {
		lacks = append(lacks, "root (run it by sudo)")
	}
	for _, t := range tools {
		if t.kind != "" && !slices.Contains(wanted, t.kind) || h.look(t.program) == nil {
			continue
		}
		lacks, pkgs = append(lacks, t.program), append(pkgs, t.pkg)
	}
	if !h.keyrings {
		lacks, pkgs = append(lacks, "the keys of Debian's archive"), append(pkgs, "debian-archive-keyring")
	}
	if len(lacks) == 0 {
		return nil
	}
	text := "virtual machines of the lab need " + strings.Join(lacks, ", ")
	if len(pkgs) > 0 {
		text += "; install it by: apt-get install --no-install-recommends " + strings.Join(pkgs, " ")
	}
	return errors.New(text)
}

// osRelease is the fields of an os-release file.
func osRelease(text string) map[string]string {
	fields := make(map[string]string)
	for _, line := range strings.Split(text, "\n") {
		if name, value, ok := strings.Cut(line, "="); ok {
			fields[name] = strings.Trim(value, `"'`)
		}
	}
	return fields
}
