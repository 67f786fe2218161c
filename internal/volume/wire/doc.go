// Package wire carries the messages of a mirror between two nodes: frames with a
// checksum each, over TCP with TLS 1.3 in which both show their certificate.
//
// It owns framing, versions, bounds, and time-outs. What frames mean is decided
// by package volume; certificates are pki's, and come in as a *tls.Config.
//
// One goroutine sends on a [Link], another receives. In steady state nothing is
// allocated for a frame. Several frames go out in one write.
//
// Start reading at frame.go, then link.go. The format: docs/formats.md.
package wire
