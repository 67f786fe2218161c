// Package procs looks at processes of this machine for the labs and signals
// them. It keeps nothing; functions may be called concurrently. Linux only: it
// reads /proc.
//
// Start reading at procs_linux.go.
package procs
