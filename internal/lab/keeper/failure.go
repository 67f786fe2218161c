package keeper

import (
	"errors"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Failure is an error on its way from the keeper to the command: a message of the
// catalogue in any language, or a text.
type Failure struct {
	Code string   `json:"code,omitempty"`
	Args []string `json:"args,omitempty"`
	Text string   `json:"text,omitempty"`
	// Meant is the name that was probably meant.
	Meant string `json:"meant,omitempty"`
}

// failureOf packs an error.
func failureOf(err error) *Failure {
	if err == nil {
		return nil
	}
	m, ok := message.From(err)
	if !ok {
		return &Failure{Text: err.Error()}
	}
	f := &Failure{Code: m.Code(), Args: m.Reason().Args, Text: err.Error()}
	if meant, ok := message.From(m.Unwrap()); ok && meant.Code() == message.DidYouMean {
		f.Meant = meant.Reason().Args[0]
	}
	return f
}

// err unpacks it.
func (f *Failure) err() error {
	switch {
	case f == nil:
		return nil
	case f.Code == "":
		return errors.New(f.Text)
	}
	args := make([]any, len(f.Args))
	for i, a := range f.Args {
		args[i] = a
	}
	m := message.New(f.Code, args...)
	if f.Meant != "" {
		return m.Wrap(message.New(message.DidYouMean, f.Meant))
	}
	return m
}

// near adds the name that was probably meant.
func near(m *message.Error, name string, known []string) error {
	if meant := kit.Nearest(name, known); meant != "" && meant != name {
		return m.Wrap(message.New(message.DidYouMean, meant))
	}
	return m
}

// failed: a lab couldn't be made. Messages of the catalogue stay what they are.
func failed(f *Failure) error {
	if f != nil && f.Code == "" {
		return message.New(message.LabFailed, f.Text)
	}
	return f.err()
}
