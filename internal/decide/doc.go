// Package decide says where hierarchies are in service and what a node does
// about those it owns.
//
// It owns two step machines. The [Planner] runs on the raft leader and turns
// state and observations into commands: assign, retry, cancel a move. The
// [Executor] runs on every node and turns the assignments to that node, the
// results of its actions and the events of its kits into further actions and
// into reports. Neither acts: actions run beside the loop that calls them, and
// come back as events.
//
// It leaves the lease, eviction and agreement to arbiter and core, and what a
// resource is to the kits. The package is pure: time is an argument, chance a
// seed. Nothing in it may be called concurrently.
//
// Start reading at planner.go and executor.go; docs/design/decide.md says why.
package decide
