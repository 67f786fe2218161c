package guardian

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/platform/durable"
)

// saved is the guardian's file in the run directory: what is guarded, for the
// next guardian of the same boot. It takes over what runs unmanaged, and kills
// all else. The run directory doesn't survive a boot, and the boot's id in the
// file makes sure.
type saved struct {
	path string // empty: nothing is kept
	boot string
	last []byte
}

// savedFile is the file's content.
type savedFile struct {
	Version int         `json:"version"`
	Boot    string      `json:"boot"`
	State   guard.State `json:"state"`
}

const savedVersion = 1

func newSaved(runDir, boot string) *saved {
	if runDir == "" {
		return &saved{}
	}
	return &saved{path: filepath.Join(runDir, "guardian.json"), boot: boot}
}

// keep writes the file if anything in it changed but the deadlines, which no
// other guardian may use.
func (f *saved) keep(s guard.State, log *slog.Logger) {
	if f == nil || f.path == "" {
		return
	}
	s.LeaseUntil, s.GateUntil, s.Crashes, s.WatchdogArmed = 0, 0, 0, false
	b, err := json.Marshal(savedFile{savedVersion, f.boot, s})
	if err == nil && bytes.Equal(b, f.last) {
		return
	}
	if err == nil {
		err = durable.WriteFile(f.path, b, 0o600)
	}
	if err != nil {
		log.Error("the guardian's state can't be kept for its next start", "file", f.path, "error", err)
		return
	}
	f.last = b
}

// remove forgets everything: nothing is left for a next guardian.
func (f *saved) remove() {
	if f != nil && f.path != "" {
		_ = os.Remove(f.path)
	}
}

// load reads what the last guardian of this boot left; nil: nothing.
func (f *saved) load() (*guard.State, error) {
	if f.path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what the last guardian left: %w", err)
	}
	s, err := parseSaved(b, f.boot)
	if err != nil {
		return nil, fmt.Errorf("read what the last guardian left in %s: %w", f.path, err)
	}
	return s, nil
}

func parseSaved(b []byte, boot string) (*guard.State, error) {
	var f savedFile
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, err
	}
	if f.Version != savedVersion {
		return nil, fmt.Errorf("its version is %d and not %d", f.Version, savedVersion)
	}
	if f.Boot != boot || f.State.Session == "" {
		return nil, nil
	}
	for _, g := range f.State.Guarded {
		p := packet{kind: kindGuard, Hierarchy: g.Hierarchy, Addresses: g.Addresses}
		if err := p.check(); err != nil {
			return nil, err
		}
	}
	return &f.State, nil
}
