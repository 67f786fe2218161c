package filesystem

import (
	"context"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/moby/sys/mountinfo"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// stateFile says what was mounted here, so that its loss is told from never
// having been in service.
const stateFile = "mount.json"

// Filesystem is one file system on this node.
type Filesystem struct {
	in kit.Instance

	mu     sync.Mutex
	device device // as last found
}

// kept is what the state file holds.
type kept struct {
	Device string `json:"device"`
	Major  int    `json:"major"`
	Minor  int    `json:"minor"`
}

func (f *Filesystem) mountpoint() string { return f.in.Values.String("mountpoint") }
func (f *Filesystem) options() []string  { return f.in.Values.List("options") }

// table is the mount table of this node, in the order of mounting.
func table() ([]*mountinfo.Info, error) {
	all, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, message.New(message.MountTableUnreadable, err.Error()).Wrap(err)
	}
	return all, nil
}

// top is what is seen at a path: the last one mounted there.
func top(all []*mountinfo.Info, at string) *mountinfo.Info {
	for _, m := range slices.Backward(all) {
		if m.Mountpoint == at {
			return m
		}
	}
	return nil
}

// beneath lists the mounts below a path, the deepest and latest first.
func beneath(all []*mountinfo.Info, at string) []*mountinfo.Info {
	var out []*mountinfo.Info
	for _, m := range slices.Backward(all) {
		if strings.HasPrefix(m.Mountpoint, at+"/") {
			out = append(out, m)
		}
	}
	slices.SortStableFunc(out, func(a, b *mountinfo.Info) int {
		return strings.Count(b.Mountpoint, "/") - strings.Count(a.Mountpoint, "/")
	})
	return out
}

// shown is all options of a mount, the file system's own and the mount's.
func shown(m *mountinfo.Info) []string {
	return append(strings.Split(m.Options, ","), strings.Split(m.VFSOptions, ",")...)
}

// ours reports whether a mount is of the resource's device, as it was found or
// as the state file remembers it.
func (f *Filesystem) ours(d device, m *mountinfo.Info) bool {
	if d.path != "" {
		return d.has(m)
	}
	var k kept
	if was, err := f.in.LoadState(stateFile, &k); err == nil && was {
		return k.Major == m.Major && k.Minor == m.Minor
	}
	return m.Mountpoint == f.mountpoint()
}

// known is the device as it was last found; it is looked for if it never was.
func (f *Filesystem) known(ctx context.Context) (device, error) {
	f.mu.Lock()
	d := f.device
	f.mu.Unlock()
	if d.path != "" {
		return d, nil
	}
	return f.find(ctx)
}

func (f *Filesystem) remember(d device) {
	f.mu.Lock()
	f.device = d
	f.mu.Unlock()
}

// noLink reports why a mount point can't be used: mount follows symbolic links
// and the mount table shows where they lead.
func noLink(at string) error {
	real, err := realPath(path.Dir(at))
	if err != nil {
		return message.New(message.MountpointBad, at, err.Error())
	}
	if real != path.Dir(at) {
		return message.New(message.MountpointBad, at, errors.New("its real path is "+path.Join(real, path.Base(at))).Error())
	}
	return nil
}

// Close implements [kit.Resource]: it stays mounted.
func (f *Filesystem) Close() error { return nil }
