// Package device is the backing device of a volume: a disk, a partition or a
// file, opened for this process alone and read and written past the page cache.
//
// It owns exclusive opening, the checks whether something else uses the device,
// I/O in batches, and the meaning of the system's errors. What is stored where is
// left to volume/meta; which request may be done, to the data path above.
//
// Two engines do the I/O: io_uring where the kernel allows it, and else threads
// that block. Both keep the same contract and pass the same tests. Submit may be
// called by many goroutines.
//
// Start reading at device.go, then ring_linux.go. Why: docs/design/datapath.md.
package device
