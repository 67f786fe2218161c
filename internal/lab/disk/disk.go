package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Corrupt damages the largest file below a directory in the middle of what is
// written of it: its end may be reserved and empty. Every bit of up to 64 bytes
// is turned.
func Corrupt(dir string) error {
	var largest string
	var size int64
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		return err
	}
	if largest == "" {
		return fmt.Errorf("no file with content in %s", dir)
	}
	content, err := os.ReadFile(largest)
	if err != nil {
		return err
	}
	written := bytes.TrimRight(content, "\x00")
	part := written[len(written)/2 : min(len(written)/2+64, len(written))]
	for i := range part {
		part[i] ^= 0xff
	}
	f, err := os.OpenFile(largest, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(part, int64(len(written)/2))
	return errors.Join(err, f.Close())
}

// Lose removes everything in a directory.
func Lose(dir string) error {
	return errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o700))
}

// Copy makes to a copy of from, modes included, as a snapshot would.
func Copy(to, from string) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, info.Mode().Perm())
		case !d.Type().IsRegular():
			return nil // sockets
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}
