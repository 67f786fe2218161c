// Package netns is the process lab: a cluster of nodes on one Linux machine,
// real processes, real kernel networking, real virtual address.
//
// Every node is a network, mount and host name namespace of its own, with its
// own /run, boot id and cgroup, so that power loss is cgroup.kill with the
// links down first, a boot is a new namespace, and a frozen userland is
// cgroup.freeze under a kernel that goes on answering ping and TCP. Networks
// are bridges in a namespace that belongs to no node; frames are lost there by
// nftables. A client and a prober live outside on the public network.
//
// The package owns everything that it makes: namespaces have no names and end
// with the process, cgroups and the directory carry the process id, a janitor
// process removes them when the lab's process dies, and [New] removes what even
// that left. It knows no scenario and judges nothing; [Lab] implements all
// interfaces of package fault. It needs root.
//
// A Lab may be used concurrently; acts on one node run one after another.
//
// Start reading at lab_linux.go, then node_linux.go (what a boot is).
package netns
