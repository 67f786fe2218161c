package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

var today = time.Date(2026, 3, 14, 9, 0, 0, 0, time.UTC)

func newAuthority(t *testing.T, id string) *Authority {
	t.Helper()
	a, err := NewAuthority(id, today)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newLeaf(t *testing.T, a *Authority, node cluster.NodeID, now time.Time) *Leaf {
	t.Helper()
	l, err := a.Issue(Identity{Cluster: a.Cluster, Node: node, Name: "web-" + node.String()}, now)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func newCredentials(t *testing.T, a *Authority, l *Leaf, now time.Time, doubt func(ClockDoubt)) *Credentials {
	t.Helper()
	c, err := NewCredentials(CredentialsConfig{
		CA: a.Cert, Leaf: l, Now: func() time.Time { return now }, ClockDoubt: doubt,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// handshake returns what each side's handshake returned, and their states.
func handshake(t *testing.T, server, client *tls.Config) (atServer, atClient tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	s, c := tls.Server(a, server), tls.Client(b, client)
	done := make(chan struct{})
	go func() {
		defer close(done)
		serverErr = s.Handshake()
		if serverErr != nil {
			a.Close()
		} else {
			s.Write([]byte{1})
		}
	}()
	clientErr = c.Handshake()
	if clientErr == nil {
		// In TLS 1.3 the server's verdict on the client comes afterwards.
		var one [1]byte
		_, clientErr = c.Read(one[:])
	}
	b.Close()
	<-done
	return s.ConnectionState(), c.ConnectionState(), serverErr, clientErr
}

func TestMutual(t *testing.T) {
	a := newAuthority(t, "blue")
	one := newCredentials(t, a, newLeaf(t, a, 1, today), today, nil)
	two := newCredentials(t, a, newLeaf(t, a, 2, today), today, nil)
	s, c, serr, cerr := handshake(t, one.PeerConfig(), two.PeerConfig())
	if serr != nil || cerr != nil {
		t.Fatalf("server %v, client %v", serr, cerr)
	}
	if id, err := one.NodeOf(s); id != 2 || err != nil {
		t.Errorf("server sees node %v, %v", id, err)
	}
	if id, err := two.NodeOf(c); id != 1 || err != nil {
		t.Errorf("client sees node %v, %v", id, err)
	}
	if s.Version != tls.VersionTLS13 {
		t.Errorf("TLS version %x", s.Version)
	}
}

func TestForeignCertificates(t *testing.T) {
	blue, twin := newAuthority(t, "blue"), newAuthority(t, "blue")
	one := newCredentials(t, blue, newLeaf(t, blue, 1, today), today, nil)
	two := newCredentials(t, blue, newLeaf(t, blue, 2, today), today, nil)

	t.Run("same name, other CA", func(t *testing.T) {
		other := newCredentials(t, twin, newLeaf(t, twin, 2, today), today, nil)
		_, _, serr, cerr := handshake(t, one.PeerConfig(), other.PeerConfig())
		if !says(cerr, message.CertificateForeign) || serr == nil {
			t.Errorf("server %v, client %v", serr, cerr)
		}
	})
	t.Run("client without certificate", func(t *testing.T) {
		_, _, serr, cerr := handshake(t, one.PeerConfig(), PinConfig("blue", Pin(blue.Cert), nil))
		if serr == nil || cerr == nil {
			t.Errorf("server %v, client %v", serr, cerr)
		}
	})
	t.Run("server of another CA", func(t *testing.T) {
		other := newCredentials(t, twin, newLeaf(t, twin, 1, today), today, nil)
		_, _, _, cerr := handshake(t, other.PeerConfig(), two.PeerConfig())
		if !says(cerr, message.CertificateForeign) {
			t.Errorf("client %v", cerr)
		}
	})
	t.Run("the CA's own certificate is nobody", func(t *testing.T) {
		if _, err := one.verify(blue.Cert); !says(err, message.CertificateForeign) {
			t.Errorf("verify: %v", err)
		}
	})
	t.Run("signed by a leaf", func(t *testing.T) {
		l := newLeaf(t, blue, 3, today)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		forged := &x509.Certificate{
			SerialNumber: big.NewInt(5), NotBefore: today, NotAfter: today.Add(time.Hour),
			URIs: []*url.URL{{Scheme: scheme, Host: "blue", Path: "/node/1"}},
		}
		der, err := x509.CreateCertificate(rand.Reader, forged, l.Cert, key.Public(), l.key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.verify(cert); err == nil {
			t.Error("accepted")
		}
	})
}

// TestClockSteps is the policy of clock.go: a wall clock is never a reason to
// refuse, always a reason to say so.
func TestClockSteps(t *testing.T) {
	a := newAuthority(t, "blue")
	leaf := newLeaf(t, a, 2, today)
	for _, tt := range []struct {
		name  string
		now   time.Time
		doubt bool
	}{
		{"right", today, false},
		{"six days behind", today.AddDate(0, 0, -6), false},
		{"a month behind", today.AddDate(0, -1, 0), true},
		{"no battery", time.Unix(0, 0), true},
		{"last day", today.AddDate(0, 0, 29), false},
		{"renewal failed", today.AddDate(0, 0, 31), true},
		{"broken time server", today.AddDate(73, 0, 0), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var doubts []ClockDoubt
			c := newCredentials(t, a, newLeaf(t, a, 1, tt.now), tt.now, nil)
			c.warn = func(d ClockDoubt) { doubts = append(doubts, d) }
			for range 3 {
				id, err := c.verify(leaf.Cert)
				if err != nil || id.Node != 2 {
					t.Fatalf("verify: %v, %v", id, err)
				}
			}
			want := 0
			if tt.doubt {
				want = 1
			}
			if len(doubts) != want {
				t.Errorf("%d doubts, want %d", len(doubts), want)
			}
			for _, d := range doubts {
				if d.Identity.Node != 2 || d.Message().Code() != message.ClockOutsideCertificate {
					t.Errorf("doubt %+v", d)
				}
			}
		})
	}
}

func TestRenewal(t *testing.T) {
	a := newAuthority(t, "blue")
	l := newLeaf(t, a, 1, today)
	for _, tt := range []struct {
		after time.Duration
		due   bool
	}{
		{-400 * 24 * time.Hour, false},
		{0, false},
		{20*24*time.Hour - time.Second, false},
		{20 * 24 * time.Hour, true},
		{31 * 24 * time.Hour, true},
	} {
		if got := l.RenewDue(today.Add(tt.after)); got != tt.due {
			t.Errorf("after %v: due %v, want %v", tt.after, got, tt.due)
		}
	}

	c := newCredentials(t, a, l, today, nil)
	cfg := c.PeerConfig()
	if err := c.Renew(newLeaf(t, a, 2, today)); err == nil {
		t.Error("took another node's certificate")
	}
	key, request, err := NewRequest("web-n1")
	if err != nil {
		t.Fatal(err)
	}
	cert, err := a.Sign(request, l.Identity, today.AddDate(0, 0, 20))
	if err != nil {
		t.Fatal(err)
	}
	next, err := NewLeaf(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Renew(next); err != nil {
		t.Fatal(err)
	}
	if got, err := cfg.GetCertificate(nil); err != nil || got.Leaf != cert {
		t.Errorf("an existing configuration shows the old certificate: %v", err)
	}
}

func TestSignRefuses(t *testing.T) {
	a := newAuthority(t, "blue")
	_, request, err := NewRequest("web")
	if err != nil {
		t.Fatal(err)
	}
	damaged := append([]byte(nil), request...)
	damaged[len(damaged)-1] ^= 1
	good := Identity{Cluster: "blue", Node: 1, Name: "web"}
	for _, tt := range []struct {
		name    string
		request []byte
		id      Identity
	}{
		{"damaged request", damaged, good},
		{"no request", nil, good},
		{"other cluster", request, Identity{"red", 1, "web"}},
		{"no node", request, Identity{"blue", 0, "web"}},
		{"no name", request, Identity{"blue", 1, ""}},
		{"name with a blank", request, Identity{"blue", 1, "a b"}},
	} {
		if _, err := a.Sign(tt.request, tt.id, today); err == nil {
			t.Errorf("%s: signed", tt.name)
		}
	}
	if _, err := NewAuthority("Blue_1", today); err == nil {
		t.Error("took a cluster id that is no host name")
	}
}

func TestPin(t *testing.T) {
	a, other := newAuthority(t, "blue"), newAuthority(t, "blue")
	c := newCredentials(t, a, newLeaf(t, a, 1, today), today, nil)
	for _, tt := range []struct {
		name    string
		cluster string
		pin     [32]byte
		code    string
	}{
		{"right", "blue", Pin(a.Cert), ""},
		{"other CA", "blue", Pin(other.Cert), message.PinMismatch},
		{"other cluster", "red", Pin(a.Cert), message.CertificateForeign},
		{"the leaf's pin", "blue", Pin(c.leaf.Load().Leaf), message.PinMismatch},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// A joiner's clock is set by nobody yet.
			cfg := PinConfig(tt.cluster, tt.pin, func() time.Time { return time.Unix(0, 0) })
			_, _, _, err := handshake(t, c.JoinConfig(), cfg)
			if tt.code == "" && err != nil || tt.code != "" && !says(err, tt.code) {
				t.Errorf("got %v, want %q", err, tt.code)
			}
		})
	}
	if _, err := ParseCA(a.Cert.Raw, Pin(a.Cert)); err != nil {
		t.Error(err)
	}
	if _, err := ParseCA(other.Cert.Raw, Pin(a.Cert)); err == nil {
		t.Error("took another CA")
	}
}

// TestIssuerClock: whatever the issuer's clock says, what it issues can be used.
func TestIssuerClock(t *testing.T) {
	a := newAuthority(t, "blue")
	for _, now := range []time.Time{time.Unix(0, 0), today, today.AddDate(19, 11, 20), today.AddDate(80, 0, 0)} {
		l := newLeaf(t, a, 2, now)
		if from, until := overlap(a.Cert, l.Cert); !from.Before(until) {
			t.Errorf("issued at %v: valid from %v to %v", now, from, until)
		}
		c := newCredentials(t, a, newLeaf(t, a, 1, today), today, nil)
		if _, err := c.verify(l.Cert); err != nil {
			t.Errorf("issued at %v: %v", now, err)
		}
	}
}

// says reports whether an error is the message of a code.
func says(err error, code string) bool {
	m, ok := message.From(err)
	return ok && m.Code() == code
}
