// Package durable replaces files so that a power loss leaves either the whole
// old content or the whole new one.
//
// It owns the order of the steps (write beside, sync, rename, sync the
// directory) and how each operating system does them. It leaves to its callers
// what is in the files, and who may write them: two writers of one path don't
// damage it, but the last one wins. Every function may be called concurrently.
//
// Start reading at writefile.go.
package durable
