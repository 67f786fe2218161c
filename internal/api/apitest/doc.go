// Package apitest builds clusters in words, for tests of the API and of the
// command line: a [World] is a replicated state with one node's own view, made
// by lines such as
//
//	cluster prod n1 n2 w1/witness
//	hierarchy app n1,n2
//	evict n1 n2=2551ms w1=2560ms
//
// and a [Fake] is such a world behind the API, which brings hierarchies in and
// out of service when it is asked to.
//
// It owns nothing that a binary needs. Every change goes through the cluster's
// own commands. A World is for one goroutine, a Fake for any number.
//
// Start reading at world.go.
package apitest
