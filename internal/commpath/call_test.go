package commpath

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

func TestCall(t *testing.T) {
	d := newDuo(t, nil, "lan", "san")
	d.introduce(t)
	if _, err := d.eps[0].Call(t.Context(), 2, nil); err == nil {
		t.Error("answered without a handler")
	}
	release, stopped := make(chan struct{}), make(chan struct{})
	d.eps[1].SetCallHandler(func(ctx context.Context, from cluster.NodeID, request []byte) ([]byte, error) {
		switch string(request) {
		case "fail":
			return nil, message.New(message.PathSilent, 7)
		case "slow":
			<-release
		case "forever":
			<-ctx.Done()
			close(stopped)
			return nil, ctx.Err()
		case "large":
			return make([]byte, MaxMessage+1), nil
		}
		return fmt.Appendf(nil, "%v: %s", from, request), nil
	})
	answer, err := d.eps[0].Call(t.Context(), 2, []byte("hello"))
	if err != nil || string(answer) != "n1: hello" {
		t.Fatalf("%q, %v", answer, err)
	}
	_, err = d.eps[0].Call(t.Context(), 2, []byte("fail"))
	if m, ok := message.From(err); !ok || m.Code() != message.PathSilent || m.Localize(message.English).Text != "no answer from node 7 on any comm path" {
		t.Errorf("the error lost its message: %v", err)
	}
	if _, err = d.eps[0].Call(t.Context(), 2, []byte("large")); err == nil || errors.Is(err, ErrUnanswered) {
		t.Errorf("large answer: %v", err)
	}
	if _, err = d.eps[0].Call(t.Context(), 9, nil); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("unknown: %v", err)
	}

	// Longer than a node may be silent.
	time.AfterFunc(1200*time.Millisecond, func() { close(release) })
	if answer, err = d.eps[0].Call(t.Context(), 2, []byte("slow")); err != nil || string(answer) != "n1: slow" {
		t.Errorf("slow: %q, %v", answer, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err = d.eps[0].Call(ctx, 2, []byte("forever")); !errors.Is(err, ErrUnanswered) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("forever: %v", err)
	}
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		t.Error("the handler wasn't told that the caller gave up")
	}

	// One path's TCP is dead: the call takes the other.
	d.tcp.set(d.paths[0][0].Address.Addr(), true)
	if answer, err = d.eps[0].Call(t.Context(), 2, []byte("again")); err != nil || string(answer) != "n1: again" {
		t.Errorf("other path: %q, %v", answer, err)
	}
}

func joinTarget(d *duo, addresses ...string) JoinTarget {
	return JoinTarget{ClusterID: "blue", Addresses: addresses, TLS: pki.PinConfig("blue", pki.Pin(d.ca.Cert), nil), Build: "1.0"}
}

func code(err error) string {
	if m, ok := message.From(err); ok {
		return m.Code()
	}
	return ""
}

func TestJoin(t *testing.T) {
	d := newDuo(t, nil, "lan")
	at := d.paths[0][0].Address.String()
	nobody := netip.AddrPortFrom(d.paths[0][0].Address.Addr(), freePort(t, "127.0.0.1")).String()

	_, err := JoinCall(t.Context(), joinTarget(d, at), nil)
	if code(err) != message.JoinNotHere {
		t.Errorf("without a handler: %v", err)
	}
	d.eps[0].SetJoinHandler(func(_ context.Context, request []byte, from netip.AddrPort) ([]byte, error) {
		if string(request) == "wrong token" {
			return nil, message.New(message.TokenDamaged)
		}
		return append([]byte("welcome "), request...), nil
	})
	answer, err := JoinCall(t.Context(), joinTarget(d, nobody, at), []byte("web-3"))
	if err != nil || string(answer) != "welcome web-3" {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err = JoinCall(t.Context(), joinTarget(d, at, nobody), []byte("wrong token")); code(err) != message.TokenDamaged {
		t.Errorf("refused: %v", err)
	}
	if _, err = JoinCall(t.Context(), joinTarget(d, nobody, "127.0.0.1:1"), nil); code(err) != message.JoinUnreachable || !strings.Contains(err.Error(), "refused") {
		t.Errorf("unreachable: %v", err)
	}
	other := authority(t)
	wrong := joinTarget(d, nobody, at)
	wrong.TLS = pki.PinConfig("blue", pki.Pin(other.Cert), nil)
	if _, err = JoinCall(t.Context(), wrong, nil); code(err) != message.PinMismatch {
		t.Errorf("wrong pin: %v", err)
	}
	red := joinTarget(d, at)
	red.ClusterID = "red"
	if _, err = JoinCall(t.Context(), red, nil); code(err) != message.JoinNoCluster {
		t.Errorf("other cluster: %v", err)
	}
	if _, err = JoinCall(t.Context(), joinTarget(d, at), make([]byte, MaxJoin+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for i := 0; ; i++ {
		if _, err = JoinCall(t.Context(), joinTarget(d, at), []byte("guess")); err != nil {
			break
		}
		if i > 2*joinBurst {
			t.Fatal("guessing isn't limited")
		}
	}
	if code(err) != message.JoinTooOften {
		t.Errorf("too often: %v", err)
	}
}

// TestJoinVersion: a joiner of another release is told.
func TestJoinVersion(t *testing.T) {
	d := newDuo(t, func(cfg *EndpointConfig) { cfg.protocols = [2]int{7, 8} }, "lan")
	_, err := JoinCall(t.Context(), joinTarget(d, d.paths[1][0].Address.String()), nil)
	if _, ok := errors.AsType[*VersionError](err); !ok || code(err) != message.ProtocolMismatch {
		t.Errorf("got %v", err)
	}
}
