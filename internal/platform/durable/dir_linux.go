package durable

import (
	"fmt"
	"os"
)

// Rename moves a file over another one atomically. It survives a power loss
// only after SyncDir of the directory.
func Rename(from, to string) error { return os.Rename(from, to) }

// SyncDir makes the names in dir durable: without it a created or renamed file
// may be gone after a power loss although its content was synced.
func SyncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}
