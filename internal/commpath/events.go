package commpath

import (
	"net/netip"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Event is something that a person may want to know.
type Event interface {
	// Message is the event in words, or nil if it is for programs only.
	Message() *message.Error
}

// PathChanged says that a comm path entered another state.
type PathChanged struct {
	Peer    cluster.NodeID
	Network string
	From    State
	To      State
	Why     Why
}

func (e PathChanged) Message() *message.Error {
	switch {
	case e.To == StateUp:
		return message.New(message.PathUp, e.Network, e.Peer)
	case e.Why == WhyNoLocal:
		return message.New(message.PathNoLocal, e.Network, e.Peer)
	case e.To == StateDown:
		return message.New(message.PathDown, e.Network, e.Peer)
	case e.Why == WhyUnheard:
		return message.New(message.PathUnheard, e.Network, e.Peer)
	case e.To == StateDegraded:
		return message.New(message.PathLossy, e.Network, e.Peer)
	}
	return nil
}

// SessionBegan says that a peer was heard in a session other than before: it
// was started, or began anew after a freeze. It comes before the session's
// first heartbeat.
type SessionBegan struct{ Peer cluster.NodeID }

func (e SessionBegan) Message() *message.Error { return nil }

// TwinSeen says that a session whose place was taken by another is still alive:
// two processes use the identity of one node, as happens when a VM is cloned.
// It comes once for each session of the peer.
type TwinSeen struct {
	Peer cluster.NodeID
	From netip.AddrPort // where the older one is
}

func (e TwinSeen) Message() *message.Error {
	return message.New(message.NodeTwin, e.Peer, e.From)
}

// AddressChanged says that one of our own addresses can be used, or why not.
type AddressChanged struct {
	Address netip.AddrPort
	Proto   string // UDP or TCP
	Err     error  // nil: it can be used
}

func (e AddressChanged) Message() *message.Error {
	if e.Err == nil {
		return message.New(message.AddressListening, e.Address, e.Proto)
	}
	return message.New(message.AddressMissing, e.Address, e.Proto).Wrap(e.Err)
}

// ConnectionChanged says that messages can be sent to a peer, or why not. While
// there is no connection it comes once.
type ConnectionChanged struct {
	Peer      cluster.NodeID
	Network   string // the path that was or is in use; empty: none yet
	Connected bool
	Err       error
}

func (e ConnectionChanged) Message() *message.Error {
	if e.Connected {
		return message.New(message.ConnectionUp, e.Peer, e.Network)
	}
	return message.New(message.ConnectionLost, e.Peer).Wrap(e.Err)
}

// VersionMismatch says that a node can't be spoken to because its release has
// no protocol in common with ours. Peer is 0 for a joiner.
type VersionMismatch struct{ *VersionError }

// refuseVersion reports a caller of another release, each release once.
func (ep *Endpoint) refuseVersion(v *VersionError) {
	key := v.Error()
	ep.connMu.Lock()
	first := !ep.refused[key] && len(ep.refused) < 64
	if first {
		ep.refused[key] = true
	}
	ep.connMu.Unlock()
	if first {
		ep.tell(VersionMismatch{v})
	}
}
