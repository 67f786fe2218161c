package fence

import "time"

// Watchdog is a device that resets the machine when it isn't fed in time.
type Watchdog interface {
	// Device is its path or name.
	Device() string
	// Timeout is the time-out as the device says it, which may differ from the
	// one asked for. It is known before arming.
	Timeout() time.Duration
	// Arm starts the countdown. It is for ever until Disarm.
	Arm() error
	// Feed starts the countdown anew.
	Feed() error
	// Disarm stops it. A device that can't be stopped (nowayout) says so.
	Disarm() error
}

// FakeWatchdog is a watchdog that counts and resets nothing, for tests.
type FakeWatchdog struct {
	Time          time.Duration
	Armed         bool
	Fed, Disarmed int
	Err           error
}

var _ Watchdog = (*FakeWatchdog)(nil)

func (w *FakeWatchdog) Device() string         { return "fake" }
func (w *FakeWatchdog) Timeout() time.Duration { return w.Time }

func (w *FakeWatchdog) Arm() error {
	w.Armed = w.Err == nil
	return w.Err
}

func (w *FakeWatchdog) Feed() error {
	if w.Err == nil {
		w.Fed++
	}
	return w.Err
}

func (w *FakeWatchdog) Disarm() error {
	if w.Err == nil {
		w.Armed = false
		w.Disarmed++
	}
	return w.Err
}
