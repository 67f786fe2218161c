package ip

import (
	"bytes"
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
)

var (
	mac1 = net.HardwareAddr{2, 0, 0, 0, 0, 1}
	mac2 = net.HardwareAddr{2, 0, 0, 0, 0, 2}
	v4   = netip.MustParseAddr("192.0.2.10")
	v6   = netip.MustParseAddr("2001:db8::12:3456")
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The vectors are laid out as in the RFCs: Ethernet header, packet, padding.
func TestFrameVectors(t *testing.T) {
	pad := strings.Repeat("00", 18)
	announce := arpAnnounce(mac1, v4)
	for _, c := range []struct {
		name string
		got  []byte
		want string
	}{
		{"probe", arpProbe(mac1, v4),
			"ffffffffffff 020000000001 0806  0001 0800 06 04 0001 020000000001 00000000 000000000000 c000020a" + pad},
		{"announcement as request", announce[0],
			"ffffffffffff 020000000001 0806  0001 0800 06 04 0001 020000000001 c000020a 000000000000 c000020a" + pad},
		{"announcement as reply", announce[1],
			"ffffffffffff 020000000001 0806  0001 0800 06 04 0002 020000000001 c000020a ffffffffffff c000020a" + pad},
		{"request", arpRequest(mac1, v4, netip.MustParseAddr("192.0.2.1")),
			"ffffffffffff 020000000001 0806  0001 0800 06 04 0001 020000000001 c000020a 000000000000 c0000201" + pad},
		{"solicitation as probe", ndpProbe(mac1, v6),
			"3333ff123456 020000000001 86dd  60000000 0018 3a ff 00000000000000000000000000000000 ff0200000000000000000001ff123456" +
				" 87 00 e41e 00000000 20010db8000000000000000000123456"},
		{"advertisement", ndpAnnounce(mac1, v6, false)[0],
			"333300000001 020000000001 86dd  60000000 0020 3a ff 20010db8000000000000000000123456 ff020000000000000000000000000001" +
				" 88 00 905c 20000000 20010db8000000000000000000123456 0201 020000000001"},
		{"advertisement of a router", ndpAnnounce(mac1, v6, true)[0],
			"333300000001 020000000001 86dd  60000000 0020 3a ff 20010db8000000000000000000123456 ff020000000000000000000000000001" +
				" 88 00 105c a0000000 20010db8000000000000000000123456 0201 020000000001"},
	} {
		if want := unhex(t, c.want); !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n got %x\nwant %x", c.name, c.got, want)
		}
	}
}

func TestClaimant(t *testing.T) {
	theirs4 := arp{Reply: true, SenderMAC: mac2, Sender: v4, TargetMAC: mac1, Target: v4}.encode(mac1)
	theirs6 := ndpAnnounce(mac2, v6, false)[0]
	own := []net.HardwareAddr{mac1}
	broken := bytes.Clone(theirs6)
	broken[60] ^= 1
	far := bytes.Clone(theirs6)
	far[21] = 254 // hop limit: it came through a router
	for _, c := range []struct {
		name   string
		frame  []byte
		addr   netip.Addr
		asking bool
		want   net.HardwareAddr
	}{
		{"another's reply", theirs4, v4, false, mac2},
		{"another's announcement", arpAnnounce(mac2, v4)[0], v4, false, mac2},
		{"our own announcement", arpAnnounce(mac1, v4)[0], v4, false, nil},
		{"another asks for us", arpRequest(mac2, netip.MustParseAddr("192.0.2.9"), v4), v4, true, nil},
		{"another probes while we serve", arpProbe(mac2, v4), v4, false, nil},
		{"another probes while we probe", arpProbe(mac2, v4), v4, true, mac2},
		{"another address", arpAnnounce(mac2, netip.MustParseAddr("192.0.2.11"))[0], v4, true, nil},
		{"another's advertisement", theirs6, v6, false, mac2},
		{"our own advertisement", ndpAnnounce(mac1, v6, false)[0], v6, false, nil},
		{"another's solicitation while we serve", ndpProbe(mac2, v6), v6, false, nil},
		{"another's probe while we probe", ndpProbe(mac2, v6), v6, true, mac2},
		{"another asks for us", ndpRequest(mac2, netip.MustParseAddr("2001:db8::9"), v6), v6, true, nil},
		{"wrong checksum", broken, v6, false, nil},
		{"through a router", far, v6, false, nil},
		{"cut short", theirs4[:41], v4, false, nil},
		{"nothing", nil, v4, false, nil},
	} {
		if got := claimant(c.frame, c.addr, own, c.asking); !bytes.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func FuzzDecodeARP(f *testing.F) {
	f.Add(arpProbe(mac1, v4))
	f.Add(arpAnnounce(mac1, v4)[1])
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeARP(b)
		if err != nil {
			return
		}
		again, err := decodeARP(a.encode(broadcast))
		if err != nil || again.Sender != a.Sender || again.Target != a.Target || again.Reply != a.Reply ||
			!bytes.Equal(again.SenderMAC, a.SenderMAC) || !bytes.Equal(again.TargetMAC, a.TargetMAC) {
			t.Errorf("%+v became %+v (%v)", a, again, err)
		}
	})
}

func FuzzDecodeNDP(f *testing.F) {
	f.Add(ndpProbe(mac1, v6))
	f.Add(ndpRequest(mac1, v6, netip.MustParseAddr("fe80::1")))
	f.Add(ndpAnnounce(mac1, v6, true)[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := decodeNDP(b)
		if err != nil {
			return
		}
		again, err := decodeNDP(n.encode(broadcast))
		if err != nil || again.Target != n.Target || again.From != n.From || again.Type != n.Type || again.Flags != n.Flags ||
			!bytes.Equal(again.MAC, n.MAC) {
			t.Errorf("%+v became %+v (%v)", n, again, err)
		}
	})
}
