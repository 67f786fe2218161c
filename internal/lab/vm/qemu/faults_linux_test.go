package qemu

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

const dataDisk = "/dev/vda"

// write writes to the guest's disk, read compares.
func (s *stage) write(seed byte) error {
	_, err := s.ask(tinyguest.Request{Do: "touch", Device: dataDisk, Seed: seed, Write: true})
	return err
}

func (s *stage) read(seed byte) error {
	_, err := s.ask(tinyguest.Request{Do: "touch", Device: dataDisk, Seed: seed})
	return err
}

func TestDiskFaults(t *testing.T) {
	s := newStage(t, config(t, 8<<20))
	s.boot()
	s.must(s.write(1))
	s.must(s.read(1))

	s.must(s.SetDisk(t.Context(), "data", machine.DiskError))
	if err := s.write(2); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("write to a broken disk: %v", err)
	}
	if err := s.read(1); err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("read from a broken disk: %v", err)
	}
	s.must(s.SetDisk(t.Context(), "data", machine.DiskGood))
	s.must(s.read(1))

	s.must(s.SetDisk(t.Context(), "data", machine.DiskHang))
	written := make(chan error, 1)
	go func() { written <- s.write(3) }()
	if _, err := s.askFor(2*time.Second, tinyguest.Request{Do: "touch", Device: dataDisk, Seed: 1}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("read from a hanging disk: %v", err)
	}
	select {
	case err := <-written:
		t.Errorf("write to a hanging disk: %v", err)
	default:
	}
	s.must(s.SetDisk(t.Context(), "data", machine.DiskGood))
	s.must(<-written)
	s.must(s.read(3))

	// The other kinds of disk.
	for name, device := range map[string]string{"base": "/dev/vdb", "san": "/dev/vdc"} {
		read := tinyguest.Request{Do: "touch", Device: device}
		for _, state := range []machine.DiskState{machine.DiskGood, machine.DiskError, machine.DiskGood, machine.DiskHang, machine.DiskGood} {
			s.must(s.SetDisk(t.Context(), name, state))
			if state == machine.DiskHang {
				continue
			}
			if _, err := s.ask(read); (err == nil) != (state == machine.DiskGood) {
				t.Errorf("%s is %s: %v", name, state, err)
			}
		}
	}

	// From one fault to another.
	s.must(s.SetDisk(t.Context(), "data", machine.DiskHang))
	s.must(s.SetDisk(t.Context(), "data", machine.DiskError))
	s.must(s.SetDisk(t.Context(), "data", machine.DiskGone))
	if a, err := s.ask(tinyguest.Request{Do: "exists", Device: dataDisk}); err != nil || a.Yes {
		t.Errorf("an unplugged disk: %v, %v", a.Yes, err)
	}
	s.must(s.SetDisk(t.Context(), "data", machine.DiskGone))
	s.must(s.SetDisk(t.Context(), "data", machine.DiskGood))
	s.eventually(func() error { return s.read(3) })
	if err := s.SetDisk(t.Context(), "other", machine.DiskGood); err == nil {
		t.Error("a disk that isn't there was set")
	}
	if err := s.SetDisk(t.Context(), "data", "odd"); err == nil {
		t.Error("an unknown state was set")
	}
}

// eventually repeats until it succeeds.
func (s *stage) eventually(f func() error) {
	s.t.Helper()
	end := time.After(15 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-end:
			s.t.Fatal(err)
		case <-tick.C:
		}
	}
}

// TestStops compares the two ways to stop a machine: the host's time that passes
// between two readings of the guest's clock, and the guest's.
func TestStops(t *testing.T) {
	s := newStage(t, config(t, 8<<20))
	s.boot()
	const stop = time.Second
	passed := func(halt func(context.Context) error) (guest, host time.Duration) {
		t.Helper()
		before, err := s.ask(tinyguest.Request{Do: "clocks"})
		s.must(err)
		begin := time.Now()
		s.must(halt(t.Context()))
		s.must(halt(t.Context()))
		if _, err := s.askFor(stop, tinyguest.Request{Do: "clocks"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a stopped machine answered: %v", err)
		}
		s.must(s.Continue(t.Context()))
		s.must(s.Continue(t.Context()))
		after, err := s.ask(tinyguest.Request{Do: "clocks"})
		s.must(err)
		return time.Duration(after.Boottime - before.Boottime), time.Since(begin)
	}
	guest, host := passed(s.Pause)
	t.Logf("SIGSTOP: guest %v, host %v", guest, host)
	if guest < stop || (guest-host).Abs() > stop/2 {
		t.Errorf("paused: the guest counted %v, the host %v", guest, host)
	}
	guest, host = passed(s.Suspend)
	t.Logf("stop: guest %v, host %v", guest, host)
	if guest > stop*3/4 {
		t.Errorf("suspended: the guest counted %v, the host %v", guest, host)
	}
	s.must(s.Pause(t.Context()))
	s.must(s.PowerOff(t.Context()))
	s.end(endedKilled)
}

// TestDies: QEMU's end by somebody else is an end of the machine.
func TestDies(t *testing.T) {
	s := newStage(t, config(t, 8<<20))
	s.boot()
	s.must(s.process.cmd.Process.Signal(os.Kill))
	s.end(endedKilled)

	c := config(t, 8<<20)
	c.Disks[0].Path = "/nonexistent"
	broken, err := New(c)
	s.must(err)
	if err := broken.Boot(t.Context()); err == nil || !strings.Contains(err.Error(), "/nonexistent") {
		t.Errorf("QEMU's words are not in the error: %v", err)
	}
}
