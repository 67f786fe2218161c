package image

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kind is a kind of virtual machine.
type Kind string

// The kinds of machines.
const (
	UML  Kind = "uml"
	QEMU Kind = "qemu"
)

// kinds is all of them, in the order of names and directories.
var kinds = []Kind{QEMU, UML}

// Options say what is wanted.
type Options struct {
	// Dir is the cache: $PERDURE_LAB_CACHE if empty, else /var/cache/perdure-lab.
	Dir string
	// Kinds are the machines that shall boot; all if empty. The one root serves
	// every kind in it, and can also boot systemd.
	Kinds []Kind
	// Progress hears what is done; it may be nil. Calls come one after another.
	Progress func(Progress)
}

// Progress is how far a build is.
type Progress struct {
	// Step is what is being done, for people.
	Step string
	// Fraction of the whole that is done, 0 to 1, or Unknown.
	Fraction float64
	// Left is about how long it still takes, or Unknown.
	Left time.Duration
}

// Unknown is a fraction, or a time left, that nobody can say.
const Unknown = -1

func (p Progress) String() string {
	text := p.Step
	if p.Fraction >= 0 {
		text = fmt.Sprintf("%3.0f %% %s", 100*p.Fraction, text)
	}
	if p.Left >= 0 {
		text += fmt.Sprintf(", about %v left", p.Left.Round(time.Second))
	}
	return text
}

// Images is what there is to boot. The files stay as they are; a caller that
// holds them for days should call Make again before it boots from them.
type Images struct {
	// Root is the squashfs of the root file system.
	Root string
	// Kernel is the file to boot: for QEMU an uncompressed ELF, for UML a program.
	Kernel map[Kind]string
	// Release is what uname -r says, the directory below /lib/modules.
	Release map[Kind]string
	// Modules are those that the initrd loads, in this order, so that squashfs and
	// overlay can be mounted and disks, cards and the control port be used.
	// Everything else is found by modprobe in the root.
	Modules map[Kind][]Module
}

// Module is a kernel module, not compressed.
type Module struct {
	// Name is the module's, with underscores.
	Name string
	// Path is the file.
	Path string
}

// early are the modules that the initrd must load, without what they depend on.
// UML's disks, cards, serial lines and ext4 are built in.
var early = map[Kind][]string{
	QEMU: {"virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "squashfs", "overlay", "crc32c_generic", "ext4"},
	UML:  {"squashfs", "overlay"},
}

// normalize sorts kinds, takes all for none, and refuses unknown ones.
func normalize(wanted []Kind) ([]Kind, error) {
	if len(wanted) == 0 {
		return kinds, nil
	}
	for _, k := range wanted {
		if !slices.Contains(kinds, k) {
			return nil, fmt.Errorf("a lab has no machines of kind %q, only %s", k, join(kinds))
		}
	}
	wanted = slices.Clone(wanted)
	slices.Sort(wanted)
	return slices.Compact(wanted), nil
}

func join(ks []Kind) string {
	words := make([]string, len(ks))
	for i, k := range ks {
		words[i] = string(k)
	}
	return strings.Join(words, ", ")
}
