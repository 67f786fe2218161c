package all

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

var rewrite = flag.Bool("rewrite", false, "write the docs instead of comparing them")

// TestDocs compares docs/kits.md with the declarations: go test
// ./internal/kit/all -rewrite writes it.
func TestDocs(t *testing.T) {
	for path, japanese := range map[string]bool{"../../../docs/kits.md": false, "../../../docs/kits.ja.md": true} {
		want := kit.Markdown(Kits(), japanese)
		if *rewrite {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the declarations say: go test ./internal/kit/all -rewrite", path)
		}
	}
}

var settingName = regexp.MustCompile(`^[a-z]+(\.[a-z]+)*$`)

// A declaration must be complete, and its own default and example valid.
func TestDeclarations(t *testing.T) {
	for _, k := range Kits() {
		if k.About().EN == "" || k.About().JA == "" {
			t.Errorf("kit %s says nothing about itself", k.Name())
		}
		full := map[string]string{}
		var names []string
		for _, s := range kit.Declared(k) {
			where := k.Name() + "." + s.Name
			if !settingName.MatchString(s.Name) || slices.Contains(names, s.Name) {
				t.Errorf("%s: bad or second name", where)
			}
			names = append(names, s.Name)
			if s.Help.EN == "" || s.Example == "" || strings.IndexFunc(s.Help.JA, func(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }) < 0 {
				t.Errorf("%s: help in both languages and an example are needed", where)
			}
			if (s.Type == kit.Duration || s.Type == kit.Int) && (s.Min == "" || s.Max == "") {
				t.Errorf("%s has no bounds", where)
			}
			if s.Type == kit.Enum && len(s.Values) < 2 {
				t.Errorf("%s has no choice", where)
			}
			full[s.Name] = s.Example
		}
		if _, many := k.(kit.Family); many {
			continue // its members are opened
		}
		// Every example together, and only what is required: both must open.
		few := map[string]string{}
		for _, s := range k.Settings() {
			if s.Required {
				few[s.Name] = s.Example
			}
		}
		for _, settings := range []map[string]string{full, few} {
			a, err := kittest.Host(t, false).Open(k, "h", "r", settings)
			if err != nil {
				t.Errorf("kit %s with %v: %v", k.Name(), settings, err)
				continue
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestFind(t *testing.T) {
	if k, err := Kits().Find("ip"); err != nil || k.Name() != "ip" {
		t.Error(k, err)
	}
	_, err := Kits().Find("ipp")
	if e, ok := message.From(err); !ok || e.Code() != message.UnknownKit || !strings.Contains(err.Error(), "container, filesystem, http, ip, libvirt, mysql, ocf, postgresql, process, samba, script, service") {
		t.Error(err)
	}
	_, claims, err := Kits().Parse("ip", map[string]string{"address": "2001:DB8::A/64"})
	if err != nil || !slices.Equal(claims, []string{"address 2001:db8::a"}) {
		t.Error(claims, err)
	}
}
