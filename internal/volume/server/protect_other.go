//go:build !linux

package server

import "github.com/perdure-ha/perdure/internal/cluster"

// Protect does nothing here: the system has no such means.
func Protect() (weaker []cluster.Reason) { return nil }
