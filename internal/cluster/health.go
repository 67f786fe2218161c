package cluster

import "slices"

// HealthMark is something about a node's machine that has been bad for a while.
// It moves nothing by itself: it says that the node is a worse standby than it
// looks.
type HealthMark struct {
	// What is bad: "cpu", "memory", "disk /var", "link eth0", "gateway 10.0.0.1".
	What   string `json:"what"`
	Reason Reason `json:"reason"`
}

// Limits are the thresholds of health, in percent of what there is; 0: the
// default, above 100: never.
type Limits struct {
	CPU    int `json:"cpu,omitempty"`
	Memory int `json:"memory,omitempty"`
	Disk   int `json:"disk,omitempty"`
}

// Defaults of [Limits].
const (
	LimitCPU    = 95
	LimitMemory = 95
	LimitDisk   = 90
	// LimitOff is a threshold that nothing reaches.
	LimitOff = 101
)

// Filled puts the defaults in.
func (l Limits) Filled() Limits {
	for _, v := range []struct {
		at    *int
		value int
	}{{&l.CPU, LimitCPU}, {&l.Memory, LimitMemory}, {&l.Disk, LimitDisk}} {
		if *v.at == 0 {
			*v.at = v.value
		}
	}
	return l
}

// SetHealth replaces the marks of a node.
type SetHealth struct {
	Node  NodeID       `json:"node"`
	Marks []HealthMark `json:"marks,omitempty"`
}

// SetLimits replaces the thresholds.
type SetLimits struct {
	Limits Limits `json:"limits"`
}

// healthMax bounds the marks of a node.
const healthMax = 32

// RefusedLimit is the refusal of a threshold.
const RefusedLimit = "PD7701" // {0} is no threshold

func (s *State) setHealth(index uint64, c *Command, a *SetHealth) Result {
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	n.Health = slices.Clone(a.Marks[:min(len(a.Marks), healthMax)])
	return Result{Entry: s.tell(index, c, Entry{Kind: KindHealth, Node: a.Node})}
}

func (s *State) setLimits(index uint64, c *Command, a *SetLimits) Result {
	for _, v := range []int{a.Limits.CPU, a.Limits.Memory, a.Limits.Disk} {
		if v < 0 || v > LimitOff {
			return refuse(RefusedLimit, v)
		}
	}
	s.Limits = a.Limits
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured})}
}
