// Package http is the kit that asks a web server whether it does its work. It
// keeps nothing in service itself: it stands above the resources that do, and
// notices the server that is alive but doesn't answer.
//
// It owns the judgement of an answer. It leaves the request to kit.Probe and
// what follows to the planner.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then check.go.
package http
