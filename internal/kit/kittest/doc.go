// Package kittest helps to test kits: a host with real groups where there are
// any, a runner that only writes down what it was asked to run, and waiting
// with a deadline.
//
// It owns nothing that a binary needs. Everything may be called concurrently.
//
// Start reading at host.go.
package kittest
