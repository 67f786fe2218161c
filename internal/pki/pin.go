package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// PinConfig is for a joiner: it has no certificate, and believes the server
// that shows the CA of the pin and a certificate that this CA gave to a node of
// the cluster. now may be nil.
func PinConfig(clusterID string, pin [32]byte, now func() time.Time) *tls.Config {
	if now == nil {
		now = time.Now
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// Replaced by VerifyConnection, see PeerConfig.
		InsecureSkipVerify: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			return verifyPinned(cs, clusterID, pin, now())
		},
	}
}

func verifyPinned(cs tls.ConnectionState, clusterID string, pin [32]byte, now time.Time) error {
	if len(cs.PeerCertificates) == 0 {
		return message.New(message.PinMismatch, short(pin)).Wrap(errors.New("no certificate was shown"))
	}
	for _, ca := range cs.PeerCertificates[1:] {
		if Pin(ca) != pin || !ca.IsCA {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(ca)
		_, err := verifyNode(ca, roots, cs.PeerCertificates[0], clusterID, now)
		return err
	}
	return message.New(message.PinMismatch, short(pin))
}

// ParseCA reads a CA certificate (DER) and checks it against the pin.
func ParseCA(der []byte, pin [32]byte) (*x509.Certificate, error) {
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, message.New(message.PinMismatch, short(pin)).Wrap(err)
	}
	if Pin(ca) != pin || !ca.IsCA {
		return nil, message.New(message.PinMismatch, short(pin))
	}
	return ca, nil
}

// short is enough of a pin to compare by eye.
func short(pin [32]byte) string { return hex.EncodeToString(pin[:6]) }
