// Package ocf runs resource agents of the Open Cluster Framework unchanged: those
// that Linux distributions ship for Pacemaker. Each agent that is installed on a
// node is a kit of its own, named ocf:PROVIDER:AGENT, with the settings that its
// meta-data declares.
//
// It owns finding agents, reading their meta-data, their environment, the
// meaning of their exit codes, and answers to the Pacemaker commands that they
// call: this very program under those names. It leaves the work to the agents,
// and where the resource is in service to the planner: one instance, promoted
// if the settings say so; there are no clones and no notifications.
//
// The list of agents may be used concurrently; for the rest, concurrency is
// that of kit.Resource.
//
// Start reading at kit.go, then agent.go, exit.go and shim.go.
package ocf
