// Package disk does to a node's state directory what bad disks, copies and
// restored snapshots do. The caller makes sure that nothing uses the directory.
package disk
