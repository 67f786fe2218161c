package ocf

import (
	"fmt"
	"slices"
	"strings"
)

// call is the options of one call, of all commands together: a letter means
// the same in each, except where options says otherwise.
type call struct {
	name, value, node, def, parameter string
	lifetime, kind                    string
	query, quiet, remove, promotion   bool
	id, quorum, list, locate          bool
	refresh, cleanup                  bool
	has                               map[string]bool
}

func (c call) scope() string {
	switch {
	case c.kind != "":
		return c.kind
	case c.lifetime == "reboot":
		return "status"
	}
	return "nodes"
}

// option is one that agents use. Those that take a value and change nothing
// here (resource, dampening, sets) are read and forgotten.
type option struct {
	short, long string
	value       bool
	set         func(*call, string)
}

var known = []option{
	{"n", "name", true, func(c *call, v string) { c.name = v }},
	{"v", "update", true, func(c *call, v string) { c.value, c.has["value"] = v, true }},
	{"U", "update", true, func(c *call, v string) { c.value, c.has["value"] = v, true }},
	{"B", "update-both", true, func(c *call, v string) { c.value, c.has["value"] = v, true }},
	{"N", "node", true, func(c *call, v string) { c.node = v }},
	{"", "uname", true, func(c *call, v string) { c.node = v }},
	{"l", "lifetime", true, func(c *call, v string) { c.lifetime = v }},
	{"t", "type", true, func(c *call, v string) { c.kind = v }},
	{"d", "default", true, func(c *call, v string) { c.def, c.has["default"] = v, true }},
	{"d", "delay", true, func(c *call, _ string) { c.has["delay"] = true }},
	{"g", "get-parameter", true, func(c *call, v string) { c.parameter = v }},
	{"r", "resource", true, func(*call, string) {}},
	{"s", "set-name", true, func(*call, string) {}},
	{"S", "", true, func(*call, string) {}},
	{"i", "id", false, func(c *call, _ string) { c.id = true }},
	{"G", "query", false, func(c *call, _ string) { c.query = true }},
	{"q", "quiet", false, func(c *call, _ string) { c.quiet, c.quorum = true, true }},
	{"Q", "query", false, func(c *call, _ string) { c.quiet, c.query = true, true }},
	{"D", "delete", false, func(c *call, _ string) { c.remove = true }},
	{"p", "promotion", false, func(c *call, _ string) { c.promotion = true }},
	{"R", "refresh", false, func(c *call, _ string) { c.refresh = true }},
	{"W", "locate", false, func(c *call, _ string) { c.locate = true }},
	{"C", "cleanup", false, func(c *call, _ string) { c.cleanup = true }},
	{"", "quorum", false, func(c *call, _ string) { c.quorum = true }},
	{"", "list", false, func(c *call, _ string) { c.list = true }},
	{"", "partition", false, func(*call, string) {}},
	{"z", "utilization", false, func(*call, string) {}},
	{"P", "private", false, func(*call, string) {}},
	{"A", "all", false, func(*call, string) {}},
	{"V", "verbose", false, func(*call, string) {}},
}

// options reads a command line, in any order and with letters together. What
// it doesn't know is refused in words: to ignore it could mean the opposite.
func options(args []string) (call, error) {
	c := call{has: map[string]bool{}}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		take := func(o option, given string, has bool) error {
			if o.value && !has {
				i++
				if i >= len(args) {
					return fmt.Errorf("%s needs a value", arg)
				}
				given = args[i]
			}
			o.set(&c, given)
			return nil
		}
		if long, ok := strings.CutPrefix(arg, "--"); ok {
			long, given, has := strings.Cut(long, "=")
			if long == "promotion" {
				c.promotion = true
				continue
			}
			at := slices.IndexFunc(known, func(o option) bool { return o.long == long })
			if at < 0 {
				return c, fmt.Errorf("%s is not known to Perdure", arg)
			}
			if err := take(known[at], given, has); err != nil {
				return c, err
			}
			continue
		}
		letters, ok := strings.CutPrefix(arg, "-")
		if !ok || letters == "" {
			continue // the name of a resource
		}
		for letters != "" {
			l := letters[:1]
			letters = letters[1:]
			if l == "l" && len(args) == 1 || l == "l" && letters == "" && (i+1 >= len(args) || strings.HasPrefix(args[i+1], "-")) {
				c.list = true // crm_node -l
				continue
			}
			if l == "n" && letters == "" && (i+1 >= len(args) || strings.HasPrefix(args[i+1], "-")) {
				continue // crm_node -n
			}
			at := slices.IndexFunc(known, func(o option) bool { return o.short == l })
			if at < 0 {
				return c, fmt.Errorf("-%s is not known to Perdure", l)
			}
			o := known[at]
			if err := take(o, letters, letters != ""); err != nil {
				return c, err
			}
			if o.value {
				break
			}
		}
	}
	return c, nil
}
