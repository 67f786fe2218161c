package fault

import (
	"fmt"
	"strings"
	"time"
)

// Parse reads the printed form of a fault.
func Parse(text string) (Fault, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return Fault{}, fmt.Errorf("empty fault: the kinds are %s", kindList())
	}
	f := Fault{Kind: Kind(words[0])}
	s, known := shapeOf(f.Kind)
	if !known {
		return Fault{}, f.Check()
	}
	words = words[1:]
	for _, operand := range []struct {
		taken bool
		field *string
	}{{s.node, &f.Node}, {s.peer, &f.Peer}, {s.resource, &f.Resource}} {
		if operand.taken && len(words) > 0 {
			*operand.field, words = words[0], words[1:]
		}
	}
	for len(words) > 0 {
		if len(words) == 1 {
			return Fault{}, fmt.Errorf("parse fault %q: don't know what to do with %q", text, words[0])
		}
		switch {
		case words[0] == "on" && f.Network == "":
			f.Network = words[1]
		case words[0] == "for" && f.For == 0:
			d, err := time.ParseDuration(words[1])
			if err != nil {
				return Fault{}, fmt.Errorf("parse fault %q: %w", text, err)
			}
			f.For = d
		default:
			return Fault{}, fmt.Errorf("parse fault %q: don't know what to do with %q", text, words[0])
		}
		words = words[2:]
	}
	if err := f.Check(); err != nil {
		return Fault{}, err
	}
	return f, nil
}
