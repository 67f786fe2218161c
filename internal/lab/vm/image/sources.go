package image

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// source is where apt finds packages.
type source struct {
	uris, suites, components []string
	signedBy                 string // file of keys, or a key in place; empty is the default
	trusted                  string // "yes" or "no" if the host says so
}

// parseSources reads the one-line format (sources.list) or stanzas (.sources) of
// apt's sources, by what is there. Entries for source packages, those that are
// switched off and those that aren't understood are left out: apt has its own
// word about them.
func parseSources(text string) []source {
	var found []source
	for _, stanza := range stanzas(text) {
		if strings.EqualFold(stanza["enabled"], "no") || !slices.Contains(strings.Fields(stanza["types"]), "deb") {
			continue
		}
		found = append(found, source{
			uris:       strings.Fields(stanza["uris"]),
			suites:     strings.Fields(stanza["suites"]),
			components: strings.Fields(stanza["components"]),
			signedBy:   stanza["signed-by"],
			trusted:    stanza["trusted"],
		})
	}
	for _, line := range strings.Split(text, "\n") {
		if s, ok := parseSourceLine(line); ok {
			found = append(found, s)
		}
	}
	return found
}

// stanzas are the paragraphs of fields in text, by the fields' lower-case names.
func stanzas(text string) []map[string]string {
	var all []map[string]string
	stanza, field := map[string]string{}, ""
	for _, line := range append(strings.Split(text, "\n"), "") {
		switch {
		case strings.HasPrefix(line, "#"):
		case strings.TrimSpace(line) == "":
			if len(stanza) > 0 {
				all = append(all, stanza)
			}
			stanza, field = map[string]string{}, ""
		case line[0] == ' ' || line[0] == '\t':
			if field != "" {
				stanza[field] += "\n" + line
			}
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok || strings.ContainsAny(name, " \t[") {
				continue
			}
			field = strings.ToLower(name)
			stanza[field] = strings.TrimSpace(value)
		}
	}
	return all
}

// parseSourceLine reads "deb [option=value …] uri suite component…".
func parseSourceLine(line string) (source, bool) {
	line, _, _ = strings.Cut(line, "#")
	rest, ok := strings.CutPrefix(strings.ReplaceAll(strings.TrimSpace(line), "\t", " "), "deb ")
	if !ok {
		return source{}, false
	}
	var s source
	rest = strings.TrimSpace(rest)
	if inside, isOption := strings.CutPrefix(rest, "["); isOption {
		options, after, closed := strings.Cut(inside, "]")
		if !closed {
			return source{}, false
		}
		for _, option := range strings.Fields(options) {
			switch name, value, _ := strings.Cut(option, "="); strings.ToLower(name) {
			case "signed-by":
				s.signedBy = value
			case "trusted":
				s.trusted = value
			}
		}
		rest = after
	}
	words := strings.Fields(rest)
	if len(words) < 3 {
		return source{}, false
	}
	s.uris, s.suites, s.components = words[:1], words[1:2], words[2:]
	return s, true
}

// debian keeps of sources what is Debian's release codename itself: main, its
// updates and its security; signed by Debian's keys as far as the host says by
// whom. Other archives use the same names, so all three are looked at.
func debian(sources []source, codename string) []source {
	suites := []string{codename, codename + "-updates", codename + "-security", codename + "/updates"}
	var kept []source
	for _, s := range sources {
		s.suites = slices.DeleteFunc(slices.Clone(s.suites), func(suite string) bool { return !slices.Contains(suites, suite) })
		if len(s.suites) == 0 || !slices.Contains(s.components, "main") || !s.isDebian() {
			continue
		}
		s.components = []string{"main"}
		kept = append(kept, s)
	}
	return kept
}

func (s source) isDebian() bool {
	if s.signedBy != "" && !strings.Contains(s.signedBy, "\n") {
		return strings.Contains(s.signedBy, "debian-archive")
	}
	return slices.ContainsFunc(s.uris, func(uri string) bool {
		return strings.HasPrefix(path.Base(uri), "debian")
	})
}

// stanza is s in the format of .sources.
func (s source) stanza() string {
	text := fmt.Sprintf("Types: deb\nURIs: %s\nSuites: %s\nComponents: %s\n",
		strings.Join(s.uris, " "), strings.Join(s.suites, " "), strings.Join(s.components, " "))
	if s.signedBy != "" {
		text += "Signed-By: " + s.signedBy + "\n"
	}
	if s.trusted != "" {
		text += "Trusted: " + s.trusted + "\n"
	}
	return text
}
