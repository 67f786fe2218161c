package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Problem is an error as the API sends it: RFC 9457, with the message of the
// catalogue in both languages.
type Problem struct {
	Type   string `json:"type" doc:"about:blank, or tag:perdure,CODE"`
	Title  string `json:"title" doc:"the text in English"`
	Status int    `json:"status"`
	// Code and Args are the message; a client with the catalogue says it in
	// its own words.
	Code string   `json:"code" example:"PD3001"`
	Args []string `json:"args,omitempty"`
	// Detail is what was underneath, untranslated.
	Detail string   `json:"detail,omitempty"`
	Text   Words    `json:"text"`
	Cause  Words    `json:"cause,omitzero"`
	Next   Words    `json:"next,omitzero"`
	Errors []string `json:"errors,omitempty" doc:"the parts of a request that are not valid"`
	// More are further messages of the same request.
	More []Problem `json:"more,omitempty"`
}

func (p *Problem) Error() string { return p.Text.EN + " (" + p.Code + ")" }

// GetStatus is the HTTP status, for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType makes the media type that of RFC 9457, for huma.
func (p *Problem) ContentType(ct string) string {
	if ct == "application/json" {
		return "application/problem+json"
	}
	return ct
}

// newProblem says a message with a status.
func newProblem(status int, e *message.Error) *Problem {
	r := e.Reason()
	en, ja := e.Localize(message.English), e.Localize(message.Japanese)
	p := &Problem{
		Type: "tag:perdure," + r.Code, Title: en.Text, Status: status, Code: r.Code, Args: r.Args,
		Text:  Words{en.Text, ja.Text},
		Cause: Words{en.Cause, ja.Cause},
		Next:  Words{en.Next, ja.Next},
	}
	if under := e.Unwrap(); under != nil {
		p.Detail = under.Error()
	}
	return p
}

// refusal is a command that the state refused.
func refusal(r cluster.Reason) *Problem {
	status := http.StatusConflict
	switch r.Code {
	case cluster.RefusedUnknownNode, cluster.RefusedNotFound, cluster.RefusedNoResource:
		status = http.StatusNotFound
	case cluster.RefusedBadName, cluster.RefusedCycle, cluster.RefusedNoNodes, cluster.RefusedWitness, cluster.RefusedDetection, cluster.RefusedDetectionLong, cluster.RefusedDetectionRTT:
		status = http.StatusUnprocessableEntity
	}
	return newProblem(status, reasonError(r))
}

func reasonError(r cluster.Reason) *message.Error {
	return message.Reason{Code: r.Code, Args: r.Args}.Err()
}

// problem turns any error into one; status is for messages of the catalogue.
func problem(status int, err error) *Problem {
	var done *Problem
	if errors.As(err, &done) {
		return done
	}
	var all []*Problem
	for _, e := range flatten(err) {
		if m, ok := message.From(e); ok {
			all = append(all, newProblem(status, m))
		}
	}
	switch {
	case len(all) > 0:
		for _, more := range all[1:] {
			all[0].More = append(all[0].More, *more)
		}
		return all[0]
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return newProblem(http.StatusGatewayTimeout, message.New(message.RequestTimeout).Wrap(err))
	}
	return newProblem(http.StatusInternalServerError, message.New(message.APIFault).Wrap(err))
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range j.Unwrap() {
			out = append(out, flatten(e)...)
		}
		return out
	}
	return []error{err}
}

// init makes huma's own errors (a body that isn't valid, an unknown path) look
// like ours. huma has one such hook for the process.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		var parts []string
		for _, e := range errs {
			var done *Problem
			if errors.As(e, &done) {
				return done
			}
			if e != nil {
				parts = append(parts, e.Error())
			}
		}
		if status >= http.StatusInternalServerError {
			return newProblem(status, message.New(message.APIFault).Wrap(errors.New(strings.Join(append([]string{msg}, parts...), "; "))))
		}
		p := newProblem(status, message.New(message.BadRequest, strings.Join(append([]string{msg}, parts...), "; ")))
		p.Errors = parts
		return p
	}
}

// err is the problem as a client's error: a message of the catalogue where the
// client has it, else the server's words.
func (p *Problem) err() error {
	all := []error{p.one()}
	for i := range p.More {
		all = append(all, p.More[i].one())
	}
	if len(all) == 1 {
		return all[0]
	}
	return errors.Join(all...)
}

func (p *Problem) one() error {
	if !known(p.Code) {
		return fmt.Errorf("%w", p)
	}
	e := message.Reason{Code: p.Code, Args: p.Args}.Err()
	if p.Detail != "" {
		e = e.Wrap(errors.New(p.Detail))
	}
	return e
}

// known reports whether this program's catalogue has the code: a newer daemon
// may know more.
func known(code string) bool {
	return code != "" && message.New(code).Localize(message.English).Cause != ""
}
