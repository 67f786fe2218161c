// Package wording says the vocabulary of the cluster in a person's language:
// states, kinds of entries, and the short labels of tables, which are no
// messages and so have no code, cause or next step.
//
// It owns these words and the breaking of lines; messages belong to package
// message. Everything is a pure function and may be called concurrently.
//
// Start reading at words.go.
package wording
