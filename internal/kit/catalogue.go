package kit

import (
	"slices"
	"strings"

	"github.com/perdure-ha/perdure/internal/message"
)

// Catalogue is the kits that this build has.
type Catalogue []Kit

// Find finds a kit by its name; the error names those that there are.
func (c Catalogue) Find(name string) (Kit, error) {
	family, _, member := strings.Cut(name, ":")
	for _, k := range c {
		if k.Name() == name {
			return k, nil
		}
		if f, ok := k.(Family); ok && member && k.Name() == family {
			return f.Member(name)
		}
	}
	return nil, message.New(message.UnknownKit, name, c.Names())
}

// Names lists the kits, sorted.
func (c Catalogue) Names() []string {
	names := make([]string, len(c))
	for i, k := range c {
		names[i] = k.Name()
	}
	slices.Sort(names)
	return names
}

// Parse checks the settings of a resource before it is stored, and returns them
// with what the resource claims for itself alone.
func (c Catalogue) Parse(name string, settings map[string]string) (v Values, claims []string, err error) {
	k, err := c.Find(name)
	if err != nil {
		return Values{}, nil, err
	}
	if v, err = Parse(k, settings); err != nil {
		return Values{}, nil, err
	}
	if claimer, ok := k.(Claimer); ok {
		claims = claimer.Claims(v)
	}
	return v, claims, nil
}
