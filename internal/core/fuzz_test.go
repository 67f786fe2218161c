package core

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

func aBeat() *Heartbeat {
	return &Heartbeat{
		Lease: arbiter.Beat{Node: 3, Generation: 7, Conf: 9, Sent: 1 << 40},
		Term:  4, Leader: 2, LeaderAge: 120, Applied: 1000, Protocol: Protocol, Leaving: true,
		Heard: []Heard{{Node: 1, Age: 3}, {Node: 2, Age: 1 << 30}},
	}
}

// FuzzDecodePacket: nothing that comes in a datagram harms the process, and
// what is accepted says the same when it is written again.
func FuzzDecodePacket(f *testing.F) {
	f.Add(AppendHeartbeat(nil, aBeat()))
	f.Add(AppendHeartbeat(nil, &Heartbeat{}))
	f.Add(AppendAck(nil, &arbiter.Ack{Voter: 1, Generation: 2, Conf: 3, Granted: 4, Sent: 5}))
	f.Add(AppendAck(nil, &arbiter.Ack{Voter: 1, Refusal: arbiter.RefusedPromised}))
	f.Add([]byte{wireHeartbeat, Protocol + 1})
	f.Add([]byte{wireAck})
	f.Add(append([]byte{wireHeartbeat, Protocol}, bytes.Repeat([]byte{0xff}, 64)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		beat, ack, err := DecodePacket(b)
		if err != nil {
			refusedInWords(t, b, err)
			return
		}
		var again []byte
		switch {
		case beat != nil && ack == nil:
			if beat.Lease.Sent < 0 || len(beat.Heard) > heardMax {
				t.Fatalf("accepted %+v", beat)
			}
			again = AppendHeartbeat(nil, beat)
		case ack != nil && beat == nil:
			if ack.Sent < 0 || ack.Granted < 0 {
				t.Fatalf("accepted %+v", ack)
			}
			again = AppendAck(nil, ack)
		default:
			t.Fatalf("%x is %v and %v", b, beat, ack)
		}
		beat2, ack2, err := DecodePacket(again)
		if err != nil || !reflect.DeepEqual(beat, beat2) || !reflect.DeepEqual(ack, ack2) {
			t.Fatalf("written again it says %+v %+v, %v", beat2, ack2, err)
		}
	})
}

// refusedInWords: a packet of a version that isn't spoken is told from one that
// is no packet.
func refusedInWords(t *testing.T, b []byte, err error) {
	t.Helper()
	var version *VersionError
	foreign := len(b) >= 2 && (b[1] < ProtocolMin || b[1] > Protocol)
	if foreign != errors.As(err, &version) {
		t.Fatalf("%x: %v", b, err)
	}
}

// FuzzDecodeMessage is the same for the reliable comm paths.
func FuzzDecodeMessage(f *testing.F) {
	for _, m := range []*Message{
		{From: 1, To: 2, Raft: &raftpb.Message{Type: raftpb.MsgHeartbeat.Enum(), To: new(uint64(2)), From: new(uint64(1)), Term: new(uint64(3))}},
		{From: 1, To: 2, Relayed: true, Propose: (&cluster.Command{Note: &cluster.Note{Kind: cluster.KindPath}}).Encode()},
		{From: 1, To: 2, Refused: &Refused{ID: 7, Reason: cluster.Because("PD1008")}},
		{From: 1, To: 2, Ask: &arbiter.Ask{Node: 3, Generation: 4, Conf: 5, Phase: arbiter.Do}},
		{From: 1, To: 2, Answer: &arbiter.Answer{Ask: arbiter.Ask{Node: 3, Generation: 4, Conf: 5, Phase: arbiter.Would}, Voter: 1, Yes: true, Silent: -1}},
		{From: 1, To: 2, Answer: &arbiter.Answer{Voter: 1, Silent: 1e9, Wait: 5}},
	} {
		f.Add(EncodeMessage(m))
	}
	f.Add([]byte{wireMessage, 0})
	f.Add([]byte{wireMessage, Protocol, 'p', 0, 1, 2})
	f.Add([]byte{wireMessage, Protocol, 'x', 0, 1, 2, 'n', 'u', 'l', 'l'})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := DecodeMessage(b)
		if err != nil {
			refusedInWords(t, b, err)
			return
		}
		again := EncodeMessage(m)
		m2, err := DecodeMessage(again)
		if err != nil {
			t.Fatalf("read %+v again: %v", m, err)
		}
		if !sameMessage(m, m2) {
			t.Fatalf("%+v became %+v", m, m2)
		}
	})
}

