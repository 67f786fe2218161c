package guard

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Phase is where a guarded hierarchy stands.
type Phase string

const (
	// PhaseServing: processes run, addresses are open while the lease lives.
	PhaseServing Phase = "serving"
	// PhaseFrozen: the gate's deadline passed. The processes stand, or are being
	// made to.
	PhaseFrozen Phase = "frozen"
	// PhaseKilling: whether something is left is unknown.
	PhaseKilling Phase = "killing"
	// PhaseKilled: nothing is left. It stays listed until the daemon unguards it
	// or guards it again.
	PhaseKilled Phase = "killed"
)

// Guarded is a hierarchy as the guardian knows it.
type Guarded struct {
	Hierarchy string        `json:"hierarchy"`
	Epoch     cluster.Epoch `json:"epoch"`
	Phase     Phase         `json:"phase"`
	Addresses []Address     `json:"addresses,omitempty"`
	Cgroups   []string      `json:"cgroups,omitempty"`
}

// State is what a daemon learns when it says hello, and what one guardian hands
// over to the next while the node is unmanaged.
type State struct {
	// Session is this guardian's random id; to the cluster it is the boot.
	Session    string             `json:"session"`
	Generation cluster.Generation `json:"generation"`
	// LeaseUntil and GateUntil are by BOOTTIME; in the past: no lease.
	LeaseUntil time.Duration `json:"lease_until"`
	GateUntil  time.Duration `json:"gate_until"`
	// Revoked reports whether the generation was evicted.
	Revoked   bool `json:"revoked,omitempty"`
	Unmanaged bool `json:"unmanaged,omitempty"`
	// WatchdogArmed reports whether the machine resets without the guardian.
	WatchdogArmed bool      `json:"watchdog_armed,omitempty"`
	Guarded       []Guarded `json:"guarded,omitempty"` // by name
	// Crashes is how often in a row the daemon ended soon after its start.
	Crashes int `json:"crashes,omitempty"`
}

// State describes the machine as it is now.
func (m *Machine) State() State {
	s := State{
		Session: m.session, Generation: m.generation,
		LeaseUntil: m.until, GateUntil: m.gate,
		Revoked: m.revoked, Unmanaged: m.unmanaged,
		WatchdogArmed: m.armed, Crashes: m.restart.crashes,
	}
	for _, h := range m.sorted() {
		s.Guarded = append(s.Guarded, Guarded{
			Hierarchy: h.name, Epoch: h.epoch, Phase: h.phase,
			Addresses: slices.Clone(h.addresses), Cgroups: slices.Clone(h.cgroups),
		})
	}
	return s
}
