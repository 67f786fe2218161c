package volume

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

const testID = "0123456789abcdef0123456789abcdef"

// table is a machine of copy n with a document beside it, and a disk on which
// everything is done at once unless it is held back.
type table struct {
	t    *testing.T
	m    *Machine
	now  cluster.Instant
	hold bool // persists stay under way
	held []Token
	got  Effects // all but persists and disk operations
}

func open(t *testing.T, n cluster.Copy, s Super) *table {
	s.Boot, s.Consistent = "b", true
	return &table{t: t, m: New(Config{Volume: testID, Self: n, Size: 64 << 10, BlockSize: 512, ExtentSize: 4096, Slots: 4, Boot: "b", Session: 1,
		LinkTimeout: time.Second, FlushEvery: time.Second, CopyBytes: 4096, CopiesInFlight: 2, QueueOps: 8, QueueBytes: 1 << 20}, Disk{Super: s})}
}

func (x *table) step(ev Event) {
	x.t.Helper()
	fx := x.m.Step(x.now, ev)
	x.got.Send, x.got.Reply = append(x.got.Send, fx.Send...), append(x.got.Reply, fx.Reply...)
	x.got.Propose, x.got.Dial = append(x.got.Propose, fx.Propose...), append(x.got.Dial, fx.Dial...)
	for _, p := range fx.Persist {
		if x.hold {
			x.held = append(x.held, p.Token)
		} else {
			x.step(Done{Token: p.Token})
		}
	}
	for _, d := range fx.Disk {
		x.step(Done{Token: d.Token})
	}
}

// sent is the types of the messages since the last call.
func (x *table) sent() (ts []MessageType) {
	for _, s := range x.got.Send {
		ts = append(ts, s.Message.Type)
	}
	x.got.Send = nil
	return ts
}

func document(counter uint64, source cluster.Copy, in ...cluster.Copy) *cluster.Volume {
	v := &cluster.Volume{Name: "data", ID: testID, Size: 64 << 10, BlockSize: 512, ExtentSize: 4096, Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: counter}, Set: 2,
		Source: source, SourceGeneration: 1}
	for n := cluster.Copy(1); n <= 2; n++ {
		c := cluster.VolumeCopy{Number: n, Node: cluster.NodeID(n), Mode: cluster.Sync, Standing: cluster.Behind, In: 1, Out: 2}
		if cluster.CopiesOf(in...).Has(n) {
			c.Standing = cluster.InSync
		}
		v.Copies = append(v.Copies, c)
	}
	return v
}

func hello(counter uint64) Message {
	return Message{Type: Hello, Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: counter}, Protocol: ProtocolVersion, Volume: testID, From: 1, To: 2, Size: 64 << 10, BlockSize: 512, ExtentSize: 4096, Slots: 4}
}

func want(t *testing.T, got []MessageType, want ...MessageType) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("sent %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("sent %v, want %v", got, want)
		}
	}
}

func TestTargetRefusesAStaleEpoch(t *testing.T) {
	x := open(t, 2, Super{Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: 5}})
	x.step(View{Applied: 1, Volume: document(5, 1, 1, 2)})
	x.step(LinkUp{Peer: 1, Link: 7, Incoming: true})
	x.step(Received{Link: 7, Message: hello(4)})
	if s := x.got.Send; len(s) != 1 || s[0].Message.Type != Refuse || s[0].Message.Code != StaleEpoch || s[0].Message.Epoch.Counter != 5 {
		t.Fatalf("%+v", s)
	}
}

// A message under another epoch than the session's says nothing, on whatever
// link it comes.
func TestSessionTakesNoOtherEpoch(t *testing.T) {
	x := open(t, 2, Super{Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: 6}})
	x.step(View{Applied: 1, Volume: document(6, 1, 1, 2)})
	x.step(Received{Link: 7, Message: hello(6)})
	want(t, x.sent(), Welcome, MarksOf)
	for _, e := range []cluster.VolumeEpoch{{Lineage: 1, Counter: 5}, {Lineage: 1, Counter: 7}, {Lineage: 2, Counter: 6}} {
		x.step(Received{Link: 7, Message: Message{Type: Ping, Epoch: e}})
		want(t, x.sent())
	}
	x.step(Received{Link: 7, Message: Message{Type: Ping, Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: 6}}})
	want(t, x.sent(), Pong)
}

