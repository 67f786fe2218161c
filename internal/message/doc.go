// Package message is the catalogue of every message to a person: a stable
// code, the text, why it happens and what to do next, in English and Japanese.
//
// The texts are in catalogue.toml, the codes as constants in codes.go; a test
// keeps both complete and equal in both languages. The package owns wording
// and layout for a terminal. It leaves to its callers whether something is
// said at all, and it knows no other package of the project: arguments are
// plain values.
//
// The package is pure and everything in it may be called concurrently: the
// catalogue is part of the program, and an entry is read when it is wanted.
//
// Start reading at error.go, then catalogue.toml.
package message
