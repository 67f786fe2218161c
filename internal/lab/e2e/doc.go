// Package e2e holds end-to-end tests of the real binary: nodes are processes
// on loopback addresses, commands are typed as a person types them.
//
// They cover bad input (a clear message, nothing changed, nothing lost, never a
// crash) and daily life, from the first node to a restart of everything. Faults
// of machines and networks are package netns's.
//
// As root the tests run in namespaces of their own (network, mounts, process
// ids), so that whatever a test leaves behind ends with it. Otherwise they run
// where they are, on loopback addresses of their own, and say what they skip.
//
// Begin with stage_linux_test.go (where they run), machine_linux_test.go (a
// node) and refusal_linux_test.go (what a good refusal is).
package e2e
