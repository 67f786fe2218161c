// Package block is the vocabulary of block I/O: requests, their errors, what a
// device can do, and the memory that data is moved in.
//
// It owns the words that backing devices, frontends and the data path between
// them share; it does no I/O. A [Request] belongs to whoever it was submitted to
// until its Done is called. A [Pool] may be used by many goroutines.
//
// Start reading at request.go.
package block
