package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net/url"
	"time"
)

const (
	// authorityLife is longer than the machines live: replacing the CA means
	// touching every node.
	authorityLife = 20 * 365 * 24 * time.Hour
	// leafLife is short so that renewal is exercised every three weeks and not
	// discovered broken after years.
	leafLife = 30 * 24 * time.Hour
	// backdate lets certificates be used at once where a clock is behind the
	// issuer's. Between nodes clock.go covers any difference; this is for
	// browsers and other programs that verify by themselves.
	backdate = 7 * 24 * time.Hour
)

// Authority is the cluster's CA with its private key.
type Authority struct {
	Cluster string
	Cert    *x509.Certificate
	key     crypto.Signer
}

// NewAuthority makes the CA of a new cluster. ECDSA P-256 rather than Ed25519,
// because browsers will see the leaves it signs.
func NewAuthority(clusterID string, now time.Time) (*Authority, error) {
	if err := CheckClusterID(clusterID); err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of cluster %s's CA: %w", clusterID, err)
	}
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "perdure cluster " + clusterID},
		URIs:                  []*url.URL{{Scheme: scheme, Host: clusterID}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make the CA of cluster %s: %w", clusterID, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the CA of cluster %s: %w", clusterID, err)
	}
	return &Authority{Cluster: clusterID, Cert: cert, key: key}, nil
}

// Pin is the SHA-256 of a CA certificate's public key: what a join token
// carries so that the joiner knows the right cluster.
func Pin(ca *x509.Certificate) [32]byte { return sha256.Sum256(ca.RawSubjectPublicKeyInfo) }

// Sign issues a certificate for the key of a signing request (see
// [NewRequest]). The request proves that its sender has the key; who the sender
// is must be known to the caller, names in the request are ignored.
func (a *Authority) Sign(request []byte, id Identity, now time.Time) (*x509.Certificate, error) {
	csr, err := x509.ParseCertificateRequest(request)
	if err != nil {
		return nil, fmt.Errorf("read the signing request of %s: %w", id.Name, err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("signing request of %s: %w", id.Name, err)
	}
	return a.sign(csr.PublicKey, id, now)
}

// Issue makes a key and its certificate.
func (a *Authority) Issue(id Identity, now time.Time) (*Leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of %s: %w", id.Name, err)
	}
	cert, err := a.sign(key.Public(), id, now)
	if err != nil {
		return nil, err
	}
	return NewLeaf(cert, key)
}

func (a *Authority) sign(public crypto.PublicKey, id Identity, now time.Time) (*x509.Certificate, error) {
	if err := id.check(); err != nil {
		return nil, err
	}
	if id.Cluster != a.Cluster {
		return nil, fmt.Errorf("certificate for %s: the CA is of cluster %s", id, a.Cluster)
	}
	from, until := leafValidity(a.Cert, now)
	t := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: id.Name},
		URIs:                  []*url.URL{id.uri()},
		DNSNames:              []string{id.Name},
		NotBefore:             from,
		NotAfter:              until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", id, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read back the certificate of %s: %w", id, err)
	}
	return cert, nil
}

func serial() *big.Int {
	var b [16]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	b[0] &= 0x7f
	b[15] |= 1
	return new(big.Int).SetBytes(b[:])
}
