// Package walfs is what the durable log needs of a file system, in two forms:
// [OS], the real one, and [Mem], which forgets unsynced writes at a power loss
// and fails when told to.
//
// It owns the calls and their guarantees (what a sync makes durable, what
// "no space" is on each system, a lock against a second process). It leaves
// the order of the calls to wal. Methods of an FS may be called concurrently;
// a File has one user at a time.
//
// Start reading at fs.go; the fault model of the fake is at the head of mem.go.
package walfs
