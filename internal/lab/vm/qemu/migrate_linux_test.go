package qemu

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

// talk asks the guest without a pause until stop is called, which says how often
// it was answered and what the longest wait was.
func (s *stage) talk() (stop func() (answers int, longest time.Duration)) {
	quit := make(chan struct{})
	var wait sync.WaitGroup
	answers, longest := 0, time.Duration(0)
	wait.Go(func() {
		for {
			select {
			case <-quit:
				return
			default:
			}
			begin := time.Now()
			if _, err := s.ask(tinyguest.Request{Do: "clocks"}); err != nil {
				s.t.Error(err)
				return
			}
			answers++
			longest = max(longest, time.Since(begin))
		}
	})
	return func() (int, time.Duration) {
		close(quit)
		wait.Wait()
		return answers, longest
	}
}

// wire makes a namespace with a tap.
func wire(t *testing.T) *tinyguest.Wire {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, needs root: makes a network namespace")
	}
	w, err := tinyguest.NewWire("192.0.2.254/24", net.IPv4(192, 0, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// reachable reports whether the guest answers over the wire.
func reachable(t *testing.T, w *tinyguest.Wire) bool {
	t.Helper()
	var conn net.Conn
	err := w.Inside(func() (err error) {
		conn, err = net.Dial("udp4", "192.0.2.1:7")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for range 10 {
		_ = conn.SetDeadline(time.Now().Add(200 * time.Millisecond))
		_, _ = conn.Write([]byte("x"))
		if n, _ := conn.Read(make([]byte, 8)); n == 1 {
			return true
		}
	}
	return false
}

func TestMigrates(t *testing.T) {
	here, there := wire(t), wire(t)
	c := config(t, 32<<20)
	c.Start = here.Start
	c.NICs = []machine.NIC{{Name: "public", Tap: tinyguest.Tap, MAC: tinyguest.MAC}}
	s := newStage(t, c)
	s.boot()
	_, err := s.ask(tinyguest.Request{Do: "net", Device: "eth0", Address: "192.0.2.1/24"})
	s.must(err)
	if !reachable(t, here) {
		t.Fatal("the guest is not reachable at the source")
	}
	carrier := func(want bool) {
		t.Helper()
		s.must(s.SetCarrier(t.Context(), "public", want))
		s.eventually(func() error {
			if a, err := s.ask(tinyguest.Request{Do: "carrier", Device: "eth0"}); err != nil || a.Yes != want {
				return context.DeadlineExceeded
			}
			return nil
		})
	}
	carrier(false)
	carrier(true)
	s.must(s.write(1))

	target := machine.Config{Dir: t.TempDir(), Start: there.Start, NICs: c.NICs}
	stop := s.talk()
	cost, err := s.Migrate(t.Context(), target)
	answers, longest := stop()
	s.must(err)
	t.Logf("shared disk: downtime %d ms, total %d ms; %d answers, the longest wait %v", cost.DowntimeMillis, cost.TotalMillis, answers, longest)
	s.must(s.read(1))
	s.must(s.write(2))
	if !reachable(t, there) || reachable(t, here) {
		t.Error("the guest is not reachable at the target, or still at the source")
	}

	back := machine.Config{Dir: t.TempDir(), Start: here.Start, NICs: c.NICs}
	back.Disks = slices.Clone(c.Disks)
	back.Disks[0].Path = filepath.Join(back.Dir, "copy.raw")
	stop = s.talk()
	cost, err = s.MigrateAll(t.Context(), back)
	answers, longest = stop()
	s.must(err)
	t.Logf("with its disk: downtime %d ms, total %d ms; %d answers, the longest wait %v", cost.DowntimeMillis, cost.TotalMillis, answers, longest)
	s.must(s.read(2))
	s.must(s.write(3))
	sameByte(t, back.Disks[0].Path, 3)
	sameByte(t, c.Disks[0].Path, 2)

	begin := time.Now()
	elsewhere := filepath.Join(back.Dir, "moved.raw")
	s.must(s.MoveDisk(t.Context(), "data", elsewhere))
	t.Logf("disk moved in %v", time.Since(begin))
	s.must(s.read(3))
	s.must(s.write(4))
	sameByte(t, elsewhere, 4)
	sameByte(t, back.Disks[0].Path, 3)
	s.must(s.MoveDisk(t.Context(), "data", filepath.Join(back.Dir, "again.raw")))
	s.must(s.SetDisk(t.Context(), "data", machine.DiskError))
	if err := s.write(5); err == nil {
		t.Error("a moved disk can't be broken")
	}
	if _, err := s.Migrate(t.Context(), target); err == nil {
		t.Error("migrated with a broken disk")
	}
	s.must(s.SetDisk(t.Context(), "data", machine.DiskGood))

	// A target that can't start leaves the machine where it is.
	broken := target
	broken.Dir, broken.Start = t.TempDir(), here.Start
	if _, err := s.Migrate(t.Context(), broken); err == nil || !strings.Contains(err.Error(), "tap0") {
		t.Errorf("migrated to a target whose tap is taken: %v", err)
	}
	s.must(s.read(4))
	_, _ = s.ask(tinyguest.Request{Do: "off"})
	s.end(endedPoweredOff)
}

func sameByte(t *testing.T, path string, want byte) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.Read(b); err != nil || b[0] != want {
		t.Errorf("%s: begins with %d, want %d (%v)", filepath.Base(path), b[0], want, err)
	}
}

func TestSnapshot(t *testing.T) {
	s := newStage(t, config(t, 8<<20))
	if err := s.Revert(t.Context(), "none"); err == nil {
		t.Error("reverted to nothing")
	}
	s.boot()
	s.must(s.write(1))
	before, err := s.ask(tinyguest.Request{Do: "clocks"})
	s.must(err)
	begin := time.Now()
	s.must(s.Snapshot(t.Context(), "one"))
	t.Logf("snapshot in %v", time.Since(begin))
	s.must(s.write(2))
	s.must(s.read(2))

	begin = time.Now()
	s.must(s.Revert(t.Context(), "one"))
	s.guest.Close()
	s.guest = tinyguest.NewConn(s.Control())
	after, err := s.ask(tinyguest.Request{Do: "clocks"})
	s.must(err)
	gone := time.Duration(after.Boottime - before.Boottime)
	t.Logf("reverted in %v; the guest believes that %v passed", time.Since(begin), gone)
	if gone < 0 || gone > 2*time.Second {
		t.Errorf("the guest's clock went by %v", gone)
	}
	s.must(s.read(1))
	s.must(s.write(3))
	s.must(s.Suspend(t.Context()))
	s.must(s.Revert(t.Context(), "one"))
	s.guest.Close()
	s.guest = tinyguest.NewConn(s.Control())
	s.must(s.read(1))
}
