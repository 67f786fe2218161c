// Package proc watches and ends processes that may not be our children.
//
// It owns the identity of a process across a restart of its watcher (process
// id, start time and boot), the wait for its end without a thread and without
// being its parent, and the end of whole trees of processes. It leaves to its
// callers what a process is for, and to package cgroup the better way to hold
// a tree together where there is one.
//
// Everything may be called concurrently; a [Handle] belongs to one owner.
//
// Start reading at proc.go, then handle_linux.go and tree.go.
package proc
