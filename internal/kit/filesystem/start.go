package filesystem

import (
	"context"
	"os"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Start implements [kit.Resource].
func (f *Filesystem) Start(ctx context.Context, how cluster.Release) error {
	d, err := f.find(ctx)
	if err != nil {
		return err
	}
	at := f.mountpoint()
	if err := noLink(at); err != nil {
		return err
	}
	all, err := table()
	if err != nil {
		return err
	}
	if m := top(all, at); m != nil && d.has(m) {
		if isReadOnly(shown(m)) && !wantsReadOnly(f.options()) {
			return message.New(message.FilesystemReadOnly, at)
		}
		return f.keep(d, m)
	}
	if err := f.free(d, all); err != nil {
		return err
	}
	fstype, err := f.fstype(d)
	if err != nil {
		return err
	}
	if err := f.check(ctx, d, fstype, how); err != nil {
		return err
	}
	if err := f.prepare(at); err != nil {
		return err
	}
	if err := f.mount(ctx, d, fstype); err != nil {
		return err
	}
	if all, err = table(); err != nil {
		return err
	}
	m := top(all, at)
	if m == nil || !d.has(m) {
		return message.New(message.MountFailed, d.path, at, "mount said that it did, and it is not in the mount table")
	}
	f.in.Log.Info("file system is mounted", "device", d.path, "type", fstype, "mountpoint", at)
	return f.keep(d, m)
}

func (f *Filesystem) keep(d device, m *mountinfo.Info) error {
	return f.in.SaveState(stateFile, kept{d.path, m.Major, m.Minor})
}

// free reports why the device or the mount point can't be used now.
func (f *Filesystem) free(d device, all []*mountinfo.Info) error {
	if m := top(all, f.mountpoint()); m != nil {
		return message.New(message.MountpointTaken, f.mountpoint(), m.Source+" ("+m.FSType+")")
	}
	elsewhere := mountsOf(all, d)
	if sub := f.subvolume(); sub != "" {
		// Another subvolume of the same btrfs is another thing.
		elsewhere = slices.DeleteFunc(elsewhere, func(m *mountinfo.Info) bool { return m.Root != sub })
		if len(elsewhere) == 0 {
			return nil
		}
	}
	if len(elsewhere) > 0 {
		return message.New(message.MountedElsewhere, d.path, elsewhere[0].Mountpoint)
	}
	if busy, err := held(d.path); err != nil {
		return message.New(message.DeviceNotFound, f.in.Values.String("device"), err.Error()).Wrap(err)
	} else if busy {
		return message.New(message.DeviceHeld, d.path, f.holders(d))
	}
	return nil
}

// subvolume is the root of the mount within its btrfs, if the options name it.
func (f *Filesystem) subvolume() string {
	for _, o := range f.options() {
		if s, ok := strings.CutPrefix(o, "subvol="); ok {
			return "/" + strings.TrimPrefix(s, "/")
		}
	}
	return ""
}

// holders says who has a device that isn't mounted in our namespace.
func (f *Filesystem) holders(d device) string {
	ctx, cancel := context.WithTimeout(context.Background(), scanTimeout)
	defer cancel()
	if text := list(foreignUsers(ctx, d), nil); text != "" {
		return text
	}
	return "by the kernel (md, LVM, multipath, swap)"
}

// fstype is what to mount as; what the device says must agree.
func (f *Filesystem) fstype(d device) (string, error) {
	wanted := f.in.Values.String("type")
	supported := slices.Contains([]string{"ext4", "xfs", "btrfs", "ext3", "ext2"}, d.fstype)
	switch {
	case d.fstype == "":
		return "", message.New(message.FilesystemWrongType, d.path, "nothing that blkid knows", wanted)
	case wanted == "auto" && !supported:
		return "", message.New(message.FilesystemWrongType, d.path, d.fstype, "ext4, xfs, btrfs")
	case wanted != "auto" && wanted != d.fstype:
		return "", message.New(message.FilesystemWrongType, d.path, d.fstype, wanted)
	}
	return d.fstype, nil
}

// check looks for damage before the mount, as the policy says. Repairs that
// can lose data are a person's.
func (f *Filesystem) check(ctx context.Context, d device, fstype string, how cluster.Release) error {
	policy := f.in.Values.String("fsck")
	ext := strings.HasPrefix(fstype, "ext")
	var argv []string
	switch {
	case policy == fsckNo, wantsReadOnly(f.options()) && policy == fsckAuto:
		return nil
	case ext && policy == fsckFull:
		argv = []string{"e2fsck", "-f", "-p", d.path}
	case ext && how != cluster.ReleasedStopped:
		argv = []string{"e2fsck", "-p", d.path} // replays the journal; reads all only if it is marked
	case fstype == "btrfs" && policy == fsckFull:
		argv = []string{"btrfs", "check", "--readonly", d.path}
	case fstype == "xfs" && policy == fsckFull:
		argv = []string{"xfs_repair", "-n", d.path}
	default:
		return nil // the mount itself replays the log
	}
	r, err := f.run(ctx, "fsck", 0, argv...)
	if err != nil {
		return hangs(d.path, err)
	}
	// e2fsck: 1 repaired, 2 repaired and a reboot is advised, which is for the
	// root file system. xfs_repair -n can't replay a log and says 2 for that.
	fine := r.ExitCode == 0 || ext && r.ExitCode <= 3 || fstype == "xfs" && r.ExitCode == 2
	if !fine {
		return message.New(message.FsckFailed, d.path, r.ExitCode, r.Tail)
	}
	if r.ExitCode != 0 {
		f.in.Log.Warn("file system check did something", "device", d.path, "exit", r.ExitCode, "output", r.Tail)
	}
	return nil
}

// prepare makes the mount point.
func (f *Filesystem) prepare(at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return message.New(message.MountpointBad, at, bare(err))
	}
	st, err := os.Lstat(at)
	if err != nil {
		return message.New(message.MountpointBad, at, bare(err))
	}
	if !st.IsDir() {
		return message.New(message.MountpointBad, at, "it is no directory")
	}
	if entries, err := os.ReadDir(at); err == nil && len(entries) > 0 {
		f.in.Log.Warn("mount point is not empty; what is in it is hidden as long as the file system is mounted", "mountpoint", at, "entries", len(entries))
	}
	return nil
}