func TestEpochIsDurableBeforeTheWelcome(t *testing.T) {
	x := open(t, 2, Super{Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: 5}})
	x.step(View{Applied: 1, Volume: document(6, 1, 1, 2)})
	x.hold = true
	x.step(Received{Link: 7, Message: hello(6)})
	want(t, x.sent())
	x.hold = false
	for _, token := range x.held {
		x.step(Done{Token: token})
	}
	want(t, x.sent(), Welcome, MarksOf)
}

func TestHelloForAnotherVolumeOrForm(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Message)
		code   Code
	}{
		"volume":   {func(m *Message) { m.Volume = "x" }, OtherVolume},
		"copy":     {func(m *Message) { m.To = 3 }, OtherVolume},
		"size":     {func(m *Message) { m.Size = 32 << 10 }, OtherForm},
		"protocol": {func(m *Message) { m.Protocol++ }, OtherProtocol},
	} {
		x := open(t, 2, Super{Epoch: cluster.VolumeEpoch{Lineage: 1, Counter: 1}})
		x.step(View{Applied: 1, Volume: document(1, 1, 1, 2)})
		msg := hello(1)
		c.change(&msg)
		x.step(Received{Link: 7, Message: msg})
		if s := x.got.Send; len(s) != 1 || s[0].Message.Type != Refuse || s[0].Message.Code != c.code {
			t.Errorf("%s: %+v", name, s)
		}
	}
}

// serving is copy 1 as source under epoch 1.1, alone in the set.
func serving(t *testing.T) *table {
	x := open(t, 1, Super{Epoch: cluster.VolumeEpoch{Lineage: 1}})
	x.step(View{Applied: 1, Volume: document(0, 0, 1)})
	x.step(Acquire{Generation: 1})
	if len(x.got.Propose) != 1 || x.got.Propose[0].AcquireVolume == nil {
		t.Fatalf("proposed %+v", x.got.Propose)
	}
	x.step(View{Applied: 2, Volume: document(1, 1, 1)})
	if x.m.Role() != Source {
		t.Fatalf("role %s: %s", x.m.Role(), x.m.Why())
	}
	return x
}

func TestNothingIsServedWithoutALease(t *testing.T) {
	x := serving(t)
	x.step(Submit{Request{ID: 1, Kind: Write, Offset: 0, Length: 512}})
	x.step(Submit{Request{ID: 2, Kind: Read, Offset: 4096, Length: 512}})
	if len(x.got.Reply) != 0 {
		t.Fatalf("answered without a lease: %+v", x.got.Reply)
	}
	x.step(Lease{Until: time.Second})
	if len(x.got.Reply) != 2 {
		t.Fatalf("with a lease: %+v, %s", x.got.Reply, x.m.Under())
	}
	x.now = x.now.Add(2 * time.Second)
	x.step(Submit{Request{ID: 3, Kind: Read, Offset: 0, Length: 512}})
	if len(x.got.Reply) != 2 {
		t.Fatalf("answered after the lease: %+v", x.got.Reply)
	}
}

func TestReplacedSourceNeverAcknowledges(t *testing.T) {
	x := serving(t)
	x.step(Submit{Request{ID: 1, Kind: Write, Offset: 0, Length: 512}})
	x.step(View{Applied: 3, Volume: document(2, 2, 2)})
	x.step(Lease{Until: time.Second})
	if x.m.Role() != Idle || len(x.got.Reply) != 1 || x.got.Reply[0].Error != Shutdown {
		t.Fatalf("role %s, replies %+v", x.m.Role(), x.got.Reply)
	}
}

func TestRequestsOutsideTheVolume(t *testing.T) {
	x := serving(t)
	x.step(Lease{Until: time.Second})
	for i, r := range []Request{{Kind: Write, Offset: -512, Length: 512}, {Kind: Write, Offset: 64 << 10, Length: 512}, {Kind: Read, Offset: 0, Length: 0},
		{Kind: Read, Offset: 1 << 62, Length: 1 << 62}, {Kind: 9, Offset: 0, Length: 512}} {
		r.ID = uint64(i + 1)
		x.step(Submit{r})
		if l := len(x.got.Reply); l != i+1 || x.got.Reply[i].Error != Invalid {
			t.Errorf("%+v: %+v", r, x.got.Reply)
		}
	}
}
