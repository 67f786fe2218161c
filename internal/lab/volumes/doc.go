// Package volumes simulates a replicated volume with its cluster: the machines
// of package volume over disks that lose unflushed writes, links that are cut,
// processes and machines that crash at any step, freezes, and the cluster's
// document with commands that are late, lost or doubled. One thread, one seed.
//
// The document is a real cluster.State; how nodes agree on it is package
// world's subject, so here it is one register. A lease is what the document's
// side lets a node have; an eviction waits until it has ended.
//
// After every step checkers look for an acknowledged write that is gone, an
// in-sync copy that is older than the last acknowledged write, a write taken
// under a stale epoch, an async target that is no past state. Then faults stop,
// and the volume must settle with equal copies.
//
// Start reading at world.go, then check.go.
package volumes
