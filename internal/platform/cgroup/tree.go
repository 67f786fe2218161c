package cgroup

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Tree is where the groups of one instance of perdure are. Several instances
// may run on one machine, each in a network namespace of its own.
type Tree struct {
	base   string
	reason string
}

// Find looks for a place for the groups of an instance. It tries the root of
// the version 2 hierarchy, and then the group that this process is in, which a
// container or a unit with delegation may write. It never fails: see
// [Tree.Available].
//
// RootVariable in the environment names another place, so that several nodes of
// a lab on one machine each have all their groups in one.
func Find(instance string) Tree {
	if err := checkName(instance); err != nil {
		return Tree{reason: err.Error()}
	}
	roots, err := findRoots()
	if root := os.Getenv(RootVariable); root != "" {
		roots, err = []string{root}, nil
	}
	if err != nil {
		return Tree{reason: err.Error()}
	}
	var reason string
	for _, root := range roots {
		base := filepath.Join(root, "perdure", instance)
		if err := os.MkdirAll(base, 0o755); err != nil {
			reason = fmt.Sprintf("no group can be made below %s: %v", root, err)
			continue
		}
		if _, err := os.Stat(filepath.Join(base, "cgroup.procs")); err != nil {
			reason = fmt.Sprintf("%s is not a version 2 hierarchy: %v", root, err)
			os.Remove(base)
			continue
		}
		// It may have been there, made by somebody with more rights.
		f, err := os.OpenFile(filepath.Join(base, "cgroup.procs"), os.O_WRONLY, 0)
		if err != nil {
			reason = fmt.Sprintf("groups below %s belong to somebody else: %v", base, err)
			continue
		}
		f.Close()
		return Tree{base: base}
	}
	return Tree{reason: reason}
}

// RootVariable names the environment variable with the directory of a version 2
// group below which all groups are made.
const RootVariable = "PERDURE_CGROUP_ROOT"

// Available reports whether there are groups here, and if not the reason.
func (t Tree) Available() (bool, string) { return t.base != "", t.reason }

// Path is the directory of the instance; empty if there are no groups.
func (t Tree) Path() string { return t.base }

// Path of a group below the tree that may not exist yet; empty if there are no
// groups.
func (t Tree) PathOf(names ...string) string {
	if t.base == "" {
		return ""
	}
	return filepath.Join(append([]string{t.base}, names...)...)
}

// Group makes a group, and those above it, unless they exist. A group inside
// another is frozen and killed with it.
func (t Tree) Group(names ...string) (Group, error) {
	if t.base == "" {
		return Group{}, fmt.Errorf("make the group %s: %s", strings.Join(names, "/"), t.reason)
	}
	if len(names) == 0 {
		return Group{}, errors.New("make a group: it has no name")
	}
	for _, n := range names {
		if err := checkName(n); err != nil {
			return Group{}, err
		}
	}
	return Make(t.PathOf(names...))
}

// Remove removes the tree when nothing runs in it any more.
func (t Tree) Remove() error {
	if t.base == "" {
		return nil
	}
	if err := At(t.base).Remove(); err != nil {
		return err
	}
	// Another instance may live beside this one.
	os.Remove(filepath.Dir(t.base))
	return nil
}

// checkName refuses what would leave the tree or meet a file of the kernel's.
func checkName(name string) error {
	if name == "" || len(name) > 200 || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "cgroup.") ||
		strings.ContainsAny(name, "/\\\n\x00") {
		return fmt.Errorf("%q can't be the name of a group: 1 to 200 characters without / and not beginning with a dot", name)
	}
	return nil
}
