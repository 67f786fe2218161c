// Package host finds out on which machine this virtual one runs, as far as its
// hypervisor says so.
//
// It knows Hyper-V's key-value exchange. Elsewhere a person says it. Functions
// may be called concurrently.
package host

import "strings"

// Name is the host's; empty: not known. It changes with a live migration.
func Name() string { return strings.ToLower(strings.TrimSpace(name())) }

// keys are those of the host's name, the best first.
// Source: Hyper-V integration services, data exchange, "host to guest" items.
var keys = []string{"PhysicalHostNameFullyQualified", "PhysicalHostName", "HostName"}
