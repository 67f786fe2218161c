package world

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// Report is what a run showed.
type Report struct {
	Faults  int
	Virtual time.Duration
	// Settled is how long after the end of all faults everything was in
	// service.
	Settled time.Duration
	// Evictions and Starts show that the run did something.
	Evictions, Assigned int
}

// Random draws a configuration from a seed: three to five nodes, with and
// without witness, each detection profile.
func Random(seed uint64) Config {
	shapes := []Config{
		{Nodes: 3}, {Nodes: 3}, {Nodes: 2, Witnesses: 1}, {Nodes: 2, Witnesses: 1},
		{Nodes: 4, Witnesses: 1}, {Nodes: 5},
	}
	c := shapes[mix(seed)%uint64(len(shapes))]
	c.Seed = seed
	c.Hierarchies = 1 + int(mix(seed+1)%2)
	c.Detection = []time.Duration{cluster.DetectionBalanced, cluster.DetectionBalanced, cluster.DetectionFast, cluster.DetectionWide}[mix(seed+2)%4]
	c.Provoke = mix(seed+3)%2 == 0
	c.Changes = mix(seed+4)%4 == 0
	c.Lose = !c.Changes && mix(seed+5)%4 == 0
	c.Policies = mix(seed+9)%2 == 0
	if mix(seed+6)%4 == 0 {
		c.Watchdog = 2 * c.Detection
	}
	return c
}

// RandomStored draws a configuration with a storage witness: mostly two nodes,
// for which it is made.
func RandomStored(seed uint64) Config {
	shapes := []Config{{Nodes: 2}, {Nodes: 2}, {Nodes: 2}, {Nodes: 3}, {Nodes: 4}}
	shape := shapes[mix(seed+7)%uint64(len(shapes))]
	c := Random(seed)
	c.Nodes, c.Witnesses, c.Stores = shape.Nodes, 0, 1
	return c
}

func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// Torture runs one seed: the cluster comes into service, faults come one upon
// another for a while, then they stop and everything must settle.
func Torture(cfg Config) (r Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			// A core that panics has met something that must not be: the
			// process would have died.
			err = fmt.Errorf("panic: %v", p)
			if cfg.Broken == (arbiter.Broken{}) {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}
	}()
	w := New(cfg)
	d := cfg.Detection
	ok, err := w.RunUntil(20*d, w.settled)
	if err != nil {
		return Report{}, err
	}
	if !ok {
		return Report{}, fmt.Errorf("not in service %v after the start:\n%s", w.now, w.picture())
	}
	w.tell("in service")
	until := w.now + 8*d
	if cfg.Policies {
		w.wishing()
	}
	if cfg.Lose {
		w.at(w.now+w.chance(6*d), w.loseDisk)
	}
	for w.now < until {
		if err := w.Run(w.now + d/10 + w.chance(2*d)); err != nil {
			return r, err
		}
		w.fault()
		r.Faults++
	}
	w.calm = true
	w.healAll()
	healed := w.now
	w.tell("all faults are over")
	// Back-off after failures on every node adds to the settling time.
	ok, err = w.RunUntil(healed+40*d+30*time.Second, w.settled)
	if err != nil {
		return r, err
	}
	if !ok {
		return r, fmt.Errorf("not settled %v after all faults:\n%s", w.now-healed, w.picture())
	}
	r.Settled = w.now - healed
	w.agree()
	// What settled must stay so.
	if err := w.Run(w.now + 2*d); err != nil {
		return r, err
	}
	r.Virtual = w.now
	for _, e := range w.newest().Timeline {
		switch e.Kind {
		case cluster.KindEvicted:
			r.Evictions++
		case cluster.KindAssigned:
			r.Assigned++
		}
	}
	return r, nil
}
