package message

import (
	"errors"
	"strings"
)

// Error is a message of the catalogue as an error. Its arguments stay as they
// were given, so that it can be said in either language later.
type Error struct {
	code    string
	args    []any
	wrapped error
}

// Message is a message in one language, ready to be shown.
type Message struct {
	Code  string `json:"code"`
	Text  string `json:"text"`
	Cause string `json:"cause,omitempty"`
	Next  string `json:"next,omitempty"`
}

// New returns the message of a code with its arguments.
func New(code string, args ...any) *Error { return &Error{code: code, args: args} }

// Wrap returns a copy of e with what was underneath it.
func (e *Error) Wrap(err error) *Error {
	c := *e
	c.wrapped = err
	return &c
}

// Unwrap returns what [Error.Wrap] put underneath, or nil.
func (e *Error) Unwrap() error { return e.wrapped }

// Code returns the message's code, such as PD1001.
func (e *Error) Code() string { return e.code }

// Args returns the arguments as they were given.
func (e *Error) Args() []any { return e.args }

// Error is the English text with the code, and what is underneath.
func (e *Error) Error() string {
	s := Text(English, e.code, e.args...) + " (" + e.code + ")"
	if e.wrapped != nil {
		s += ": " + e.wrapped.Error()
	}
	return s
}

// Is reports whether target is a message of the same code, for [errors.Is]. To
// ask for a code alone, use [Has].
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.code == e.code
}

// Localize says the message in a language.
func (e *Error) Localize(lang string) Message {
	entry := lookup(e.code)
	return Message{
		Code:  e.code,
		Text:  Text(lang, e.code, e.args...),
		Cause: fill(lang, entry.cause(lang), e.args),
		Next:  fill(lang, entry.next(lang), e.args),
	}
}

// Reason returns the message in the form that can be stored and sent.
func (e *Error) Reason() Reason { return NewReason(e.code, e.args...) }

// From finds the first message of the catalogue in an error's chain.
func From(err error) (*Error, bool) {
	var e *Error
	ok := errors.As(err, &e)
	return e, ok
}

// Has reports whether a message with this code is anywhere in an error's chain.
func Has(err error, code string) bool { return errors.Is(err, &Error{code: code}) }

// Text is the text of a code in a language, without cause and next step. A code
// that the catalogue doesn't have (a newer node may send one) prints as itself
// with its arguments.
func Text(lang, code string, args ...any) string {
	if text := lookup(code).text(lang); text != "" {
		return fill(lang, text, args)
	}
	if len(args) == 0 {
		return code
	}
	shown := make([]string, len(args))
	for i, a := range args {
		shown[i] = format(lang, a)
	}
	return code + ": " + strings.Join(shown, ", ")
}