func sameMessage(a, b *Message) bool {
	if !proto.Equal(a.Raft, b.Raft) {
		return false
	}
	x, y := *a, *b
	x.Raft, y.Raft, x.Via, y.Via = nil, nil, 0, 0
	return reflect.DeepEqual(x, y)
}

// FuzzDecodeLocal: the node's own record is read from a disk, which may say
// anything.
func FuzzDecodeLocal(f *testing.F) {
	f.Add([]byte(`{"version":1,"promises":[{"node":1,"generation":2}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(``))
	f.Add([]byte(`[]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		promises, err := decodeLocal(b)
		if err != nil && promises != nil {
			t.Fatalf("%s: %v, and %v", b, promises, err)
		}
	})
}

// A refusal that is larger than its byte must not turn into a grant.
func TestLargeRefusalIsNoGrant(t *testing.T) {
	b := appendUints([]byte{wireAck, Protocol}, 2, 1, 5, 0, 77, 256)
	if _, ack, err := DecodePacket(b); err == nil {
		t.Errorf("accepted as %+v", ack)
	}
}

// TestWireKeepsEverything writes and reads random packets and messages.
func TestWireKeepsEverything(t *testing.T) {
	u64 := rapid.Uint64()
	id := rapid.Custom(func(t *rapid.T) cluster.NodeID { return cluster.NodeID(u64.Draw(t, "node")) })
	gen := rapid.Custom(func(t *rapid.T) cluster.Generation { return cluster.Generation(u64.Draw(t, "generation")) })
	dur := rapid.Custom(func(t *rapid.T) time.Duration { return time.Duration(rapid.Int64Range(0, 1<<61).Draw(t, "duration")) })
	rapid.Check(t, func(t *rapid.T) {
		beat := &Heartbeat{
			Lease: arbiter.Beat{Node: id.Draw(t, "from"), Generation: gen.Draw(t, "g"), Conf: u64.Draw(t, "conf"), Sent: dur.Draw(t, "sent")},
			Term:  u64.Draw(t, "term"), Leader: id.Draw(t, "leader"), LeaderAge: rapid.Uint32().Draw(t, "age"),
			Applied: u64.Draw(t, "applied"), Protocol: rapid.Uint32().Draw(t, "protocol"), Leaving: rapid.Bool().Draw(t, "leaving"),
			Heard: []Heard{},
		}
		for range rapid.IntRange(0, heardMax).Draw(t, "heard") {
			beat.Heard = append(beat.Heard, Heard{Node: id.Draw(t, "n"), Age: rapid.Uint32().Draw(t, "a")})
		}
		got, _, err := DecodePacket(AppendHeartbeat(nil, beat))
		if err != nil || !reflect.DeepEqual(got, beat) {
			t.Fatalf("got %+v, %v, want %+v", got, err, beat)
		}
		ack := &arbiter.Ack{Voter: id.Draw(t, "voter"), Generation: gen.Draw(t, "g"), Conf: u64.Draw(t, "conf"),
			Granted: dur.Draw(t, "granted"), Sent: dur.Draw(t, "sent"), Refusal: arbiter.Refusal(rapid.Uint8().Draw(t, "refusal"))}
		_, gotAck, err := DecodePacket(AppendAck(nil, ack))
		if err != nil || *gotAck != *ack {
			t.Fatalf("got %+v, %v, want %+v", gotAck, err, ack)
		}
		m := &Message{From: id.Draw(t, "from"), To: id.Draw(t, "to"), Relayed: rapid.Bool().Draw(t, "relayed"),
			Answer: &arbiter.Answer{
				Ask:   arbiter.Ask{Node: id.Draw(t, "node"), Generation: gen.Draw(t, "g"), Conf: u64.Draw(t, "conf"), Phase: arbiter.Phase(rapid.Uint8().Draw(t, "phase"))},
				Voter: id.Draw(t, "voter"), Yes: rapid.Bool().Draw(t, "yes"),
				Silent: dur.Draw(t, "silent") - 1, Wait: dur.Draw(t, "wait"),
			}}
		gotM, err := DecodeMessage(EncodeMessage(m))
		if err != nil || !sameMessage(gotM, m) {
			t.Fatalf("got %+v, %v, want %+v", gotM, err, m)
		}
	})
}

// TestPacketsFit: a heartbeat of the largest cluster fits into the smallest
// datagram that every path carries (IPv6's 1280 bytes less 48 of headers), with
// room for the seal.
func TestPacketsFit(t *testing.T) {
	b := aBeat()
	b.Heard = nil
	for i := range heardMax {
		b.Heard = append(b.Heard, Heard{Node: cluster.NodeID(i), Age: 1 << 20})
	}
	if n := len(AppendHeartbeat(nil, b)); n > 1280-48-64 {
		t.Errorf("a heartbeat takes %d bytes", n)
	}
}
