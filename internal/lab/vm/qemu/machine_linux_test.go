package qemu

import (
	"io"
	"testing"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

func TestLives(t *testing.T) {
	s := newStage(t, config(t, 8<<20))
	if _, err := s.running(); err != machine.ErrOff {
		t.Fatalf("before the first boot: %v", err)
	}
	s.boot()
	if err := s.Boot(t.Context()); err == nil {
		t.Error("booted twice")
	}
	old := s.Control()
	_, _ = s.ask(tinyguest.Request{Do: "off"})
	s.end(endedPoweredOff)
	if _, err := old.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the stream of a machine that is off: %v", err)
	}
	if err := s.Suspend(t.Context()); err == nil {
		t.Error("suspended a machine that is off")
	}

	s.boot()
	s.must(s.NMI(t.Context()))
	s.end(endedPanic)

	s.boot()
	_, _ = s.ask(tinyguest.Request{Do: "reset"})
	s.end(endedReset)

	s.must(s.PowerOff(t.Context()))
}

func TestWatchdog(t *testing.T) {
	s := newStage(t, config(t, 8<<20))
	s.boot()
	a, err := s.ask(tinyguest.Request{Do: "arm", Device: "/dev/watchdog1", Millis: 3000})
	s.must(err)
	t.Log(a.Text)
	s.end(endedWatchdog)
}
