package filesystem

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// toolTimeout bounds each look at a device (10 s): a disk that takes longer is
// reported as one that hangs.
const toolTimeout = 10 * time.Second

// number is a device number.
type number struct{ major, minor int }

// device is the block device of the resource on this node.
type device struct {
	path string // below /dev, links resolved; empty: not found
	// numbers are its own, and those of all devices of the same btrfs, of
	// which the kernel shows any one as the source.
	numbers []number
	fstype  string // as it says; empty: none
}

// has reports whether a mount is of the device.
func (d device) has(m *mountinfo.Info) bool {
	if m.FSType != "btrfs" { // whose device numbers are made up
		return slices.Contains(d.numbers, number{m.Major, m.Minor})
	}
	n, err := numberOf(m.Source)
	return err == nil && slices.Contains(d.numbers, n)
}

// find finds the device by its path or name, and what it holds.
func (f *Filesystem) find(ctx context.Context) (device, error) {
	given := f.in.Values.String("device")
	p, err := f.locate(ctx, given)
	if err != nil {
		return device{}, err
	}
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		return device{}, message.New(message.DeviceNotFound, given, bare(err))
	}
	n, err := numberOf(real)
	if err != nil {
		return device{}, message.New(message.DeviceNotFound, given, bare(err))
	}
	d := device{path: real, numbers: []number{n}}
	r, err := f.run(ctx, "probe", toolTimeout, "blkid", "-p", "-o", "value", "-s", "TYPE", real)
	if err != nil {
		return device{}, hangs(given, err)
	}
	d.fstype = strings.TrimSpace(r.Output)
	if r.ExitCode != 0 { // 2: nothing that it knows
		d.fstype = ""
	}
	if d.fstype == "btrfs" {
		d.numbers = append(d.numbers, btrfsDevices(real)...)
	}
	f.remember(d)
	return d, nil
}

// locate turns a name into a path. udev's links come first: of several devices
// with one name (the paths of a multipath disk) they choose the right one.
func (f *Filesystem) locate(ctx context.Context, given string) (string, error) {
	by, value, named := strings.Cut(given, "=")
	if !named {
		return given, nil
	}
	link := filepath.Join("/dev/disk/by-"+strings.ToLower(by), udevName(value))
	if _, err := os.Stat(link); err == nil {
		return link, nil
	}
	r, err := f.run(ctx, "find", toolTimeout, "blkid", "-c", "/dev/null", "-o", "device", "-t", by+"="+value)
	if err != nil {
		return "", hangs(given, err)
	}
	found := strings.Fields(r.Output)
	switch {
	case r.ExitCode != 0 || len(found) == 0:
		return "", message.New(message.DeviceNotFound, given, "no device says so")
	case len(found) > 1 && !sameBtrfs(found):
		return "", message.New(message.DeviceAmbiguous, given, found)
	}
	return found[0], nil
}

// udevName writes a name the way udev does in /dev/disk: what could be misread
// in a path becomes \x and two figures.
func udevName(s string) string {
	const plain = "#+-.:=@_"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c >= 0x80 || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte(plain, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		const hex = "0123456789abcdef"
		b.WriteString(`\x` + string(hex[c>>4]) + string(hex[c&15]))
	}
	return b.String()
}

// sameBtrfs reports whether all devices belong to one btrfs that the kernel
// knows.
func sameBtrfs(paths []string) bool {
	group := btrfsDevices(paths[0])
	return len(group) > 0 && !slices.ContainsFunc(paths, func(p string) bool {
		n, err := numberOf(p)
		return err != nil || !slices.Contains(group, n)
	})
}

// run runs a tool beside us. It never waits longer than its time, or than the
// caller.
func (f *Filesystem) run(ctx context.Context, action string, limit time.Duration, argv ...string) (kit.Result, error) {
	return f.in.Runner.Run(ctx, kit.Command{Action: action, Argv: argv, Timeout: limit, Capture: 64 << 10})
}

// hangs says of a tool that didn't come back what it means; other errors are
// their own.
func hangs(what string, err error) error {
	if message.Has(err, message.CommandTimedOut) || message.Has(err, message.CommandStuck) {
		return message.New(message.FilesystemHangs, what, err.Error()).Wrap(err)
	}
	return err
}

// bare is an error without the path, which the message names already.
func bare(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
