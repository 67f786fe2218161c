// Package commpath is the transport between nodes: UDP heartbeats with
// authenticated encryption on every comm path, and TCP with TLS 1.3 for
// messages. It doesn't know what is in them.
//
// It owns the sockets, the wire formats, who is believed to have sent what and
// when, the state and the counters of each path, and the choice of the path for
// TCP. It leaves to others what a heartbeat means, when to send one, and what a
// silent node is: a path's state is for people and for the choice of a path,
// never a proof that a node stopped.
//
// Two promises carry leases: a heartbeat that is delivered was made by the node
// that it names, after this endpoint's session began, and it is delivered once.
// session.go and window.go are where they are kept.
//
// [Hub] owns the sockets, an [Endpoint] is one cluster on them; both are safe
// for concurrent use. The heartbeat path takes short locks only and never waits
// for TCP, a name server, a disk or a log.
//
// Start reading at header.go and session.go, then peer.go. The wire formats
// are tables there and in docs/design/commpaths.md.
package commpath
