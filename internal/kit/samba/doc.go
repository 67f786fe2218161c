// Package samba is the kit for a Samba file server (smbd) whose configuration
// and shares are on disks that move with the hierarchy.
//
// It owns the start of smbd in the resource's own group, its orderly end, and a
// check that negotiates the SMB protocol with it as a client does. It leaves the
// shares, the disks and the address to other resources, and membership of a
// domain to the configuration.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then samba.go and negotiate.go.
package samba
