package core

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// Wire forms. Each begins with a kind and the protocol version, so that a newer
// peer's packet is refused in words instead of misread. Numbers are unsigned
// varints (encoding/binary). The table is in docs/formats.md.
const (
	wireHeartbeat = 'H'
	wireAck       = 'A'
	wireMessage   = 'M'
)

// heardMax bounds the list in a heartbeat, and with it the packet: 64 nodes.
const heardMax = 128

// ErrMalformed: the bytes aren't what they claim to be.
var ErrMalformed = errors.New("malformed packet")

// VersionError: the peer speaks a version that this software doesn't.
type VersionError struct{ Version byte }

func (e *VersionError) Error() string {
	return fmt.Sprintf("packet of protocol version %d, this software speaks %d to %d: upgrade the older node", e.Version, ProtocolMin, Protocol)
}

// AppendHeartbeat encodes a heartbeat.
func AppendHeartbeat(b []byte, h *Heartbeat) []byte {
	b = append(b, wireHeartbeat, Protocol)
	b = appendUints(b, h.Life, uint64(h.Lease.Node), uint64(h.Lease.Generation), h.Lease.Conf, uint64(h.Lease.Sent),
		h.Term, uint64(h.Leader), uint64(h.LeaderAge), h.Applied, h.LogTerm, h.LogIndex, uint64(h.Protocol))
	var flags byte
	if h.Leaving {
		flags |= 1
	}
	b = append(b, flags)
	n := min(len(h.Heard), heardMax)
	b = appendUints(b, uint64(n))
	for _, x := range h.Heard[:n] {
		b = appendUints(b, uint64(x.Node), uint64(x.Age))
	}
	return b
}

// AppendAck encodes an acknowledgement.
func AppendAck(b []byte, a *arbiter.Ack) []byte {
	return appendAck(append(b, wireAck, Protocol), a)
}

func appendAck(b []byte, a *arbiter.Ack) []byte {
	return appendUints(b, uint64(a.Voter), uint64(a.Generation), a.Conf, uint64(a.Granted), uint64(a.Sent), uint64(a.Refusal))
}

func appendProof(b []byte, p *Proof) []byte {
	var flags byte
	if p.Alive {
		flags |= 1
	}
	return appendUints(append(b, flags), uint64(p.Asked), uint64(p.Beat.Node), uint64(p.Beat.Generation), p.Beat.Conf, uint64(p.Beat.Sent))
}

// DecodePacket reads a heartbeat or an acknowledgement; one of the two is nil.
func DecodePacket(b []byte) (*Heartbeat, *arbiter.Ack, error) {
	kind, r, err := open(b)
	if err != nil {
		return nil, nil, err
	}
	switch kind {
	case wireHeartbeat:
		h := &Heartbeat{Life: r.uint()}
		h.Lease = arbiter.Beat{Node: cluster.NodeID(r.uint()), Generation: cluster.Generation(r.uint()), Conf: r.uint(), Sent: r.duration()}
		h.Term, h.Leader, h.LeaderAge, h.Applied = r.uint(), cluster.NodeID(r.uint()), r.uint32(), r.uint()
		h.LogTerm, h.LogIndex, h.Protocol = r.uint(), r.uint(), r.uint32()
		h.Leaving = r.byte()&1 != 0
		n := r.uint()
		if n > heardMax {
			return nil, nil, fmt.Errorf("heartbeat with %d entries: %w", n, ErrMalformed)
		}
		h.Heard = make([]Heard, 0, n)
		for range n {
			h.Heard = append(h.Heard, Heard{Node: cluster.NodeID(r.uint()), Age: r.uint32()})
		}
		return h, nil, r.done()
	case wireAck:
		return nil, r.ack(), r.done()
	}
	return nil, nil, fmt.Errorf("packet of kind %q: %w", kind, ErrMalformed)
}

// EncodeMessage is a message as the reliable comm paths carry it: a head, then
// the body in the format of its kind.
func EncodeMessage(m *Message) []byte {
	b := append(make([]byte, 0, 256), wireMessage, Protocol)
	var kind byte
	var body []byte
	switch {
	case m.Raft != nil:
		kind, body = 'r', mustProto(m.Raft)
	case m.Propose != nil:
		kind, body = 'p', m.Propose
	case m.Refused != nil:
		kind, body = 'x', mustJSON(m.Refused)
	case m.Ask != nil:
		kind, body = 'q', appendAsk(nil, m.Ask)
	case m.Answer != nil:
		kind, body = 'a', appendAnswer(nil, m.Answer)
	case m.Probe != nil:
		kind, body = 'b', appendUints(nil, uint64(m.Probe.Asked))
	case m.Proof != nil:
		kind, body = 'f', appendProof(nil, m.Proof)
	case m.Ack != nil:
		kind, body = 'k', appendAck(nil, m.Ack)
	}
	var flags byte
	if m.Relayed {
		flags |= 1
	}
	b = append(b, kind, flags)
	b = appendUints(b, uint64(m.From), uint64(m.To))
	return append(b, body...)
}

