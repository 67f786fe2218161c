// Package vm is the lab of virtual machines: kernels of their own on hosts of
// their own, with switches between them.
//
// Three hypervisor hosts are network namespaces with a bridge for each network;
// uplinks lead to the switches in a fourth, the fabric, where the outside client
// stands too. Each node is a machine (package machine, of kind uml or qemu) on a
// host, with a card in every network, an image that all share and a disk of its
// own for perdure's state. An agent in each guest (package agent) does what only
// the inside can do. Faults are the vocabulary of package fault.
//
// It owns hosts, switches, machines and their files; everything ends with the
// process, however that ends. A Lab's acts may be called one at a time; the
// questions of the outside client meanwhile. Linux and root only.
//
// Start reading at lab_linux.go.
package vm
