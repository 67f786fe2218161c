// Package agent is what a virtual machine of the lab runs beside perdure, and the
// client of it at the hypervisor.
//
// In the guest the program is process 1 ([Main]): it loads the modules that it was
// given, mounts a read-only root with a fresh layer over it, gives the network
// cards their addresses, and then does what it is told over a byte stream that is
// no network: runs and starts programs, writes files, carries out the faults that
// only the inside can do (package inside). It survives every freeze of the
// userland, because it stands outside of what is frozen. As a service under
// systemd it does the same without the first part.
//
// The stream carries JSON, a line each: requests with an id, replies with the same
// id, the last of them marked. Lines are bounded. A [Client] may be used
// concurrently.
//
// Start reading at wire.go, then client.go; in the guest serve_linux.go.
package agent
