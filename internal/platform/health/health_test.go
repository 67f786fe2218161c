package health

import (
	"context"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestJudge plays a machine, a sample every 10 s.
func TestJudge(t *testing.T) {
	good := Vitals{CPU: 10, Memory: 20, Disks: []Disk{{Path: "/", Used: 50}}, Links: []Link{{"eth0", true}},
		Gateway: []Gateway{{netip.MustParseAddr("192.0.2.1"), true}}}
	for _, tt := range []struct {
		name   string
		limits cluster.Limits
		change func(*Vitals)
		after  int // samples until it is said; 0: never
		code   string
	}{
		{"a busy processor", cluster.Limits{}, func(v *Vitals) { v.CPU = 99 }, 7, BusyCPU},
		{"allowed to be busy", cluster.Limits{CPU: cluster.LimitOff}, func(v *Vitals) { v.CPU = 100 }, 0, ""},
		{"no memory", cluster.Limits{}, func(v *Vitals) { v.Memory = 96 }, 7, FullMemory},
		{"not known", cluster.Limits{}, func(v *Vitals) { v.Memory, v.CPU = Unknown, Unknown }, 0, ""},
		{"a full disk", cluster.Limits{}, func(v *Vitals) { v.Disks[0].Used = 91 }, 3, FullDisk},
		{"a threshold of its own", cluster.Limits{Disk: 40}, func(*Vitals) {}, 3, FullDisk},
		{"a disk that doesn't answer", cluster.Limits{}, func(v *Vitals) { v.Disks[0].Silent = true }, 3, SilentDisk},
		{"a dead link", cluster.Limits{}, func(v *Vitals) { v.Links[0].Up = false }, 3, LinkDown},
		{"a link that is gone on purpose", cluster.Limits{}, func(v *Vitals) { v.Links = nil }, 0, ""},
		{"a dead gateway", cluster.Limits{}, func(v *Vitals) { v.Gateway[0].Answers = false }, 3, SilentGateway},
		{"a gateway that never answered", cluster.Limits{}, func(v *Vitals) { v.Gateway[0] = Gateway{Address: netip.MustParseAddr("192.0.2.9")} }, 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var j Judge
			now := time.Unix(0, 0)
			step := func(v Vitals) []cluster.HealthMark {
				now = now.Add(10 * time.Second)
				return j.Step(now, v, tt.limits)
			}
			if tt.limits.Disk == 0 && len(step(good)) > 0 {
				t.Fatal("a good machine has a mark")
			}
			v := good
			v.Disks, v.Links, v.Gateway = append([]Disk(nil), v.Disks...), append([]Link(nil), v.Links...), append([]Gateway(nil), v.Gateway...)
			tt.change(&v)
			said := 0
			for i := 1; i <= 20; i++ {
				marks := step(v)
				if len(marks) > 0 && said == 0 {
					said = i
					if marks[0].Reason.Code != tt.code {
						t.Errorf("%+v", marks)
					}
				}
			}
			if said != tt.after {
				t.Errorf("said after %d samples, want %d", said, tt.after)
			}
			if tt.limits.Disk != 0 {
				return
			}
			for range 8 {
				step(good)
			}
			if marks := step(good); len(marks) > 0 {
				t.Errorf("good again, and still %+v", marks)
			}
		})
	}
}

// TestFlapping: what is at the edge of its threshold is said once.
func TestFlapping(t *testing.T) {
	var j Judge
	now, changes, had := time.Unix(0, 0), 0, false
	for i := range 200 {
		now = now.Add(10 * time.Second)
		used := 90.5
		if i%2 == 1 && i > 20 {
			used = 89.5
		}
		marks := j.Step(now, Vitals{CPU: Unknown, Memory: Unknown, Disks: []Disk{{Path: "/", Used: used}}}, cluster.Limits{})
		if (len(marks) > 0) != had {
			changes++
			had = !had
		}
	}
	if changes != 1 {
		t.Errorf("%d changes", changes)
	}
}

// TestHungDisk: a disk that doesn't answer is asked once, and the sample is
// there all the same.
func TestHungDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		back := make(chan struct{})
		s := &Sampler{stat: func(string) (float64, error) { asked.Add(1); <-back; return 70, nil }}
		d := &disk{path: "/", answers: make(chan diskAnswer, 1), last: Unknown}
		for range 3 {
			if got := s.ask(t.Context(), d); !got.Silent {
				t.Errorf("%+v", got)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		close(back)
		synctest.Wait()
		if got := s.ask(t.Context(), d); got.Silent || got.Used != 70 {
			t.Errorf("%+v", got)
		}
	})
}

// TestHere measures this machine.
func TestHere(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	v := NewSampler("/", t.TempDir()).Sample(ctx)
	if v.Memory <= 0 || v.Memory > 100 || len(v.Disks) != 2 || v.Disks[0].Used < 0 || v.Disks[0].Used > 100 || v.Disks[0].Silent {
		t.Errorf("%+v", v)
	}
	if v := NewSampler("/nonexistent").Sample(ctx); v.Disks[0].Used != Unknown || v.Disks[0].Silent {
		t.Errorf("%+v", v)
	}
}
