package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// apiName is a host name in the certificate of a node's API, and in no other:
// a witness has a certificate of the same CA and must not be able to pass for a
// node when an access token is about to be shown.
const apiName = "api.perdure.internal"

// Server is the certificate with which a node's API shows itself to people and
// programs. It is made anew at each start and never stored.
type Server struct {
	cert  *tls.Certificate
	until time.Time
}

// IssueServer makes the certificate of a node's API: for its name and for the
// addresses, so that browsers and other programs that trust the CA can verify
// it in the ordinary way.
func (a *Authority) IssueServer(id Identity, addresses []netip.Addr, now time.Time) (*Server, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the key of the API of %s: %w", id.Name, err)
	}
	from, until := leafValidity(a.Cert, now)
	t := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: id.Name},
		DNSNames:  []string{apiName, id.Name},
		NotBefore: from, NotAfter: until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, ip := range addresses {
		t.IPAddresses = append(t.IPAddresses, net.IP(ip.Unmap().WithZone("").AsSlice()))
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.Cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of the API of %s: %w", id.Name, err)
	}
	return &Server{cert: &tls.Certificate{Certificate: [][]byte{der, a.Cert.Raw}, PrivateKey: key}, until: until}, nil
}

// RenewDue reports whether a third or less of its life remains.
func (s *Server) RenewDue(now time.Time) bool { return s.until.Sub(now) <= leafLife/3 }

// ServerConfig is for the node's side; cert is asked at each connection.
func ServerConfig(cert func() *Server) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if s := cert(); s != nil {
				return s.cert, nil
			}
			return nil, errors.New("the API has no certificate yet")
		},
	}
}

// ClientConfig is for whoever knows the cluster by the pin of its CA, which is
// part of an access token: it believes a server that shows this CA, and an API's
// certificate that it signed. By which name or address it was reached doesn't
// matter. now may be nil.
func ClientConfig(pin [32]byte, now func() time.Time) *tls.Config {
	if now == nil {
		now = time.Now
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		InsecureSkipVerify: true, // replaced by VerifyConnection, see PeerConfig
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyServer(cs, pin, now())
		},
	}
}

// ClientConfigCA is the same for whoever has the CA's certificate.
func ClientConfigCA(ca *x509.Certificate, now func() time.Time) *tls.Config {
	return ClientConfig(Pin(ca), now)
}

func verifyServer(cs tls.ConnectionState, pin [32]byte, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return message.New(message.PinMismatch, short(pin)).Wrap(errors.New("no certificate was shown"))
	}
	leaf := cs.PeerCertificates[0]
	for _, ca := range cs.PeerCertificates[1:] {
		if !ca.IsCA || Pin(ca) != pin {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err := leaf.Verify(x509.VerifyOptions{
			DNSName: apiName, Roots: roots, CurrentTime: verifyTime(ca, leaf, now),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		})
		if err != nil {
			return message.New(message.PinMismatch, short(pin)).Wrap(err)
		}
		return nil
	}
	return message.New(message.PinMismatch, short(pin))
}
