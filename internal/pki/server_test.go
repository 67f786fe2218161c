package pki

import (
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"
)

// shake has a client and a server meet and returns what the client says.
func shake(t *testing.T, server, client *tls.Config) error {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = tls.Server(a, server).HandshakeContext(t.Context())
		_ = a.Close()
	}()
	err := tls.Client(b, client).HandshakeContext(t.Context())
	_ = b.Close()
	<-done
	return err
}

// TestServer: a token's pin lets in the API of its own cluster's nodes alone,
// whatever the clock says; and the certificate is good for other programs.
func TestServer(t *testing.T) {
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	ca, err := NewAuthority("one", now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAuthority("one", now)
	if err != nil {
		t.Fatal(err)
	}
	id := Identity{Cluster: "one", Node: 1, Name: "n1"}
	s, err := ca.IssueServer(id, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, now)
	if err != nil {
		t.Fatal(err)
	}
	server := ServerConfig(func() *Server { return s })
	if err := shake(t, server, ClientConfig(Pin(ca.Cert), nil)); err != nil {
		t.Errorf("the right pin: %v", err)
	}
	if err := shake(t, server, ClientConfigCA(ca.Cert, func() time.Time { return now.AddDate(-30, 0, 0) })); err != nil {
		t.Errorf("a client whose clock is wrong: %v", err)
	}
	if err := shake(t, server, ClientConfig(Pin(other.Cert), nil)); err == nil {
		t.Error("the pin of another CA was satisfied")
	}
	// A witness has a certificate of the same CA.
	if _, err := ca.Issue(Identity{Cluster: "one", Node: 2, Name: apiName}, now); err == nil {
		t.Error("a node was given the API's name")
	}
	leaf, err := ca.Issue(Identity{Cluster: "one", Node: 2, Name: "w1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	witness := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Cert.Raw, ca.Cert.Raw}, PrivateKey: leaf.key}}}
	if err := shake(t, witness, ClientConfig(Pin(ca.Cert), nil)); err == nil {
		t.Error("a node's own certificate passes for an API's")
	}
	if s.RenewDue(now) || !s.RenewDue(now.Add(leafLife*2/3)) {
		t.Error("renewal is due at the wrong time")
	}
}
