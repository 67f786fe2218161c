package power

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHaltBy plays the kernel: nothing here touches the real one.
func TestHaltBy(t *testing.T) {
	for _, c := range []struct {
		off    bool
		letter string
		cmd    int
	}{{false, "b", unix.LINUX_REBOOT_CMD_RESTART}, {true, "o", unix.LINUX_REBOOT_CMD_POWER_OFF}} {
		file := filepath.Join(t.TempDir(), "sysrq-trigger")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		got := 0
		if err := haltBy(file, func(cmd int) error { got = cmd; return nil }, c.off); err != nil {
			t.Error(err)
		}
		written, err := os.ReadFile(file)
		if err != nil || string(written) != c.letter || got != c.cmd {
			t.Errorf("off %v: wrote %q (%v), reboot(%#x)", c.off, written, err, got)
		}
	}
}

// TestHaltByFails: both ways are named, so that a person knows what to look at.
func TestHaltByFails(t *testing.T) {
	err := haltBy(filepath.Join(t.TempDir(), "no", "such"), func(int) error { return unix.EPERM }, false)
	if !errors.Is(err, unix.EPERM) || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "reboot(2)") {
		t.Errorf("got %v", err)
	}
}
