package message

import "strings"

// DefaultWidth is the terminal width for which messages are laid out when
// nothing else is known.
const DefaultWidth = 80

// labels are the words in front of the parts of a rendered message.
var labels = map[string]struct{ detail, cause, next string }{
	English:  {"Detail: ", "Cause: ", "Next: "},
	Japanese: {"詳細: ", "原因: ", "対処: "},
}

// Render lays an error out for a terminal: the text with its code, what is
// underneath, the cause and the next step. An error that is not of the
// catalogue is shown as it is. The result ends with a newline.
func Render(lang string, err error, width int) string {
	if err == nil {
		return ""
	}
	if width < 20 {
		width = DefaultWidth
	}
	e, ok := From(err)
	if !ok {
		return wrap("", clean(err.Error()), width)
	}
	if lang != Japanese {
		lang = English
	}
	l, m := labels[lang], e.Localize(lang)
	var b strings.Builder
	b.WriteString(wrap("", m.Text+" ("+m.Code+")", width))
	if d := detail(err, e); d != "" && d != Text(English, e.code, e.args...)+" ("+e.code+")" {
		b.WriteString(wrap(l.detail, clean(d), width))
	}
	if m.Cause != "" {
		b.WriteString(wrap(l.cause, m.Cause, width))
	}
	if m.Next != "" {
		b.WriteString(wrap(l.next, m.Next, width))
	}
	return b.String()
}

// detail is what the chain says beyond the message itself: the words around it
// in English, or else what is underneath it.
func detail(err error, e *Error) string {
	if err != error(e) {
		return err.Error()
	}
	if e.wrapped == nil {
		return ""
	}
	return e.wrapped.Error()
}
