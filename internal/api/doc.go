// Package api is the HTTP API of a daemon and its client.
//
// The server speaks HTTP with JSON over a unix socket (Linux) or a named pipe
// (Windows) that only the administrator may open; the OpenAPI description at
// /openapi.json comes from the Go types. The command line and every other
// program use the same client.
//
// It owns the routes, the form of errors (problem.go), the event stream and the
// assessment of a cluster ([Assess]: safe or not, and why). It leaves the
// story of a failover to package why, and everything that it is asked to do to
// the daemon, which it sees as a [Backend].
//
// Server and Client may be used concurrently; Assess is a pure function.
//
// Start reading at backend.go, then server.go and assess.go.
package api
