package client

import (
	"net"
	"net/netip"
	"testing"
)

func TestNDRequestIsNoClaim(t *testing.T) {
	sender, target := netip.MustParseAddr("fd00::83"), netip.MustParseAddr("fd00::64")
	to, from := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
	frame := NDRequest(to, from, sender, target)
	if _, ok, err := ParseND(frame); ok || err != nil {
		t.Errorf("a question is a claim: %v, %v", ok, err)
	}
	body := frame[14+40:]
	sum := uint16(body[2])<<8 | uint16(body[3])
	body[2], body[3] = 0, 0
	if got := icmpSum(sender, target, body); got != sum {
		t.Errorf("checksum %x, want %x", sum, got)
	}
	// The answer to it.
	body[0], body[4] = ndAdvertise, ndSolicited|0x20
	copy(frame[6:12], to)
	claim, ok, err := ParseND(frame)
	if !ok || err != nil || claim.Addr != target || claim.MAC.String() != to.String() || claim.Announced {
		t.Errorf("claim %+v, %v, %v", claim, ok, err)
	}
	body[4] = 0x20
	if claim, _, _ := ParseND(frame); !claim.Announced {
		t.Error("nobody asked, and that isn't seen")
	}
}

// FuzzParseND: whatever comes, it is read or refused.
func FuzzParseND(f *testing.F) {
	f.Add(NDRequest(net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}, netip.MustParseAddr("fd00::83"), netip.MustParseAddr("fd00::64")))
	f.Fuzz(func(t *testing.T, frame []byte) {
		if claim, ok, err := ParseND(frame); ok && (err != nil || !claim.Addr.IsValid() || len(claim.MAC) != 6) {
			t.Errorf("%x: %+v, %v", frame, claim, err)
		}
	})
}
