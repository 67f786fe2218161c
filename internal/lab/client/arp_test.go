package client

import (
	"net"
	"net/netip"
	"testing"
)

func TestARP(t *testing.T) {
	node, lab := net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 9}
	vip, mine := netip.MustParseAddr("10.77.0.100"), netip.MustParseAddr("10.77.0.211")
	request := ARPRequest(node, lab, mine, vip)
	if _, ok, err := ParseARP(request); ok || err != nil {
		t.Errorf("a request is taken as a claim: %v %v", ok, err)
	}
	// A node's reply swaps the two sides.
	reply := ARPRequest(lab, node, vip, mine)
	reply[21] = arpReply
	claim, ok, err := ParseARP(reply)
	if err != nil || !ok || claim.Addr != vip || claim.MAC.String() != node.String() || claim.Announced {
		t.Errorf("reply: %+v %v %v", claim, ok, err)
	}
	announced := ARPRequest(net.HardwareAddr{255, 255, 255, 255, 255, 255}, node, vip, vip)
	if claim, ok, err := ParseARP(announced); err != nil || !ok || !claim.Announced {
		t.Errorf("announcement: %+v %v %v", claim, ok, err)
	}
	if _, _, err := ParseARP(reply[:41]); err == nil {
		t.Error("a short frame is taken")
	}
}

func FuzzParseARP(f *testing.F) {
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	f.Add(ARPRequest(mac, mac, netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		if claim, ok, err := ParseARP(frame); err != nil && (ok || claim.MAC != nil) {
			t.Errorf("an error comes with a claim: %+v", claim)
		}
	})
}
