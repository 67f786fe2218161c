// Package hook runs programs of the user's that are told of events, so that
// nothing ever waits for them.
//
// It owns the queues: each hook has one, of bounded length and served in order;
// at most [Parallel] hooks run at a time; a program that doesn't end is ended
// with all that it started, and what became of each run can be seen. It leaves
// to its callers which hook is told of what, and how a program is run.
//
// A [Hub] may be used concurrently. Start reading at hub.go.
package hook
