//go:build !linux

package daemon

// stopParent does nothing here: the service manager ends the guardian.
func stopParent() {}
