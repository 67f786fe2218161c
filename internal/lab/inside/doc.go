// Package inside does to one node what can only be done from where its processes
// are: it kills, stops and continues them, makes starts fail, damages state.
//
// It is the part of the vocabulary of faults that all labs share. How a node's
// processes are found is the lab's; power, networks and freezes are the lab's too.
// Methods may be called one at a time. Linux only: it reads /proc.
//
// Start reading at node_linux.go.
package inside
