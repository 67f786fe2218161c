package image

import (
	"strings"
	"testing"
)

func TestDebianSources(t *testing.T) {
	for what, c := range map[string]struct{ text, want string }{
		"stanzas": {`# the system's
Types: deb deb-src
URIs: http://mirror.example/debian
# a comment between
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: https://pkgs.vpn.example/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/vpn.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
`, `Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`},
		"lines": {`deb-src http://a.example/debian bookworm main
#deb http://b.example/debian bookworm main
deb	http://c.example/debian/	bookworm main contrib # comment
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://d.example/mirror bookworm-security main
deb [ trusted=yes ] http://e.example/debian-security bookworm-security main
deb [broken http://f.example/debian bookworm main
deb http://g.example/debian trixie main
deb http://h.example/node bookworm main
deb http://i.example/debian bookworm stable
`, `Types: deb
URIs: http://c.example/debian/
Suites: bookworm
Components: main

Types: deb
URIs: http://d.example/mirror
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://e.example/debian-security
Suites: bookworm-security
Components: main
Trusted: yes
`},
		"key in place": {`Types: deb
URIs: http://a.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`, `Types: deb
URIs: http://a.example/debian
Suites: bookworm
Components: main
Signed-By: 
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`},
		"nothing": {"\n\nx\n :", ""},
	} {
		var got []string
		for _, s := range debian(parseSources(c.text), "bookworm") {
			got = append(got, s.stanza())
		}
		if text := strings.Join(got, "\n"); text != c.want {
			t.Errorf("%s:\n%s\nwanted:\n%s", what, text, c.want)
		}
	}
}

func FuzzSources(f *testing.F) {
	f.Add("Types: deb\nURIs: http://a/debian\nSuites: bookworm\nComponents: main\nSigned-By:\n a\n")
	f.Add("deb [trusted=yes] http://a/debian bookworm main # x")
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range debian(parseSources(text), "bookworm") {
			again := debian(parseSources(s.stanza()), "bookworm")
			if len(again) != 1 || again[0].stanza() != s.stanza() {
				t.Errorf("%q is written as %q and read as %+v", text, s.stanza(), again)
			}
		}
	})
}
