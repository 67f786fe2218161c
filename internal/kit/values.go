package kit

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Values is a resource's settings, parsed and complete with defaults. Asking
// for a setting that was not declared, or by another type, is a defect of the
// kit and panics; a test opens every kit.
type Values struct {
	kit   string
	typed map[string]any
	text  map[string]string
}

// Has reports whether the setting has a value, given or by default.
func (v Values) Has(name string) bool {
	if _, declared := v.typed[name]; !declared {
		panic(fmt.Sprintf("kit %s asks for its setting %s, which it doesn't declare", v.kit, name))
	}
	return v.text[name] != ""
}

// Text is a setting's value as it was given, or its default.
func (v Values) Text(name string) string {
	v.Has(name)
	return v.text[name]
}

func (v Values) String(name string) string          { return get[string](v, name) }
func (v Values) Duration(name string) time.Duration { return get[time.Duration](v, name) }
func (v Values) Int(name string) int                { return get[int](v, name) }
func (v Values) Bool(name string) bool              { return get[bool](v, name) }
func (v Values) Address(name string) netip.Addr     { return get[netip.Addr](v, name) }
func (v Values) Prefix(name string) netip.Prefix    { return get[netip.Prefix](v, name) }

// List is the values of a list, the words of a command line, or the pairs.
func (v Values) List(name string) []string { return slices.Clone(get[[]string](v, name)) }

// URL is nil when it isn't set.
func (v Values) URL(name string) *url.URL { return get[*url.URL](v, name) }

// Names lists the settings that have a value.
func (v Values) Names() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(v.text)), func(n string) bool { return v.text[n] == "" })
}

func get[T any](v Values, name string) T {
	x, declared := v.typed[name]
	if !declared {
		panic(fmt.Sprintf("kit %s asks for its setting %s, which it doesn't declare", v.kit, name))
	}
	t, ok := x.(T)
	if !ok {
		panic(fmt.Sprintf("kit %s asks for its setting %s as %T, it is %T", v.kit, name, t, x))
	}
	return t
}
