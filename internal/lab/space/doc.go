// Package space gives the labs network namespaces without names: each is a thread
// of this process, and ends with it, however it ends.
//
// It owns namespaces and sockets in them; networks and machines are the labs'.
// Methods of a Space may be called concurrently. Linux only.
//
// Start reading at space_linux.go.
package space
