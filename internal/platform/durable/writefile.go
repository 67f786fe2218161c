package durable

import (
	"fmt"
	"os"
	"path/filepath"
)

// WriteFile replaces path by a file with this content and permission. When it
// returns nil the new file is on disk; when it fails, path is what it was
// before, unless the error says that only the directory's sync failed: then
// the new content is there, but a power loss may bring the old one back.
//
// A symbolic link at path is replaced by a file, not followed. On Windows perm
// has no effect beyond read-only: the directory's access list is inherited.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	temp, err := writeTemp(path, data, perm)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := Rename(temp, path); err != nil {
		os.Remove(temp)
		return fmt.Errorf("write %s: put the new file in its place: %w", path, err)
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("write %s: the new file is in its place, but may not survive a power loss: %w", path, err)
	}
	return nil
}

// writeTemp writes a synced file beside path, in the same directory because a
// rename across file systems isn't atomic. Nothing is left behind on failure.
func writeTemp(path string, data []byte, perm os.FileMode) (temp string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".tmp-*")
	if err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	// CreateTemp made it 0600, so that a wider perm never shows half a file
	// and a narrower umask doesn't silently change what was asked for.
	if err = f.Chmod(perm); err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return f.Name(), err
}

// MkdirAll creates dir and its missing parents, and syncs each directory that
// got a new entry, so that the whole path survives a power loss.
func MkdirAll(dir string, perm os.FileMode) error {
	dir = filepath.Clean(dir)
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("create directory %s: a file of that name is in the way", dir)
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, perm); err != nil && !os.IsExist(err) {
		return fmt.Errorf("create directory: %w", err)
	}
	return SyncDir(parent)
}
