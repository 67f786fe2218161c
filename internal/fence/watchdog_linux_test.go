package fence

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/message"
)

// fileWatchdog is a device that is a file: what is written to it can be read,
// and the ioctls are the test's.
func fileWatchdog(t *testing.T, calls ioctls) (*device, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "watchdog0")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return &device{path: path, asked: 4500 * time.Millisecond, ioctl: calls}, path
}

func TestWatchdogArmFeedDisarm(t *testing.T) {
	set, fed := 0, 0
	w, path := fileWatchdog(t, ioctls{
		setTimeout: func(_, seconds int) error { set = seconds; return nil },
		getTimeout: func(int) (int, error) { return 6, nil },
		feed:       func(int) error { fed++; return nil },
	})
	if err := errors.Join(w.Arm(), w.Arm(), w.Feed()); err != nil {
		t.Fatal(err)
	}
	if set != 5 || w.Timeout() != 6*time.Second || fed != 2 {
		t.Errorf("asked for %d s, reads back %v, fed %d times", set, w.Timeout(), fed)
	}
	if err := errors.Join(w.Disarm(), w.Disarm()); err != nil {
		t.Fatal(err)
	}
	if b, _ := os.ReadFile(path); string(b) != "V" {
		t.Errorf("closed with %q, not with the magic character", b)
	}
	if err := w.Feed(); !errors.Is(err, message.New(message.WatchdogFailed)) {
		t.Errorf("fed after Disarm: %v", err)
	}
}

func TestWatchdogFixedTimeout(t *testing.T) {
	w, _ := fileWatchdog(t, ioctls{
		setTimeout: func(int, int) error { return unix.EOPNOTSUPP },
		getTimeout: func(int) (int, error) { return 60, nil },
		feed:       func(int) error { return nil },
	})
	if err := w.Arm(); err != nil || w.Timeout() != time.Minute {
		t.Errorf("%v, %v", err, w.Timeout())
	}
}

func TestWatchdogThatLiesIsDisarmed(t *testing.T) {
	w, path := fileWatchdog(t, ioctls{
		setTimeout: func(int, int) error { return nil },
		getTimeout: func(int) (int, error) { return 0, nil },
		feed:       func(int) error { return nil },
	})
	if err := w.Arm(); err == nil {
		t.Fatal("armed with a time-out that is not known")
	}
	if b, _ := os.ReadFile(path); string(b) != "V" {
		t.Errorf("left armed: %q", b)
	}
}

// TestWatchdogThatStays: of a device that counts on when it is closed it is said
// before, and when it is.
func TestWatchdogThatStays(t *testing.T) {
	class := t.TempDir()
	if err := os.MkdirAll(filepath.Join(class, "watchdog0"), 0o755); err != nil {
		t.Fatal(err)
	}
	for text, stays := range map[string]bool{"1\n": true, "0\n": false} {
		if err := os.WriteFile(filepath.Join(class, "watchdog0", "nowayout"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		w, _ := fileWatchdog(t, ioctls{
			setTimeout: func(int, int) error { return nil },
			getTimeout: func(int) (int, error) { return 15, nil },
			feed:       func(int) error { return nil },
		})
		w.stays = noWayOut(class, w.path) && noWayOut(class, "/dev/watchdog")
		if (w.Stays() != nil) != stays {
			t.Errorf("nowayout %s: %v", text, w.Stays())
		}
		if err := w.Arm(); err != nil {
			t.Fatal(err)
		}
		if err := w.Disarm(); errors.Is(err, message.New(message.WatchdogStays)) != stays {
			t.Errorf("nowayout %s: disarmed: %v", text, err)
		}
	}
	if noWayOut(class, "/dev/watchdog7") {
		t.Error("a kernel that doesn't say")
	}
}

func TestNoWatchdog(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), os.Args[0]} {
		if _, err := OpenWatchdog(path, time.Second); !errors.Is(err, message.New(message.WatchdogMissing)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestFirstWatchdog(t *testing.T) {
	dir := t.TempDir()
	if got := firstWatchdog(dir); filepath.Base(got) != "watchdog" {
		t.Error(got)
	}
	_ = os.WriteFile(filepath.Join(dir, "watchdog1"), nil, 0o600)
	_ = os.WriteFile(filepath.Join(dir, "watchdog0"), nil, 0o600)
	if got := firstWatchdog(dir); filepath.Base(got) != "watchdog0" {
		t.Error(got)
	}
}

// FuzzAnswer: what the kernel answers is short and trusted, but it is parsed.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if answer(b) == nil && len(b) < 20 {
			t.Error("success from a short answer")
		}
	})
}
