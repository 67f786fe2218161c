// Package local is the lab for ordinary users: nodes are processes on loopback
// addresses of this machine, without namespaces, cgroups, nftables or a virtual
// address. A client tries the nodes' own service addresses.
//
// What can be done to such a node is less than what happens to machines: its
// processes are killed or stopped by signals and its state is damaged. The
// kernel lives on and ends the connections of the dead, nothing can be cut, and
// without an address gate a node that was frozen for long answers until its
// guardian has run again. Whoever uses this lab says so.
//
// Processes of a node are known by their environment, which names its run
// directory. A janitor process removes everything when the lab's process dies.
// A Lab may be used concurrently; acts on one node run one after another.
//
// Start reading at lab_linux.go.
package local
