package message

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

//go:embed catalogue.toml
var catalogueText string

// lookup reads one entry of catalogue.toml, and nothing of the rest: reading all of
// it at every start was half of what a command costs. A bad entry, or none, is an
// empty one. Entries fail the package's test; in production their messages fall back
// to code and arguments, because a wrong comma in a text must not stop a node.
func lookup(code string) entry {
	if !isCode(code) {
		return entry{}
	}
	_, rest, found := strings.Cut(catalogueText, "\n["+code+"]")
	if !found {
		return entry{}
	}
	_, body, _ := strings.Cut(rest, "\n") // a comment may stand beside the header
	if end := strings.Index(body, "\n[PD"); end >= 0 {
		body = body[:end]
	}
	e, err := section{code: code, body: []string{body}}.decode()
	if err != nil {
		return entry{}
	}
	return e
}

// isCode reports whether it has the form of a code, PDnnnn.
func isCode(s string) bool {
	if len(s) != 6 || s[:2] != "PD" {
		return false
	}
	for _, d := range s[2:] {
		if d < '0' || d > '9' {
			return false
		}
	}
	return true
}

// entry is one message in both languages.
type entry struct {
	EN      string `toml:"en"`
	JA      string `toml:"ja"`
	CauseEN string `toml:"cause_en"`
	CauseJA string `toml:"cause_ja"`
	NextEN  string `toml:"next_en"`
	NextJA  string `toml:"next_ja"`
}

func (e entry) text(lang string) string  { return pick(lang, e.EN, e.JA) }
func (e entry) cause(lang string) string { return pick(lang, e.CauseEN, e.CauseJA) }
func (e entry) next(lang string) string  { return pick(lang, e.NextEN, e.NextJA) }

func pick(lang, en, ja string) string {
	if lang == Japanese && ja != "" {
		return ja
	}
	return en
}

var header = regexp.MustCompile(`^\[(PD\d{4})\]\s*(#.*)?$`)

// parse reads a catalogue table by table, so that a fault in one costs that one
// only and is reported with its line in the whole file. It returns all that
// could be read, and the faults joined.
func parse(text string) (map[string]entry, error) {
	entries := make(map[string]entry)
	var faults []error
	for _, s := range sections(text) {
		e, err := s.decode()
		if err != nil {
			faults = append(faults, err)
			continue
		}
		if s.code == "" {
			continue
		}
		if _, twice := entries[s.code]; twice {
			faults = append(faults, fmt.Errorf("catalogue.toml:%d: %s has an entry already", s.line, s.code))
			continue
		}
		entries[s.code] = e
	}
	return entries, errors.Join(faults...)
}

// section is the lines of one table; the one before the first has no code.
type section struct {
	code string
	line int // of the table's header, counted from 1
	body []string
}

func sections(text string) []section {
	all := []section{{line: 0}}
	for i, line := range strings.Split(text, "\n") {
		if m := header.FindStringSubmatch(strings.TrimRight(line, " \t\r")); m != nil {
			all = append(all, section{code: m[1], line: i + 1})
			continue
		}
		last := &all[len(all)-1]
		last.body = append(last.body, line)
	}
	return all
}

func (s section) decode() (entry, error) {
	var e entry
	d := toml.NewDecoder(strings.NewReader(strings.Join(s.body, "\n"))).DisallowUnknownFields()
	err := d.Decode(&e)
	if err == nil {
		if s.code == "" && e != (entry{}) {
			return e, errors.New("catalogue.toml: text stands before the first [PDnnnn]")
		}
		return e, nil
	}
	name := s.code
	if name == "" {
		name = "before the first table"
	}
	row, why := 1, err.Error()
	var strict *toml.StrictMissingError
	var decode *toml.DecodeError
	switch {
	case errors.As(err, &strict) && len(strict.Errors) > 0:
		row, _ = strict.Errors[0].Position()
		why = fmt.Sprintf("%q is not a field of an entry", strings.Join(strict.Errors[0].Key(), "."))
	case errors.As(err, &decode):
		row, _ = decode.Position()
	}
	return e, fmt.Errorf("catalogue.toml:%d: %s: %s", s.line+row, name, why)
}
