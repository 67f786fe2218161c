package kit

import "slices"

// Text is for people, in both languages.
type Text struct{ EN, JA string }

// Type is what a setting's value means.
type Type string

const (
	String      Type = "text"
	Duration    Type = "duration"     // 500ms, 2s, 1m30s
	Int         Type = "number"       // whole
	Bool        Type = "yes or no"    //
	Address     Type = "address"      // IPv4 or IPv6
	Prefix      Type = "network"      // an address with or without /length
	HostPort    Type = "host:port"    //
	List        Type = "list"         // a,b,c
	CommandLine Type = "command line" // words; quotes as in a shell, no shell
	Pairs       Type = "NAME=value …" // words as in a command line
	URL         Type = "URL"          // http or https
	Enum        Type = "one of"       // see Values
)

// Setting declares one setting. Parsing, help, form and docs come from it.
type Setting struct {
	Name     string // lower case, dotted: check.interval
	Type     Type
	Required bool
	Default  string // in the notation of Type; empty: not set
	// Min and Max bound durations and numbers, in the notation of Type.
	Min, Max string
	Values   []string // of an Enum
	Help     Text
	Example  string
}

// Declared lists a kit's settings: its own, then the common ones that it
// doesn't replace.
func Declared(k Kit) []Setting {
	own := k.Settings()
	all := slices.Clone(own)
	for _, c := range Common() {
		if !slices.ContainsFunc(own, func(s Setting) bool { return s.Name == c.Name }) {
			all = append(all, c)
		}
	}
	return all
}
