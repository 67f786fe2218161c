// Package wal is the durable log of one node: its raft hard state, raft
// entries and snapshots, and the promises of its arbiter.
//
// It owns the files in its directory (format in docs/formats.md), the rule
// that [Log.Save] returns only when everything in it is on disk, and what a
// start after a crash makes of them: an unfinished last save is cut off,
// damage to anything that was acknowledged is [ErrCorrupt] and never passed
// over, because a node that forgets a vote or a promise lets two nodes serve.
// It leaves to its caller what the states mean, when to take a snapshot, and
// what to do with a node whose log is lost: it returns under a new id.
//
// A Log has one user at a time; a lock keeps a second process out of its
// directory.
//
// Start reading at log.go (what a caller sees), then save.go (the way to the
// disk), recover.go (the way back) and record.go (what is told apart how).
package wal
