// Package script is the kit that calls the user's own commands to start, stop,
// check and recover something.
//
// It owns the meaning of exit codes and the end of everything that a command
// started when it runs out of time. It leaves the work to the commands, which
// get what they need in the environment; docs/design/kits.md has a template.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then script.go.
package script
