// Package qmp speaks with a running QEMU by its machine protocol: JSON lines over
// a byte stream, commands with answers, and events that come by themselves.
//
// It owns the framing, the matching of answers to commands and the delivery of
// events. It knows no command: what to say is package qemu's business.
//
// A Client may be used by many goroutines. A reader goroutine lives from New to
// Close (or to the end of the connection); Close waits for it. A command without
// an answer ends at its deadline, and means unknown: it may have been done.
//
// Source: docs/interop/qmp-spec.txt of QEMU 7.2. Start reading at client.go.
package qmp
