package ocf

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// shimNames are the commands of Pacemaker that agents call. This program
// answers under each of these names.
var shimNames = []string{"crm_master", "crm_attribute", "attrd_updater", "crm_node", "crm_resource", "crm_mon"}

// ShimName is the command that the program was called as, or empty.
func ShimName(argv0 string) string {
	if n := filepath.Base(argv0); slices.Contains(shimNames, n) {
		return n
	}
	return ""
}

// installShims makes the names in a directory. It is called before each action
// and usually only looks.
func installShims(dir string) error {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return err
	}
	self = strings.TrimSuffix(self, " (deleted)") // it was upgraded, and the new one answers as well
	for i, n := range shimNames {
		path := filepath.Join(dir, n)
		is, err := os.Readlink(path)
		if err == nil && is == self {
			continue
		}
		if i == 0 {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
		fresh := path + ".new"
		if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Symlink(self, fresh); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := os.Rename(fresh, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Main answers the call that this process is.
func Main(args []string) int {
	node, err := os.Hostname()
	if err != nil {
		node = "localhost"
	}
	return Shim{Args: args, Getenv: os.Getenv, Node: node, Out: os.Stdout, Err: os.Stderr}.Run()
}
