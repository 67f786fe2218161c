package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// CredentialsConfig is what a node needs to prove itself and to verify others.
type CredentialsConfig struct {
	CA   *x509.Certificate
	Leaf *Leaf
	// Now reads the wall clock; nil is time.Now.
	Now func() time.Time
	// ClockDoubt is told of certificates that were accepted although the clock
	// is outside their validity, once an hour for each node. It may be nil, and
	// must not block.
	ClockDoubt func(ClockDoubt)
}

// Credentials are a node's identity in TLS. Configurations made by it follow a
// renewal without being made again.
type Credentials struct {
	ca    *x509.Certificate
	roots *x509.CertPool
	now   func() time.Time
	warn  func(ClockDoubt)
	leaf  atomic.Pointer[tls.Certificate]
	self  Identity

	mu     sync.Mutex
	warned map[cluster.NodeID]time.Time
}

// NewCredentials checks that the leaf is the CA's own.
func NewCredentials(cfg CredentialsConfig) (*Credentials, error) {
	c := &Credentials{
		ca: cfg.CA, now: cfg.Now, warn: cfg.ClockDoubt, self: cfg.Leaf.Identity,
		roots: x509.NewCertPool(), warned: make(map[cluster.NodeID]time.Time),
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.roots.AddCert(cfg.CA)
	if err := c.Renew(cfg.Leaf); err != nil {
		return nil, err
	}
	return c, nil
}

// Self is who this node is.
func (c *Credentials) Self() Identity { return c.self }

// CA is the cluster's CA certificate.
func (c *Credentials) CA() *x509.Certificate { return c.ca }

// Renew puts a new leaf of the same node in place; connections made from now on
// use it.
func (c *Credentials) Renew(l *Leaf) error {
	if l.Identity.Cluster != c.self.Cluster || l.Identity.Node != c.self.Node {
		return fmt.Errorf("renew the certificate of %s: the new one is of %s", c.self, l.Identity)
	}
	if _, err := c.verify(l.Cert); err != nil {
		return err
	}
	// The CA goes along so that a joiner, who knows only its hash, can verify.
	c.leaf.Store(&tls.Certificate{
		Certificate: [][]byte{l.Cert.Raw, c.ca.Raw},
		PrivateKey:  l.key,
		Leaf:        l.Cert,
	})
	return nil
}

// PeerConfig is for both ends of a connection between two nodes: each shows its
// certificate and verifies the other's. The caller sets the protocols, and asks
// [Credentials.NodeOf] who the other is.
func (c *Credentials) PeerConfig() *tls.Config {
	t := c.base()
	t.ClientAuth = tls.RequireAnyClientCert
	// Go's own verification goes by host name and wall clock; ours goes by
	// identity and clock.go, and runs on every handshake on both sides.
	t.InsecureSkipVerify = true
	t.VerifyConnection = func(cs tls.ConnectionState) error {
		_, err := c.Verify(cs)
		return err
	}
	return t
}

// JoinConfig is for a server whose client has no certificate yet. The client
// verifies the server by [PinConfig].
func (c *Credentials) JoinConfig() *tls.Config { return c.base() }

func (c *Credentials) base() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// A resumed session would not show a certificate.
		SessionTicketsDisabled: true,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.leaf.Load(), nil
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return c.leaf.Load(), nil
		},
	}
}

// Verify says who the other end of a connection is. It fails unless that end
// proved to be a node of this cluster.
func (c *Credentials) Verify(cs tls.ConnectionState) (Identity, error) {
	if len(cs.PeerCertificates) == 0 {
		return Identity{}, message.New(message.CertificateForeign, c.self.Cluster).
			Wrap(errors.New("no certificate was shown"))
	}
	return c.verify(cs.PeerCertificates[0])
}

// NodeOf is [Credentials.Verify] for callers that need the node's id only.
func (c *Credentials) NodeOf(cs tls.ConnectionState) (cluster.NodeID, error) {
	id, err := c.Verify(cs)
	return id.Node, err
}

func (c *Credentials) verify(cert *x509.Certificate) (Identity, error) {
	now := c.now()
	id, err := verifyNode(c.ca, c.roots, cert, c.self.Cluster, now)
	if err != nil {
		return Identity{}, err
	}
	if at := verifyTime(c.ca, cert, now); !at.Equal(now) {
		c.doubt(ClockDoubt{Identity: id, Now: now, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter})
	}
	return id, nil
}

func (c *Credentials) doubt(d ClockDoubt) {
	if c.warn == nil {
		return
	}
	at := time.Now() // monotonic, unlike c.now
	c.mu.Lock()
	last, told := c.warned[d.Identity.Node]
	due := !told || at.Sub(last) >= time.Hour
	if due {
		c.warned[d.Identity.Node] = at
	}
	c.mu.Unlock()
	if due {
		c.warn(d)
	}
}

// verifyNode checks that the CA issued cert for a node of the cluster.
func verifyNode(ca *x509.Certificate, roots *x509.CertPool, cert *x509.Certificate, clusterID string, now time.Time) (Identity, error) {
	_, err := cert.Verify(x509.VerifyOptions{
		Roots:       roots,
		CurrentTime: verifyTime(ca, cert, now),
		KeyUsages:   []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return Identity{}, message.New(message.CertificateForeign, clusterID).Wrap(err)
	}
	id, err := identityOf(cert)
	if err != nil {
		return Identity{}, message.New(message.CertificateForeign, clusterID).Wrap(err)
	}
	if id.Cluster != clusterID {
		return Identity{}, message.New(message.CertificateForeign, clusterID).
			Wrap(fmt.Errorf("it is of cluster %s", id.Cluster))
	}
	return id, nil
}
