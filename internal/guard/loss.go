package guard

import (
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// lost resets the machine, or switches it off, if the cluster says so for a node
// whose lease ended while it had services. It is asked for once: if the machine
// can't, its services are frozen and killed as without it.
func (m *Machine) lost(now cluster.Instant) {
	if m.halted || !m.halts() || now.Boot < m.until {
		return
	}
	m.halted = true
	m.tell(NoticeTrouble, "", cluster.Because(message.QuorumLossRebooting, m.onLoss))
	m.emit(HaltMachine{PowerOff: m.onLoss == cluster.LossPowerOff})
}

// halts reports whether the end of the lease would end this machine: it has a
// lease to lose, and something that serves under it.
func (m *Machine) halts() bool {
	if m.onLoss != cluster.LossReboot && m.onLoss != cluster.LossPowerOff {
		return false
	}
	if m.unmanaged || m.revoked || m.stopping || m.resetTo != "" || m.generation == 0 || m.until == 0 || m.knobs.dead {
		return false
	}
	for _, h := range m.hierarchies {
		if h.phase == PhaseServing || h.phase == PhaseFrozen {
			return true
		}
	}
	return false
}
