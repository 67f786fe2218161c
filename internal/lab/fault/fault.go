package fault

import (
	"fmt"
	"strings"
	"time"
)

// Fault is one thing that goes wrong. Which fields count depends on the kind.
type Fault struct {
	Kind Kind `json:"kind"`
	// Node and Peer are node names, or roles that the caller replaces by
	// [Fault.Resolve] before the fault is applied.
	Node string `json:"node,omitempty"`
	Peer string `json:"peer,omitempty"`
	// Resource is a resource; for Switchover a hierarchy.
	Resource string `json:"resource,omitempty"`
	// Network is one network; empty means every network.
	Network string `json:"network,omitempty"`
	// For is how long a freeze lasts; zero means until the thaw.
	For time.Duration `json:"for,omitempty"`
}

// String is the printed form: kind, node, peer, resource, "on" network, "for"
// duration.
func (f Fault) String() string {
	words := []string{string(f.Kind)}
	for _, w := range []string{f.Node, f.Peer, f.Resource} {
		if w != "" {
			words = append(words, w)
		}
	}
	if f.Network != "" {
		words = append(words, "on", f.Network)
	}
	if f.For != 0 {
		words = append(words, "for", f.For.String())
	}
	return strings.Join(words, " ")
}

// Check reports what is missing or too much for the fault's kind.
func (f Fault) Check() error {
	s, known := shapeOf(f.Kind)
	if !known {
		return fmt.Errorf("unknown fault %q: the kinds are %s", f.Kind, kindList())
	}
	for _, operand := range []struct {
		name         string
		value        string
		taken, needs bool
	}{
		{"a node", f.Node, s.node, s.node},
		{"a second node", f.Peer, s.peer, s.peer},
		{"a resource", f.Resource, s.resource, s.resource},
		{"a network (on …)", f.Network, s.on, s.onNeeded},
	} {
		switch {
		case operand.value == "" && operand.needs:
			return fmt.Errorf("fault %q needs %s", f.Kind, operand.name)
		case operand.value != "" && !operand.taken:
			return fmt.Errorf("fault %q takes no %s: %q", f.Kind, strings.TrimPrefix(operand.name, "a "), operand.value)
		case !isName(operand.value):
			return fmt.Errorf("fault %q: %q is no name", f.Kind, operand.value)
		}
	}
	switch {
	case f.For < 0:
		return fmt.Errorf("fault %q: negative duration %v", f.Kind, f.For)
	case f.For != 0 && !s.duration:
		return fmt.Errorf("fault %q takes no duration", f.Kind)
	case s.peer && f.Node == f.Peer:
		return fmt.Errorf("fault %q needs two different nodes, not %s twice", f.Kind, f.Node)
	}
	return nil
}

// isName reports whether s may stand as a word of a printed fault. The empty
// string may: it stands for an operand that isn't there.
func isName(s string) bool {
	if s == "on" || s == "for" {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// Resolve replaces roles ("owner", "standby") by the node names that they stand
// for now. Names that are no roles stay.
func (f Fault) Resolve(roles map[string]string) Fault {
	if name, ok := roles[f.Node]; ok {
		f.Node = name
	}
	if name, ok := roles[f.Peer]; ok {
		f.Peer = name
	}
	return f
}

func kindList() string {
	names := make([]string, 0, len(shapes))
	for _, s := range shapes {
		names = append(names, string(s.kind))
	}
	return strings.Join(names, ", ")
}
