package pki

import (
	"crypto/x509"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// Wall clocks. A VM may wake days in the past, a dead battery gives 1970, a
// broken time server 2099. If certificates were verified by such a clock, one
// step of it would cut every TLS connection of the cluster at once, which is
// the outage that the cluster exists to prevent. And expiry protects little
// here: a node that is out of the cluster is refused by the list of nodes, the
// same moment, whatever its certificate says, and whoever steals a
// certificate's key steals the heartbeat key beside it, which has no expiry.
//
// So between nodes time never decides. A certificate is verified at the moment
// within its validity that is nearest to now, without a limit on the distance,
// and a distance is reported as a [ClockDoubt]: an alarm for people, because
// either a clock is wrong or renewal doesn't work.

// ClockDoubt says that a certificate was accepted although the wall clock is
// outside its validity.
type ClockDoubt struct {
	Identity  Identity
	Now       time.Time
	NotBefore time.Time
	NotAfter  time.Time
}

// Message is the doubt for people.
func (d ClockDoubt) Message() *message.Error {
	const layout = time.RFC3339
	return message.New(message.ClockOutsideCertificate, d.Identity.Name,
		d.NotBefore.UTC().Format(layout), d.NotAfter.UTC().Format(layout), d.Now.UTC().Format(layout))
}

// verifyTime is the moment nearest to now at which both certificates are valid.
// leafValidity made sure that there is one.
func verifyTime(ca, leaf *x509.Certificate, now time.Time) time.Time {
	from, until := overlap(ca, leaf)
	if now.Before(from) {
		return from
	}
	if now.After(until) {
		return until
	}
	return now
}

func overlap(ca, leaf *x509.Certificate) (from, until time.Time) {
	from, until = leaf.NotBefore, leaf.NotAfter
	if ca.NotBefore.After(from) {
		from = ca.NotBefore
	}
	if ca.NotAfter.Before(until) {
		until = ca.NotAfter
	}
	return from, until
}

// leafValidity is the validity of a leaf issued now, cut to the CA's. An issuer
// whose clock is outside the CA's own validity issues as if at its nearest end,
// so that what it issues can be verified at some time.
func leafValidity(ca *x509.Certificate, now time.Time) (from, until time.Time) {
	if earliest := ca.NotBefore.Add(backdate); now.Before(earliest) {
		now = earliest
	}
	if latest := ca.NotAfter.Add(-leafLife); now.After(latest) {
		now = latest
	}
	return now.Add(-backdate), now.Add(leafLife)
}
