// Package demo is the main job shown with one command: a cluster that keeps a
// real web server running through one fault after another, watched by a client
// outside.
//
// The scenarios are data: steps in the vocabulary of faults, and what must come
// of them. The runner plays them on a [Stage], which is a cluster with its
// witnesses of truth (client and prober); it decides by the judge of package
// client, never by what the nodes say. The same list is a table for people
// (perdure demo) and a set of tests (one subtest a scenario).
//
// Nothing here knows how a cluster is built except the stage: the process lab,
// which needs Linux and root.
//
// A run is one goroutine; stages may be slow but must be bounded.
//
// Start reading at scenario.go, then scenarios.go, then runner.go.
package demo
