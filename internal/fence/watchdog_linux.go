package fence

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/message"
)

// device is a watchdog of the kernel's watchdog API.
// Source: Documentation/watchdog/watchdog-api.rst of Linux.
//
// Opening the device arms it, so it is opened by Arm and not before. What it can
// do is read from sysfs without opening it.
type device struct {
	path    string
	asked   time.Duration
	timeout time.Duration
	// stays: closing doesn't stop it.
	stays bool
	file  *os.File
	ioctl ioctls
}

// ioctls are the calls on the open device; tests put others here.
type ioctls struct {
	setTimeout func(fd, seconds int) error
	getTimeout func(fd int) (int, error)
	feed       func(fd int) error
}

var kernelIoctls = ioctls{
	setTimeout: func(fd, seconds int) error { return unix.IoctlSetPointerInt(fd, unix.WDIOC_SETTIMEOUT, seconds) },
	getTimeout: func(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.WDIOC_GETTIMEOUT) },
	feed:       func(fd int) error { return unix.IoctlWatchdogKeepalive(fd) },
}

// OpenWatchdog finds the watchdog at path (empty: the first one there is) and
// says with which time-out it would be armed. It does not arm it.
func OpenWatchdog(path string, timeout time.Duration) (Watchdog, error) {
	if path == "" {
		path = firstWatchdog("/dev")
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, message.New(message.WatchdogMissing, err)
	}
	if info.Mode()&os.ModeCharDevice == 0 {
		return nil, message.New(message.WatchdogMissing, path+" is no character device")
	}
	return &device{path: path, asked: timeout, timeout: roundUp(timeout), ioctl: kernelIoctls, stays: noWayOut("/sys/class/watchdog", path)}, nil
}

// noWayOut reports whether the driver counts on when the device is closed. A kernel
// that doesn't say so is taken for one that stops.
// Source: Documentation/ABI/testing/sysfs-class-watchdog of Linux.
func noWayOut(class, path string) bool {
	name := filepath.Base(path)
	if name == "watchdog" {
		name = "watchdog0" // another name of the first
	}
	text, err := os.ReadFile(filepath.Join(class, name, "nowayout"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// Stays says that the device can't be stopped once it is armed; nil: it can.
func (w *device) Stays() error {
	if !w.stays {
		return nil
	}
	return message.New(message.WatchdogStays, w.path, w.timeout)
}

// firstWatchdog prefers the numbered devices: /dev/watchdog is another name of
// the first, and systemd may hold it.
func firstWatchdog(dir string) string {
	found, _ := filepath.Glob(filepath.Join(dir, "watchdog[0-9]*"))
	if len(found) > 0 {
		return found[0]
	}
	return filepath.Join(dir, "watchdog")
}

// roundUp to the whole seconds that the API counts in.
func roundUp(d time.Duration) time.Duration {
	return max(time.Second, (d + time.Second - 1).Truncate(time.Second))
}

func (w *device) Device() string         { return w.path }
func (w *device) Timeout() time.Duration { return w.timeout }

func (w *device) fail(act string, err error) error {
	return message.New(message.WatchdogFailed, w.path, act, err)
}

// Arm implements [Watchdog].
func (w *device) Arm() error {
	if w.file != nil {
		return nil
	}
	f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
	if err != nil {
		return w.fail("arm", err)
	}
	w.file = f
	fd := int(f.Fd())
	if err := w.ioctl.setTimeout(fd, int(roundUp(w.asked)/time.Second)); err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return errors.Join(w.fail("set the time-out", err), w.Disarm())
	}
	seconds, err := w.ioctl.getTimeout(fd)
	if err == nil && seconds <= 0 {
		err = fmt.Errorf("the device says %d seconds", seconds)
	}
	if err != nil {
		return errors.Join(w.fail("read the time-out back", err), w.Disarm())
	}
	w.timeout = time.Duration(seconds) * time.Second
	return w.Feed()
}

// Feed implements [Watchdog].
func (w *device) Feed() error {
	if w.file == nil {
		return w.fail("feed", os.ErrClosed)
	}
	if err := w.ioctl.feed(int(w.file.Fd())); err != nil {
		return w.fail("feed", err)
	}
	return nil
}

// Disarm implements [Watchdog]. Closing without the magic character would leave
// it counting.
func (w *device) Disarm() error {
	if w.file == nil {
		return nil
	}
	_, err := w.file.Write([]byte("V"))
	err = errors.Join(err, w.file.Close())
	w.file = nil
	if err != nil {
		return w.fail("disarm", err)
	}
	return w.Stays()
}
