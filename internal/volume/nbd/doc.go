// Package nbd serves volumes by the NBD protocol: to any client over a unix
// socket, with the fixed newstyle handshake, and to the kernel over sockets that
// it was handed.
//
// It owns the protocol. What a request does is the volume's (package front); how
// the kernel is told of a socket is volume/kernel's. Everything is bounded: the
// time of a handshake, connections, requests and bytes under way, and the time
// that a client may leave a reply unread. In steady state nothing is allocated
// for a request.
//
// A connection has two goroutines: one reads requests and submits all that have
// arrived as one batch, the other sends the replies that are ready in as few
// calls as it can. A Server may be used by many goroutines.
//
// The protocol: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md.
// Start reading at server.go, then handshake.go and transmission.go.
package nbd
