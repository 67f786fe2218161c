// Package outside is whoever looks at a lab's cluster from outside: a client on
// the public network, and a prober with a door to each node past address
// resolution and past every cut.
//
// It owns their namespaces. The public network is the lab's, which plugs them in.
// Methods may be called concurrently. Linux only.
//
// Start reading at outside_linux.go.
package outside
