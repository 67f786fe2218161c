package guardian

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
)

// packets that cover all fields.
var samples = []packet{
	{kind: kindHello, ID: 1},
	{kind: kindRenew, Generation: 3, Until: 5 * time.Second, Gate: 4 * time.Second, StopAfter: time.Second},
	{kind: kindGuard, ID: 2, Hierarchy: "web", Epoch: 9, Cgroups: []string{"/g"},
		Addresses: []guard.Address{{Addr: netip.MustParseAddr("2001:db8::1"), Device: "eth0"}}},
	{kind: kindUnmanaged, ID: 3, On: true},
	{kind: kindVolumes, ID: 6, On: true},
	{kind: kindLease, Until: 7 * time.Second},
	{kind: kindReply, ID: 4, Reason: cluster.Because(message.GuardOldEpoch, "web", 1, 2)},
	{kind: kindReply, ID: 5, State: &State{State: guard.State{Session: "s", Guarded: []guard.Guarded{{Hierarchy: "web", Phase: guard.PhaseServing}}}, Gate: "none"}},
	{kind: kindNotice, Notice: &guard.Notice{Kind: guard.NoticeDoubt, Reason: cluster.Because(message.LeaseBackInTime)}},
}

func TestWireRoundTrip(t *testing.T) {
	for _, p := range samples {
		b, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := decode(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Errorf("%+v came back as %+v, %v", p, got, err)
		}
	}
}

func TestWireRefuses(t *testing.T) {
	big := packet{kind: kindGuard, Hierarchy: strings.Repeat("x", maxMessage)}
	if _, err := big.encode(); err == nil {
		t.Error("a message that is too long was written")
	}
	for name, b := range map[string][]byte{
		"nothing":       nil,
		"no kind":       {wireVersion},
		"unknown kind":  []byte("\x01\x7f{}"),
		"no JSON":       []byte("\x01\x01{"),
		"guard nothing": []byte("\x01\x04{}"),
		"no device":     []byte(`` + "\x01\x04" + `{"hierarchy":"a","addresses":[{"addr":"1.2.3.4","device":""}]}`),
		"mapped":        []byte(`` + "\x01\x04" + `{"hierarchy":"a","addresses":[{"addr":"::ffff:1.2.3.4","device":"e"}]}`),
		"empty notice":  []byte("\x01\x81{}"),
		"too long":      append([]byte("\x01\x01{}"), bytes.Repeat([]byte(" "), maxMessage)...),
	} {
		if _, err := decode(b); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if _, err := decode([]byte("\x02\x01{}")); !errors.Is(err, message.New(message.GuardianVersion)) {
		t.Errorf("another version: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, p := range samples {
		b, _ := p.encode()
		f.Add(b)
	}
	f.Add([]byte("\x01\x04{\"hierarchy\":\"a\",\"addresses\":[{}]}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decode(b)
		if err != nil {
			return
		}
		if p.kind < kindReply && p.event() == nil {
			t.Error("a request without an event")
		}
		again, err := p.encode()
		if err != nil {
			return // escapes may make it longer than is allowed
		}
		if q, err := decode(again); err != nil || q.kind != p.kind || q.ID != p.ID {
			t.Errorf("%+v can't be read again: %v", p, err)
		}
	})
}

func FuzzParseSaved(f *testing.F) {
	b, _ := json.Marshal(savedFile{savedVersion, "boot", guard.State{Session: "s", Unmanaged: true,
		Guarded: []guard.Guarded{{Hierarchy: "web", Phase: guard.PhaseServing, Addresses: []guard.Address{{Addr: netip.MustParseAddr("192.0.2.1"), Device: "eth0"}}}}}})
	f.Add(b)
	f.Add([]byte(`{"version":1,"boot":"boot","state":{"session":"s","guarded":[{}]}}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseSaved(b, "boot")
		if err != nil || s == nil {
			return
		}
		for _, g := range s.Guarded {
			if g.Hierarchy == "" {
				t.Error("a hierarchy without a name")
			}
		}
	})
}

func TestStreamKeepsBounds(t *testing.T) {
	var b bytes.Buffer
	s := &stream{r: &b, w: &b}
	for _, m := range []string{"one", "", "three"} {
		if err := s.Send([]byte(m)); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Receive(); err != nil || string(got) != m {
			t.Errorf("%q came as %q, %v", m, got, err)
		}
	}
	b.Write([]byte{255, 255, 255, 255})
	if _, err := s.Receive(); err == nil {
		t.Error("a length without a bound was believed")
	}
}
