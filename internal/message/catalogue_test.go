package message

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// TestCatalogue is the one place that says what a complete catalogue is.
func TestCatalogue(t *testing.T) {
	entries, err := parse(catalogueText)
	if err != nil {
		t.Errorf("the catalogue has faults:\n%v", err)
	}
	consts := constants(t)
	for name, code := range consts {
		if _, ok := entries[code]; !ok {
			t.Errorf("%s = %q has no entry in catalogue.toml", name, code)
		}
	}
	codes := make(map[string]bool)
	for _, code := range consts {
		codes[code] = true
	}
	texts := make(map[string]string)
	for code, e := range entries {
		if !codes[code] {
			t.Errorf("%s has an entry but no constant in codes.go", code)
		}
		for _, fault := range e.faults() {
			t.Errorf("%s: %s", code, fault)
		}
		for _, text := range []string{e.EN, e.JA} {
			if other, twice := texts[text]; twice && text != "" {
				t.Errorf("%s and %s have the same text %q", other, code, text)
			}
			texts[text] = code
		}
	}
}

// faults says what is wrong with one entry.
func (e entry) faults() []string {
	var faults []string
	for _, f := range []struct{ name, en, ja string }{
		{"text", e.EN, e.JA}, {"cause", e.CauseEN, e.CauseJA}, {"next", e.NextEN, e.NextJA},
	} {
		if f.en == "" {
			faults = append(faults, f.name+" in English is missing")
		}
		if f.ja == "" {
			faults = append(faults, f.name+" in Japanese is missing")
		}
		if en, ja := arguments(f.en), arguments(f.ja); !slices.Equal(en, ja) {
			faults = append(faults, f.name+" names other arguments in Japanese: "+strings.Join(en, " ")+" and "+strings.Join(ja, " "))
		}
		if f.name != "next" && f.ja != "" && !hasJapanese(f.ja) {
			faults = append(faults, f.name+" in Japanese has no Japanese in it")
		}
		if hasJapanese(f.en) {
			faults = append(faults, f.name+" in English has Japanese in it")
		}
		if f.en != strings.TrimSpace(f.en) || f.ja != strings.TrimSpace(f.ja) || strings.ContainsAny(f.en+f.ja, "\n\t") {
			faults = append(faults, f.name+" has blanks at an end, or more than one line")
		}
	}
	all := arguments(e.EN + e.CauseEN + e.NextEN)
	for i, p := range all {
		if want := "{" + string(rune('0'+i)) + "}"; p != want && len(all) <= 10 {
			faults = append(faults, "arguments are not counted from {0} without a gap: "+strings.Join(all, " "))
			break
		}
	}
	if strings.HasSuffix(e.EN, ".") || strings.HasSuffix(e.JA, "。") {
		faults = append(faults, "a text has no full stop at its end")
	}
	return faults
}

// arguments are the different placeholders of a text, sorted.
func arguments(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

func hasJapanese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool {
		return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han)
	})
}

func TestConstants(t *testing.T) {
	shape := regexp.MustCompile(`^PD[1-9]\d{3}$`)
	names := make(map[string]string)
	for name, code := range constants(t) {
		if !shape.MatchString(code) {
			t.Errorf("%s = %q: a code is PD and four figures, the first from 1 to 9", name, code)
		}
		if other, twice := names[code]; twice {
			t.Errorf("%s and %s are both %q", other, name, code)
		}
		names[code] = name
	}
}

func TestOneBadEntryCostsOnlyItself(t *testing.T) {
	entries, err := parse(`# head
[PD1001]
en = "good"
[PD1002]
en = "never closed
[PD1003]
en = "fine"
colour = "red"
[PD1001]
en = "again"
[PD1004]
en = "last"
`)
	if err == nil {
		t.Fatal("no fault was found")
	}
	for _, want := range []string{
		"catalogue.toml:5: PD1002", `catalogue.toml:8: PD1003: "colour"`, "catalogue.toml:9: PD1001 has an entry already",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the faults don't say %q:\n%v", want, err)
		}
	}
	if len(entries) != 2 || entries["PD1001"].EN != "good" || entries["PD1004"].EN != "last" {
		t.Errorf("got %v", entries)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(catalogueText[:2000])
	f.Add("[PD1001]\nen = 'x'\n[PD1001")
	f.Add("[PD1001]\n[PD1001.x]\n[[PD1001]]\nen.x = 1\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = parse(text)
	})
}

// TestLookup compares what is read of one entry with what is read of all.
func TestLookup(t *testing.T) {
	entries, err := parse(catalogueText)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range entries {
		if got := lookup(code); got != want {
			t.Errorf("%s alone is %+v, in the whole %+v", code, got, want)
		}
	}
	for _, no := range []string{"", "PD", "PD0000", "PD100", "PD10011", "en", "[PD1001]", "PD1001]\nen"} {
		if got := lookup(no); got != (entry{}) {
			t.Errorf("%q is no code and reads as %+v", no, got)
		}
	}
}
