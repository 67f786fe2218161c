package api

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/perdure-ha/perdure/internal/message"
)

// Argon2id, the second of the recommended choices with the least memory that is
// still recommended: a node has other things to do with its memory.
// Source: OWASP Password Storage Cheat Sheet; RFC 9106.
const (
	argonTime    = 2
	argonMemory  = 19 << 10 // KiB
	argonThreads = 1
	argonSalt    = 16 // bytes
	argonKey     = 32 // bytes
)

const (
	// PasswordMin is the least length of a password (characters).
	PasswordMin = 10
	passwordMax = 256 // bytes
)

// argon is the form in which a password is kept: that of the reference
// implementation.
const argon = "$argon2id$v=19$m=%d,t=%d,p=%d$%s$%s"

// passwords computes slow hashes, one at a time, so that log-ins can take
// neither the memory nor more than one core.
type passwords chan struct{}

func newPasswords() passwords { return make(passwords, 1) }

// take waits for its turn.
func (p passwords) take(ctx context.Context) error {
	select {
	case p <- struct{}{}:
		return nil
	case <-ctx.Done():
		return message.New(message.RequestTimeout).Wrap(ctx.Err())
	}
}

// hash turns a password into what is kept of it.
func (p passwords) hash(ctx context.Context, text string) (string, error) {
	if n := utf8.RuneCountInString(text); n < PasswordMin || len(text) > passwordMax {
		return "", message.New(message.PasswordLength, n, PasswordMin, passwordMax)
	}
	if err := p.take(ctx); err != nil {
		return "", err
	}
	defer func() { <-p }()
	var salt [argonSalt]byte
	rand.Read(salt[:]) // never fails, see crypto/rand
	key := argon2.IDKey([]byte(text), salt[:], argonTime, argonMemory, argonThreads, argonKey)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf(argon, argonMemory, argonTime, argonThreads, b64.EncodeToString(salt[:]), b64.EncodeToString(key)), nil
}

// nobody is checked against when there is no such user, so that the time of an
// answer doesn't say which names exist.
var nobody = fmt.Sprintf(argon, argonMemory, argonTime, argonThreads, "AAAAAAAAAAAAAAAAAAAAAA", base64.RawStdEncoding.EncodeToString(make([]byte, argonKey)))

// matches reports whether a password is the one that was kept.
func (p passwords) matches(ctx context.Context, kept, text string) (bool, error) {
	m, t, threads, salt, key, ok := parseArgon(kept)
	if !ok || len(text) > passwordMax {
		return false, nil
	}
	if err := p.take(ctx); err != nil {
		return false, err
	}
	defer func() { <-p }()
	got := argon2.IDKey([]byte(text), salt, t, m, threads, uint32(len(key)))
	return subtle.ConstantTimeCompare(got, key) == 1, nil
}

// parseArgon reads what hash wrote; larger parameters than a node would choose
// are refused, whoever wrote them.
func parseArgon(kept string) (m, t uint32, threads uint8, salt, key []byte, ok bool) {
	parts := strings.Split(kept, "$")
	if len(parts) != 6 || parts[1] != "argon2id" || parts[2] != "v=19" {
		return 0, 0, 0, nil, nil, false
	}
	if n, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &m, &t, &threads); err != nil || n != 3 {
		return 0, 0, 0, nil, nil, false
	}
	if m < 8 || m > 1<<17 || t < 1 || t > 16 || threads < 1 || threads > 4 {
		return 0, 0, 0, nil, nil, false
	}
	salt, err1 := base64.RawStdEncoding.DecodeString(parts[4])
	key, err2 := base64.RawStdEncoding.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < 8 || len(key) < 16 || len(key) > 64 {
		return 0, 0, 0, nil, nil, false
	}
	return m, t, threads, salt, key, true
}
