// Package service is the kit for a service that the operating system's own
// manager runs: a systemd unit, or a Windows service.
//
// It owns the judgement of the manager's states, that the service starts by the
// cluster's order alone (disabled, or start type manual), and that the manager
// doesn't restart what the cluster watches. It leaves starting and stopping to
// the manager, over D-Bus or the service control manager: no command is run.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then service.go; manager.go is what both systems have
// in common.
package service
