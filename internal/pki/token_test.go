package pki

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/perdure-ha/perdure/internal/message"
)

func someToken() Token {
	return Token{
		Cluster:   "blue-7",
		Addresses: []string{"10.0.0.1:7400", "[fd00::1]:7400", "node-b.example:7400"},
		CAPin:     [32]byte{1, 2, 3},
		Secret:    [16]byte{9, 8, 7},
		Expires:   time.Unix(1_800_000_000, 0).UTC(),
	}
}

func encoded(t testing.TB, tok Token) string {
	t.Helper()
	s, err := tok.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestTokenVector: the text form is spoken between releases and never changes
// under the same prefix.
func TestTokenVector(t *testing.T) {
	const want = "perdure1.AAAAAGtJ0gAJCAcAAAAAAAAAAAAAAAAAAQIDAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGYmx1ZS03Aw0xMC4wLjAuMTo3NDAwDltmZDAwOjoxXTo3NDAwE25vZGUtYi5leGFtcGxlOjc0MDCDGL9C"
	if got := encoded(t, someToken()); got != want {
		t.Errorf("token is\n%s, want\n%s", got, want)
	}
}

func TestTokenRoundTrip(t *testing.T) {
	want := someToken()
	s := encoded(t, want)
	for _, text := range []string{s, "  " + s + "\n", s[:30] + "\r\n   " + s[30:]} {
		got, err := ParseToken(text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	}
	if !SecretMatches(SecretHash(want.Secret), want.Secret[:]) || SecretMatches(SecretHash(want.Secret), []byte("x")) {
		t.Error("the secret's hash doesn't tell secrets apart")
	}
	if want.Expired(want.Expires.Add(-time.Second)) || !want.Expired(want.Expires) {
		t.Error("expiry")
	}
	if a, b := NewSecret(), NewSecret(); a == b {
		t.Error("secrets repeat")
	}
}

// TestTokenTypos changes, drops and doubles each character in turn.
func TestTokenTypos(t *testing.T) {
	s := encoded(t, someToken())
	for i := len(tokenPrefix); i < len(s); i++ {
		other := byte('A')
		if s[i] == 'A' {
			other = 'B'
		}
		for _, text := range []string{
			s[:i] + string(other) + s[i+1:],
			s[:i] + s[i+1:],
			s[:i] + s[i:i+1] + s[i:],
			s[:i],
		} {
			if _, err := ParseToken(text); !says(err, message.TokenDamaged) {
				t.Fatalf("%q: %v", text, err)
			}
		}
	}
}

func TestTokenRefused(t *testing.T) {
	for _, tt := range []struct{ text, code string }{
		{"", message.TokenNotOne},
		{"hello", message.TokenNotOne},
		{"perdure0.AAAA", message.TokenNotOne},
		{"perdure.AAAA", message.TokenNotOne},
		{"perdure2.AAAA", message.TokenNewer},
		{"perdure1.", message.TokenDamaged},
		{"perdure1." + strings.Repeat("A", 1<<20), message.TokenDamaged},
	} {
		if _, err := ParseToken(tt.text); !says(err, tt.code) {
			t.Errorf("%.20q: %v, want %s", tt.text, err, tt.code)
		}
	}
	for name, change := range map[string]func(*Token){
		"no address":    func(t *Token) { t.Addresses = nil },
		"17 addresses":  func(t *Token) { t.Addresses = make([]string, 17) },
		"no port":       func(t *Token) { t.Addresses = []string{"10.0.0.1"} },
		"port 0":        func(t *Token) { t.Addresses = []string{"10.0.0.1:0"} },
		"no host":       func(t *Token) { t.Addresses = []string{":7400"} },
		"escape in it":  func(t *Token) { t.Addresses = []string{"a\x1b[2J:7400"} },
		"cluster id":    func(t *Token) { t.Cluster = "Blue" },
		"long address":  func(t *Token) { t.Addresses = []string{strings.Repeat("a", 255) + ":7400"} },
		"no cluster id": func(t *Token) { t.Cluster = "" },
	} {
		tok := someToken()
		change(&tok)
		if s, err := tok.Encode(); err == nil {
			t.Errorf("%s: encoded as %s", name, s)
		}
	}
}

// FuzzParseToken: whatever is accepted is spelled one way only.
func FuzzParseToken(f *testing.F) {
	f.Add(encoded(f, someToken()))
	f.Add("perdure1.")
	f.Add("perdure2.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		tok, err := ParseToken(text)
		if err != nil {
			if _, known := message.From(err); !known {
				t.Fatalf("error without a code: %v", err)
			}
			return
		}
		if again := encoded(t, tok); again != strings.Join(strings.Fields(text), "") {
			t.Fatalf("%q is also %q", text, again)
		}
	})
}

// FuzzDecodeToken goes behind the check sum.
func FuzzDecodeToken(f *testing.F) {
	f.Add(make([]byte, 58))
	b, err := tokenEncoding.DecodeString(encoded(f, someToken())[len(tokenPrefix):])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-tokenCheck])
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, err := decodeToken(b)
		if err != nil || tok.check() != nil {
			return
		}
		got, err := ParseToken(encoded(t, tok))
		if err != nil || !cmp.Equal(tok, got) {
			t.Fatalf("%+v became %+v, %v", tok, got, err)
		}
	})
}

// FuzzPEM reads damaged key files.
func FuzzPEM(f *testing.F) {
	f.Add([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if blocks, err := splitPEM(b, []string{blockCert, blockKey}); err == nil && len(blocks) != 2 {
			t.Fatalf("%d blocks", len(blocks))
		}
	})
}
