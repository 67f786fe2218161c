package estate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Estate belongs to one lab.
type Estate struct {
	// Dir is the lab's directory and Group the cgroup of all its processes.
	Dir   string
	Group Group

	janitor *janitor
}

// Claim makes a lab's directory and cgroup. The caller must Release. What labs of
// dead processes left is removed first.
func Claim() (*Estate, error) {
	mount, err := Mount()
	if err != nil {
		return nil, err
	}
	if err := RemoveStale(mount, os.TempDir()); err != nil {
		return nil, err
	}
	name, err := NewName()
	if err != nil {
		return nil, fmt.Errorf("name the lab: %w", err)
	}
	e := &Estate{Dir: filepath.Join(os.TempDir(), name), Group: Group(filepath.Join(mount, name))}
	// Before anything exists that could be left behind.
	if e.janitor, err = startJanitor(e.Group, e.Dir); err != nil {
		return nil, err
	}
	if err := e.Group.Make(); err != nil {
		return nil, errors.Join(err, e.Release(false))
	}
	if err := os.Mkdir(e.Dir, 0o700); err != nil {
		return nil, errors.Join(fmt.Errorf("make the lab's directory: %w", err), e.Release(false))
	}
	return e, nil
}

// Release kills what is still in the cgroup and removes all; the directory stays
// at [Estate.KeptDir] if keep is set.
func (e *Estate) Release(keep bool) error {
	return errors.Join(destroy(e.Group), e.janitor.dismiss(keep))
}

// KeptDir is where the directory is after a release that kept it.
func (e *Estate) KeptDir() string { return keptDir(e.Dir) }
