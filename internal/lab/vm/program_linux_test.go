package vm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestOnlyStaticPrograms: what guests couldn't run is refused before anything is made.
func TestOnlyStaticPrograms(t *testing.T) {
	if err := checkStatic("/bin/sh"); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("a shell of the distribution: %v", err)
	}
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := checkStatic(text); err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("a script: %v", err)
	}
}
