// Package keeper keeps a lab of virtual machines up between commands.
//
// A keeper is this program, started once more in a session of its own. It owns a
// lab until it is told to end it, and answers on a unix socket: HTTP with lines of
// JSON as things happen, and a connection of small frames for a shell on a node.
// The other half of the package is what the commands say to it: up, status, run,
// ssh, down. Both are of one build.
//
// It owns its directory (socket, lock, log, and a record of who it is) and the
// words for people; the machines are package vm's, the scenarios package demo's. The
// server may be asked several things at once; only one of them changes the lab.
// Linux and root only, except for the protocol.
//
// Start reading at keeper.go, then server.go.
package keeper
