package message

// Reason is a message in the form that is stored in the replicated state and
// sent between nodes: a code and arguments that are text already. Whoever shows
// it chooses the language then.
type Reason struct {
	Code string   `json:"code"`
	Args []string `json:"args,omitempty"`
}

// NewReason turns the arguments into text. Arguments print the same in both
// languages, except another message: without arguments of its own it stays a
// code, else it becomes English here.
func NewReason(code string, args ...any) Reason {
	r := Reason{Code: code}
	for _, a := range args {
		if e, ok := a.(*Error); ok && len(e.args) == 0 {
			r.Args = append(r.Args, e.code)
			continue
		}
		if code, ok := a.(string); ok && lookup(code).EN != "" {
			r.Args = append(r.Args, code)
			continue
		}
		r.Args = append(r.Args, format(English, a))
	}
	return r
}

// IsZero reports whether there is no reason.
func (r Reason) IsZero() bool { return r.Code == "" }

// Text says the reason in a language; no reason is an empty text.
func (r Reason) Text(lang string) string {
	if r.IsZero() {
		return ""
	}
	return Text(lang, r.Code, r.anys()...)
}

// Localize says the reason with its cause and next step.
func (r Reason) Localize(lang string) Message { return r.Err().Localize(lang) }

// Err returns the reason as an error.
func (r Reason) Err() *Error { return New(r.Code, r.anys()...) }

// String is the English text with the code.
func (r Reason) String() string {
	if r.IsZero() {
		return ""
	}
	return r.Err().Error()
}

func (r Reason) anys() []any {
	args := make([]any, len(r.Args))
	for i, a := range r.Args {
		args[i] = a
	}
	return args
}
