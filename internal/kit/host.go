package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Instance is what a kit is told about one resource on this node.
type Instance struct {
	Resource, Hierarchy string
	Values              Values
	// RunDir is the resource's own directory for process ids, state and
	// output. It doesn't survive a boot.
	RunDir string
	// Group is the directory of the group for what is kept running, which is
	// frozen and killed with the lease; empty if there are no groups here. The
	// kit makes it when it needs it.
	Group string
	// NoGroup says why Group is empty.
	NoGroup string
	Runner  Runner
	Log     *slog.Logger
}

// Host is where resources live on this node.
type Host struct {
	// RunDir is the daemon's run directory.
	RunDir string
	Groups cgroup.Tree
	Log    *slog.Logger
}

// Names of the groups inside the tree: freezing ServiceGroup freezes all that
// the node serves, and no command that takes it out of service.
const (
	ServiceGroup = "service"
	CommandGroup = "command"
)

// Open makes the agent of a resource. Settings that are not valid are one
// error that names them all.
func (h Host) Open(k Kit, hierarchy, resource string, settings map[string]string) (*Agent, error) {
	v, err := Parse(k, settings)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{hierarchy, resource} {
		if name == "" || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\\x00\n") {
			return nil, message.New(message.RunDirUnusable, filepath.Join(h.RunDir, hierarchy, resource), fmt.Sprintf("%q is not a name", name))
		}
	}
	in := Instance{Resource: resource, Hierarchy: hierarchy, Values: v, Log: h.Log,
		RunDir: filepath.Join(h.RunDir, "resources", hierarchy, resource),
		Group:  h.Groups.PathOf(ServiceGroup, hierarchy, resource)}
	_, in.NoGroup = h.Groups.Available()
	if in.Log == nil {
		in.Log = slog.Default()
	}
	in.Log = in.Log.With("hierarchy", hierarchy, "resource", resource, "kit", k.Name())
	if err := os.MkdirAll(in.RunDir, 0o700); err != nil {
		return nil, message.New(message.RunDirUnusable, in.RunDir, "").Wrap(err)
	}
	in.Runner = Exec{Dir: in.RunDir, Service: in.Group, Commands: h.Groups.PathOf(CommandGroup, hierarchy, resource), Env: []string{
		"PERDURE_RESOURCE=" + resource, "PERDURE_HIERARCHY=" + hierarchy, "PERDURE_RUN_DIR=" + in.RunDir}}
	r, err := k.New(in)
	if err != nil {
		return nil, err
	}
	return &Agent{Resource: r, in: in, common: v.Common()}, nil
}

// ServiceMark is the environment entry by which what is kept running is found
// where there are no groups.
func (in Instance) ServiceMark() string { return serviceMark(in.RunDir) }

func serviceMark(dir string) string { return "PERDURE_SERVICE=" + dir }

// KillService ends all that is kept running for the resource, known or left by
// an earlier daemon. root, unless zero, is the process that leads it.
func (in Instance) KillService(ctx context.Context, root proc.ID) error {
	if in.Group != "" {
		return cgroup.At(in.Group).Kill(ctx)
	}
	return proc.KillTree(ctx, proc.Match{Root: root, Mark: in.ServiceMark()})
}

// SaveState replaces a small file in the resource's run directory as a whole.
// It isn't synced: it means nothing after a boot.
func (in Instance) SaveState(name string, state any) error {
	path := filepath.Join(in.RunDir, name)
	b, err := json.Marshal(state)
	if err == nil {
		err = os.WriteFile(path+".new", b, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return message.New(message.RunDirUnusable, path, err.Error()).Wrap(err)
	}
	return nil
}

// LoadState reads what [Instance.SaveState] wrote, and reports whether there
// was something. A file that can't be understood counts as none: whatever it
// was about is found in another way or not at all.
func (in Instance) LoadState(name string, state any) (bool, error) {
	path := filepath.Join(in.RunDir, name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, message.New(message.RunDirUnusable, path, err.Error()).Wrap(err)
	}
	if err := json.Unmarshal(b, state); err != nil {
		in.Log.Warn("state file is broken and was ignored", "path", path, "err", err)
		return false, nil
	}
	return true, nil
}

// DropState removes a state file.
func (in Instance) DropState(name string) error {
	path := filepath.Join(in.RunDir, name)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return message.New(message.RunDirUnusable, path, err.Error()).Wrap(err)
	}
	return nil
}
