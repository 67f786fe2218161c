package echo

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"
)

func TestPing(t *testing.T) {
	if runtime.GOOS == "linux" && os.Geteuid() != 0 {
		t.Skip("skipped: raw sockets need root")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, to := range []string{"127.0.0.1", "::1", "::ffff:127.0.0.1"} {
		if _, err := Ping(ctx, netip.Addr{}, netip.MustParseAddr(to)); err != nil {
			if to == "::1" && !has6() {
				t.Log("no IPv6 here")
				continue
			}
			t.Errorf("%s: %v", to, err)
		}
	}
	if _, err := Ping(ctx, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Errorf("from an address of its own: %v", err)
	}
	// Nobody is there: TEST-NET-1, from the loopback device.
	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := Ping(short, netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")); err == nil {
		t.Error("nobody answered, and it counted as an answer")
	}
}

func has6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

func TestKnock(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	if err := Knock(t.Context(), netip.Addr{}, at); err != nil {
		t.Errorf("an open port: %v", err)
	}
	_ = l.Close()
	if err := Knock(t.Context(), netip.MustParseAddr("127.0.0.1"), at); err != nil {
		t.Errorf("a refusal is an answer: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Knock(ctx, netip.Addr{}, at); err == nil {
		t.Error("no answer counted as one")
	}
}
