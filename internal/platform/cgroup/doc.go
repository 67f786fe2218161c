// Package cgroup holds the processes of a resource together, so that they can
// be frozen and killed as one, whatever they forked.
//
// It owns the directories perdure/INSTANCE/… below a version 2 hierarchy. It
// uses the core files alone (cgroup.freeze, cgroup.kill, cgroup.procs,
// cgroup.events), which need no controller, so that a hybrid machine or one
// whose controllers belong to somebody else will do. It sets no limits. Where
// there is no writable hierarchy [Tree.Available] says why, and callers go on
// without.
//
// Everything may be called concurrently, also by several processes: the
// guardian freezes groups that the daemon made.
//
// Start reading at tree.go, then group.go.
package cgroup