// DecodeMessage reads what EncodeMessage wrote.
func DecodeMessage(b []byte) (*Message, error) {
	kind, r, err := open(b)
	if err != nil {
		return nil, err
	}
	if kind != wireMessage {
		return nil, fmt.Errorf("message of kind %q: %w", kind, ErrMalformed)
	}
	body, flags := r.byte(), r.byte()
	m := &Message{Relayed: flags&1 != 0, From: cluster.NodeID(r.uint()), To: cluster.NodeID(r.uint())}
	if r.err != nil {
		return nil, r.err
	}
	switch body {
	case 'r':
		m.Raft = new(raftpb.Message)
		if err := proto.Unmarshal(r.b, m.Raft); err != nil {
			return nil, fmt.Errorf("raft message: %w", err)
		}
		return m, nil
	case 'p':
		if len(r.b) == 0 {
			return nil, fmt.Errorf("empty proposal: %w", ErrMalformed)
		}
		m.Propose = append([]byte(nil), r.b...)
		return m, nil
	case 'x':
		m.Refused = new(Refused)
		if err := json.Unmarshal(r.b, m.Refused); err != nil {
			return nil, fmt.Errorf("refusal: %w", err)
		}
		return m, nil
	case 'q':
		m.Ask = r.ask()
		return m, r.done()
	case 'a':
		m.Answer = &arbiter.Answer{Ask: *r.ask()}
		m.Answer.Voter = cluster.NodeID(r.uint())
		m.Answer.Yes = r.byte()&1 != 0
		m.Answer.Silent = r.duration() - 1
		m.Answer.Wait = r.duration()
		return m, r.done()
	case 'b':
		m.Probe = &Probe{Asked: r.duration()}
		return m, r.done()
	case 'f':
		m.Proof = &Proof{Alive: r.byte()&1 != 0, Asked: r.duration()}
		m.Proof.Beat = arbiter.Beat{Node: cluster.NodeID(r.uint()), Generation: cluster.Generation(r.uint()), Conf: r.uint(), Sent: r.duration()}
		return m, r.done()
	case 'k':
		m.Ack = r.ack()
		return m, r.done()
	}
	return nil, fmt.Errorf("message of kind %q: %w", body, ErrMalformed)
}

func appendAsk(b []byte, a *arbiter.Ask) []byte {
	return append(appendUints(b, uint64(a.Node), uint64(a.Generation), a.Conf), byte(a.Phase))
}

func appendAnswer(b []byte, a *arbiter.Answer) []byte {
	b = appendAsk(b, &a.Ask)
	b = appendUints(b, uint64(a.Voter))
	var yes byte
	if a.Yes {
		yes = 1
	}
	// Silent is shifted by one, since −1 means never.
	return appendUints(append(b, yes), uint64(max(a.Silent, -1)+1), uint64(max(a.Wait, 0)))
}

func appendUints(b []byte, us ...uint64) []byte {
	for _, u := range us {
		b = binary.AppendUvarint(b, u)
	}
	return b
}

func mustProto(m proto.Message) []byte {
	b, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("encode a raft message: %v", err))
	}
	return b
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a message: %v", err))
	}
	return b
}

// reader takes fields off a packet; after the first error it returns zeros.
type reader struct {
	b   []byte
	err error
}

func open(b []byte) (kind byte, r *reader, err error) {
	if len(b) < 2 {
		return 0, nil, fmt.Errorf("packet of %d bytes: %w", len(b), ErrMalformed)
	}
	if b[1] < ProtocolMin || b[1] > Protocol {
		return 0, nil, &VersionError{Version: b[1]}
	}
	return b[0], &reader{b: b[2:]}, nil
}

func (r *reader) uint() uint64 {
	if r.err != nil {
		return 0
	}
	u, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err = fmt.Errorf("short packet: %w", ErrMalformed)
		return 0
	}
	r.b = r.b[n:]
	return u
}

func (r *reader) uint32() uint32 {
	u := r.uint()
	if u > 1<<32-1 && r.err == nil {
		r.err = fmt.Errorf("number too large: %w", ErrMalformed)
	}
	return uint32(u)
}

func (r *reader) uint8() uint8 {
	u := r.uint()
	if u > 1<<8-1 && r.err == nil {
		r.err = fmt.Errorf("number too large: %w", ErrMalformed)
	}
	return uint8(u)
}

// duration refuses what would be negative.
func (r *reader) duration() time.Duration {
	u := r.uint()
	if u >= 1<<62 && r.err == nil {
		r.err = fmt.Errorf("duration too large: %w", ErrMalformed)
	}
	return time.Duration(u & (1<<62 - 1))
}

func (r *reader) byte() byte {
	if r.err != nil {
		return 0
	}
	if len(r.b) == 0 {
		r.err = fmt.Errorf("short packet: %w", ErrMalformed)
		return 0
	}
	x := r.b[0]
	r.b = r.b[1:]
	return x
}

func (r *reader) ask() *arbiter.Ask {
	return &arbiter.Ask{Node: cluster.NodeID(r.uint()), Generation: cluster.Generation(r.uint()), Conf: r.uint(), Phase: arbiter.Phase(r.byte())}
}

func (r *reader) ack() *arbiter.Ack {
	return &arbiter.Ack{Voter: cluster.NodeID(r.uint()), Generation: cluster.Generation(r.uint()), Conf: r.uint(),
		Granted: r.duration(), Sent: r.duration(), Refusal: arbiter.Refusal(r.uint8())}
}

func (r *reader) done() error {
	if r.err == nil && len(r.b) != 0 {
		r.err = fmt.Errorf("%d bytes too many: %w", len(r.b), ErrMalformed)
	}
	return r.err
}
