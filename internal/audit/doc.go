// Package audit is an append-only log of JSON lines in files of bounded size:
// who asked a node for what.
//
// It owns the files (their rotation, their end after a power loss) and the
// promise that a slow disk holds nobody up for long. It leaves to its callers
// what is in a line.
//
// A [Log] may be used concurrently. Start reading at log.go.
package audit
