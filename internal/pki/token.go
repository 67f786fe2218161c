package pki

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// Token is what a new node is given to join: where to ask, how to know the
// right cluster, and the secret that says it was invited. It is shown once;
// the cluster keeps only [SecretHash].
type Token struct {
	Cluster   string
	Addresses []string // host:port of nodes that answer a join
	CAPin     [32]byte // see [Pin]
	Secret    [16]byte
	// Expires has a precision of seconds. The cluster's nodes decide by their
	// clocks; a joiner's clock is set by nobody yet.
	Expires time.Time
}

// The text form is tokenPrefix and base64url (no padding) of
//
//	expires  u64  Unix seconds, big endian like all numbers here
//	secret   16 bytes
//	pin      32 bytes
//	cluster  u8 length, bytes
//	count    u8, then for each address: u8 length, bytes
//	check    first 4 bytes of SHA-256 over tokenPrefix and all before
//
// The number in the prefix is the version of this layout.
const (
	tokenPrefix    = "perdure1."
	tokenCheck     = 4
	tokenAddresses = 16
	// tokenMax bounds what is looked at: 16 addresses of 255 bytes in base64.
	tokenMax = 6000
)

var tokenEncoding = base64.RawURLEncoding.Strict()

// NewSecret makes a token's secret.
func NewSecret() (s [16]byte) {
	rand.Read(s[:]) // never fails, see crypto/rand
	return s
}

// SecretHash is what the cluster remembers of a token.
func SecretHash(secret [16]byte) [32]byte { return sha256.Sum256(secret[:]) }

// SecretMatches reports whether a secret is the one of the hash, in a time that
// doesn't depend on where they differ.
func SecretMatches(hash [32]byte, secret []byte) bool {
	got := sha256.Sum256(secret)
	return subtle.ConstantTimeCompare(hash[:], got[:]) == 1
}

// Expired reports whether the token's time is over.
func (t Token) Expired(now time.Time) bool { return !now.Before(t.Expires) }

// Encode returns the token's text form.
func (t Token) Encode() (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(t.Expires.Unix()))
	b = append(b, t.Secret[:]...)
	b = append(b, t.CAPin[:]...)
	b = append(append(b, byte(len(t.Cluster))), t.Cluster...)
	b = append(b, byte(len(t.Addresses)))
	for _, a := range t.Addresses {
		b = append(append(b, byte(len(a))), a...)
	}
	sum := tokenSum(b)
	return tokenPrefix + tokenEncoding.EncodeToString(append(b, sum[:]...)), nil
}

// ParseToken reads the text form. Blanks and line breaks, as mail and terminals
// put them in, are ignored anywhere.
func ParseToken(text string) (Token, error) {
	text = strings.Join(strings.Fields(text), "")
	rest, err := stripPrefix(text)
	if err != nil {
		return Token{}, err
	}
	if len(rest) > tokenMax {
		return Token{}, message.New(message.TokenDamaged).Wrap(fmt.Errorf("%d characters are too many", len(rest)))
	}
	b, err := tokenEncoding.DecodeString(rest)
	if err != nil {
		return Token{}, message.New(message.TokenDamaged).Wrap(err)
	}
	if len(b) < tokenCheck {
		return Token{}, message.New(message.TokenDamaged).Wrap(errors.New("it is cut off"))
	}
	body, check := b[:len(b)-tokenCheck], b[len(b)-tokenCheck:]
	if sum := tokenSum(body); !slices.Equal(sum[:], check) {
		return Token{}, message.New(message.TokenDamaged)
	}
	t, err := decodeToken(body)
	if err == nil {
		err = t.check()
	}
	if err != nil {
		return Token{}, message.New(message.TokenDamaged).Wrap(err)
	}
	return t, nil
}

// stripPrefix tells a newer release's token from something that isn't one.
func stripPrefix(text string) (string, error) {
	if rest, ok := strings.CutPrefix(text, tokenPrefix); ok {
		return rest, nil
	}
	version, _, dot := strings.Cut(text, ".")
	digits, named := strings.CutPrefix(version, "perdure")
	if n, err := strconv.ParseUint(digits, 10, 16); dot && named && err == nil && n > 1 {
		return "", message.New(message.TokenNewer, n)
	}
	return "", message.New(message.TokenNotOne, tokenPrefix)
}

func tokenSum(body []byte) [tokenCheck]byte {
	sum := sha256.Sum256(append([]byte(tokenPrefix), body...))
	return [tokenCheck]byte(sum[:tokenCheck])
}

func decodeToken(b []byte) (t Token, err error) {
	if len(b) < 8+16+32 {
		return t, errors.New("it is cut off")
	}
	t.Expires = time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC()
	copy(t.Secret[:], b[8:])
	copy(t.CAPin[:], b[24:])
	b = b[56:]
	if t.Cluster, b, err = cutString(b); err != nil {
		return t, err
	}
	if len(b) == 0 {
		return t, errors.New("it is cut off")
	}
	count := int(b[0])
	b = b[1:]
	for range count {
		var a string
		if a, b, err = cutString(b); err != nil {
			return t, err
		}
		t.Addresses = append(t.Addresses, a)
	}
	if len(b) > 0 {
		return t, fmt.Errorf("%d bytes follow its end", len(b))
	}
	return t, nil
}

func cutString(b []byte) (string, []byte, error) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return "", nil, errors.New("it is cut off")
	}
	n := 1 + int(b[0])
	return string(b[1:n]), b[n:], nil
}

func (t Token) check() error {
	if err := CheckClusterID(t.Cluster); err != nil {
		return err
	}
	if n := len(t.Addresses); n == 0 || n > tokenAddresses {
		return fmt.Errorf("token with %d addresses, want 1 to %d", n, tokenAddresses)
	}
	for _, a := range t.Addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	return nil
}

func checkAddress(a string) error {
	host, port, err := net.SplitHostPort(a)
	if err != nil {
		return fmt.Errorf("address %q: %w", a, err)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("address %q: %q is no port", a, port)
	}
	if host == "" || len(a) > 255 {
		return fmt.Errorf("address %q: want HOST:PORT in at most 255 characters", a)
	}
	// What is no address or name must not reach a terminal or a resolver.
	for _, r := range host {
		if r <= ' ' || r >= 0x7f {
			return fmt.Errorf("address %q: %q in a host name", a, r)
		}
	}
	return nil
}
