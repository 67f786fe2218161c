package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"time"
)

// Leaf is a node's certificate with its private key.
type Leaf struct {
	Identity Identity
	Cert     *x509.Certificate
	key      crypto.Signer
}

// NewLeaf puts a certificate and its key together.
func NewLeaf(cert *x509.Certificate, key crypto.Signer) (*Leaf, error) {
	id, err := identityOf(cert)
	if err != nil {
		return nil, err
	}
	if !matches(cert, key) {
		return nil, fmt.Errorf("certificate of %s is for another key", id)
	}
	return &Leaf{Identity: id, Cert: cert, key: key}, nil
}

// matches reports whether a certificate is for a private key.
func matches(cert *x509.Certificate, key crypto.Signer) bool {
	public, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}

// NewRequest makes a new private key and the signing request for it. The key
// never leaves the node.
func NewRequest(name string) (key crypto.Signer, request []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make the key of %s: %w", name, err)
	}
	t := &x509.CertificateRequest{Subject: pkix.Name{CommonName: name}}
	request, err = x509.CreateCertificateRequest(rand.Reader, t, k)
	if err != nil {
		return nil, nil, fmt.Errorf("make the signing request of %s: %w", name, err)
	}
	return k, request, nil
}

// RenewDue reports whether the certificate should be replaced: a third or less
// of its life remains.
//
// With a wall clock that is years ahead it is always true, also for the
// certificate just issued, so ask no more than once an hour. A clock that is
// behind never makes it true: the new certificate would be no better.
func (l *Leaf) RenewDue(now time.Time) bool {
	life := l.Cert.NotAfter.Sub(l.Cert.NotBefore) - backdate
	return l.Cert.NotAfter.Sub(now) <= life/3
}
