package api

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// AccessToken is what a program shows with each request: who it is, the secret
// that proves it, and how it knows the right cluster.
type AccessToken struct {
	ID     string // 16 hex digits, see [cluster.Key]
	Secret [32]byte
	// CAPin is SHA-256 of the public key of the cluster's CA.
	CAPin [32]byte
}

// The text form is accessPrefix and base64url (no padding) of
//
//	id      8 bytes
//	secret  32 bytes
//	pin     32 bytes
//	check   first 4 bytes of SHA-256 over accessPrefix and all before
//
// The number in the prefix is the version of this layout.
const (
	accessPrefix = "perdure-access1."
	accessBytes  = 8 + 32 + 32 + 4
)

var accessEncoding = base64.RawURLEncoding.Strict()

// newAccessToken draws one.
func newAccessToken(pin [32]byte) AccessToken {
	var id [8]byte
	t := AccessToken{CAPin: pin}
	rand.Read(id[:]) // never fails, see crypto/rand
	rand.Read(t.Secret[:])
	t.ID = hex.EncodeToString(id[:])
	return t
}

// String is the text form. It is a secret.
func (t AccessToken) String() string {
	b, _ := hex.DecodeString(t.ID)
	b = append(append(b, t.Secret[:]...), t.CAPin[:]...)
	sum := sha256.Sum256(append([]byte(accessPrefix), b...))
	return accessPrefix + accessEncoding.EncodeToString(append(b, sum[:4]...))
}

// ParseAccessToken reads the text form; blanks around it are ignored.
func ParseAccessToken(text string) (AccessToken, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), accessPrefix)
	if !ok || accessEncoding.DecodedLen(len(rest)) != accessBytes {
		return AccessToken{}, message.New(message.AccessTokenBad)
	}
	b, err := accessEncoding.DecodeString(rest)
	if err != nil || len(b) != accessBytes {
		return AccessToken{}, message.New(message.AccessTokenBad)
	}
	body, check := b[:accessBytes-4], b[accessBytes-4:]
	if sum := sha256.Sum256(append([]byte(accessPrefix), body...)); subtle.ConstantTimeCompare(sum[:4], check) != 1 {
		return AccessToken{}, message.New(message.AccessTokenBad)
	}
	t := AccessToken{ID: hex.EncodeToString(body[:8])}
	copy(t.Secret[:], body[8:])
	copy(t.CAPin[:], body[40:])
	return t, nil
}

// hash is what the cluster remembers of the secret.
func (t AccessToken) hash() string {
	sum := sha256.Sum256(t.Secret[:])
	return hex.EncodeToString(sum[:])
}

// find says whose token it is. The time that it takes says nothing of the
// secret.
func (t AccessToken) find(st *cluster.State, nowUnix int64) (*cluster.Key, bool) {
	k, stored := st.Key(t.ID), ""
	if k != nil {
		stored = k.Hash
	}
	match := subtle.ConstantTimeCompare([]byte(t.hash()), []byte(stored)) == 1
	if k == nil || !match || k.Expired(nowUnix) {
		return nil, false
	}
	if u := st.User(k.User); k.User != "" && (u == nil || !u.Right.Allows(k.Right)) {
		return nil, false
	}
	return k, true
}
