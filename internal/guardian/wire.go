package guardian

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
)

// A message is: version (1 byte), kind (1 byte), JSON. The transport keeps the
// bounds of messages.
const (
	wireVersion = 1
	maxMessage  = 64 << 10
)

type kind byte

// From the daemon. All but renew are answered.
const (
	kindHello kind = 1 + iota
	kindAdmitted
	kindRenew
	kindGuard
	kindUnguard
	kindRevoke
	kindUnmanaged
	kindDoubt
	kindReset
	kindVolumes
	kindOnLoss
)

// From the guardian.
const (
	kindReply kind = 0x80 + iota
	kindNotice
	kindLease // to the volume-server
)

// packet is every message; each kind uses some of the fields.
type packet struct {
	kind kind
	// ID pairs a request with its reply; 0: none is wanted.
	ID uint64 `json:"id,omitempty"`

	Generation cluster.Generation `json:"generation,omitempty"`
	Until      time.Duration      `json:"until,omitempty"`
	Gate       time.Duration      `json:"gate,omitempty"`
	StopAfter  time.Duration      `json:"stop_after,omitempty"`
	Hierarchy  string             `json:"hierarchy,omitempty"`
	Epoch      cluster.Epoch      `json:"epoch,omitempty"`
	Addresses  []guard.Address    `json:"addresses,omitempty"`
	Cgroups    []string           `json:"cgroups,omitempty"`
	On         bool               `json:"on,omitempty"`
	OnLoss     cluster.QuorumLoss `json:"on_loss,omitempty"`

	Reason cluster.Reason `json:"reason,omitzero"` // of a doubt, or of a refusal
	State  *State         `json:"state,omitempty"`
	Notice *guard.Notice  `json:"notice,omitempty"`
}

func (p packet) encode() ([]byte, error) {
	if p.kind == kindRenew && p.ID == 0 {
		if b, ok := appendRenewal([]byte{wireVersion, byte(p.kind)}, &p); ok {
			return b, nil
		}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode a message of kind %d: %w", p.kind, err)
	}
	if len(body)+2 > maxMessage {
		return nil, fmt.Errorf("encode a message of kind %d: %d bytes are more than %d", p.kind, len(body)+2, maxMessage)
	}
	return append([]byte{wireVersion, byte(p.kind)}, body...), nil
}

func decode(b []byte) (packet, error) {
	var p packet
	switch {
	case len(b) < 2:
		return p, errors.New("a message of the guardian's protocol is cut off")
	case len(b) > maxMessage:
		return p, fmt.Errorf("a message of %d bytes is longer than %d", len(b), maxMessage)
	case b[0] != wireVersion:
		return p, message.New(message.GuardianVersion, b[0], wireVersion)
	}
	if kind(b[1]) == kindRenew {
		if p, ok := parseRenewal(b[2:]); ok {
			return p, nil
		}
	}
	if err := json.Unmarshal(b[2:], &p); err != nil {
		return p, fmt.Errorf("decode a message of kind %d: %w", b[1], err)
	}
	p.kind = kind(b[1])
	return p, p.check()
}

// check refuses what the receiver could not handle.
func (p packet) check() error {
	switch p.kind {
	case kindHello, kindAdmitted, kindRenew, kindRevoke, kindUnmanaged, kindDoubt, kindReset, kindVolumes, kindOnLoss, kindReply, kindLease:
	case kindNotice:
		if p.Notice == nil {
			return errors.New("a notice without its content")
		}
	case kindGuard, kindUnguard:
		if p.Hierarchy == "" {
			return fmt.Errorf("a message of kind %d names no hierarchy", p.kind)
		}
		for _, a := range p.Addresses {
			if !a.Addr.IsValid() || a.Addr.Is4In6() || a.Addr.Zone() != "" || a.Device == "" {
				return fmt.Errorf("guard %s: %v on device %q is no service address", p.Hierarchy, a.Addr, a.Device)
			}
		}
	default:
		return fmt.Errorf("a message of the unknown kind %d", p.kind)
	}
	return nil
}

// event is the request in the words of package guard.
func (p packet) event() guard.Event {
	switch p.kind {
	case kindAdmitted:
		return guard.Admitted{Generation: p.Generation}
	case kindRenew:
		return guard.Renew{Generation: p.Generation, Until: p.Until, Gate: p.Gate, StopAfter: p.StopAfter}
	case kindGuard:
		return guard.Guard{Hierarchy: p.Hierarchy, Epoch: p.Epoch, Addresses: p.Addresses,
			Cgroups: slices.DeleteFunc(p.Cgroups, func(g string) bool { return g == "" })}
	case kindUnguard:
		return guard.Unguard{Hierarchy: p.Hierarchy}
	case kindRevoke:
		return guard.Revoke{Hierarchy: p.Hierarchy}
	case kindUnmanaged:
		return guard.Unmanaged{On: p.On}
	case kindDoubt:
		return guard.Doubt{Reason: p.Reason}
	case kindOnLoss:
		return guard.OnLoss{How: p.OnLoss}
	case kindReset:
		return guard.Reset{Session: newSession()}
	}
	return guard.DaemonHello{}
}

// State is what a daemon learns when it says hello.
type State struct {
	guard.State
	// Watchdog is the device's time-out as read back; 0: there is none.
	Watchdog time.Duration `json:"watchdog,omitempty"`
	// Gate describes the address gate.
	Gate string `json:"gate"`
	// Weaker says which safeguards this node is without.
	Weaker []cluster.Reason `json:"weaker,omitempty"`
	// Cleaned is what an earlier boot or guardian had left and this one removed.
	Cleaned []string `json:"cleaned,omitempty"`
}