func (f *Filesystem) mount(ctx context.Context, d device, fstype string) error {
	argv := []string{"mount", "-t", fstype}
	if o := f.options(); len(o) > 0 {
		argv = append(argv, "-o", strings.Join(o, ","))
	}
	r, err := f.run(ctx, "mount", 0, append(argv, d.path, f.mountpoint())...)
	if err != nil {
		return hangs(d.path, err)
	}
	if r.ExitCode != 0 {
		return message.New(message.MountFailed, d.path, f.mountpoint(), r.Tail)
	}
	return nil
}

// Validate implements [kit.Validator].
func (f *Filesystem) Validate(ctx context.Context) error {
	for _, tool := range []string{"mount", "umount", "blkid", "stat", "dd"} {
		if _, err := kit.Executable(tool); err != nil {
			return err
		}
	}
	d, err := f.find(ctx)
	if err != nil {
		return err
	}
	fstype, err := f.fstype(d)
	if err != nil {
		return err
	}
	if !knownType(fstype) {
		return message.New(message.MountFailed, d.path, f.mountpoint(), "this kernel doesn't know "+fstype)
	}
	if tool := checker(fstype, f.in.Values.String("fsck")); tool != "" {
		if _, err := kit.Executable(tool); err != nil {
			return err
		}
	}
	return noLink(f.mountpoint())
}

// checker is the program that a policy needs.
func checker(fstype, policy string) string {
	switch {
	case policy == fsckNo:
	case strings.HasPrefix(fstype, "ext"):
		return "e2fsck"
	case policy == fsckFull && fstype == "xfs":
		return "xfs_repair"
	case policy == fsckFull && fstype == "btrfs":
		return "btrfs"
	}
	return ""
}

// Ready implements [kit.Standby].
func (f *Filesystem) Ready(ctx context.Context) kit.Health {
	if err := f.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	all, err := table()
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	d, err := f.known(ctx)
	if err == nil {
		err = f.free(d, all)
	}
	if err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter]: the mount table knows what is mounted.
func (f *Filesystem) Adopt(ctx context.Context) (bool, error) {
	all, err := table()
	if err != nil {
		return false, err
	}
	m := top(all, f.mountpoint())
	if m == nil {
		return false, nil
	}
	d, err := f.known(ctx)
	if err != nil {
		return false, err
	}
	if !f.ours(d, m) {
		return false, nil
	}
	return true, f.keep(d, m)
}
