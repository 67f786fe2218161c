package message

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

var placeholder = regexp.MustCompile(`\{(\d{1,2})\}`)

// fill puts the arguments into a text. A placeholder without an argument stays,
// which a person can still read; it is never a panic.
func fill(lang, text string, args []any) string {
	return placeholder.ReplaceAllStringFunc(text, func(p string) string {
		n, err := strconv.Atoi(p[1 : len(p)-1])
		if err != nil || n >= len(args) {
			return p
		}
		return format(lang, args[n])
	})
}

// format prints one argument: durations and times in one short form for both
// languages, lists with commas, another message in the same language. A string
// that is a code is such a message, which lets a word of the vocabulary travel
// in a [Reason] and be said in the reader's language.
func format(lang string, arg any) string {
	switch a := arg.(type) {
	case nil:
		return "-"
	case string:
		if a == "" {
			return "-" // such as the output of a program that said nothing
		}
		if text := lookup(a).text(lang); text != "" {
			return text
		}
		return clean(a)
	case time.Duration:
		return Duration(a)
	case time.Time:
		if a.IsZero() {
			return "-"
		}
		return a.Format("2006-01-02 15:04:05 -0700")
	case Reason:
		return a.Text(lang)
	case *Error:
		return Text(lang, a.code, a.args...)
	case []string:
		shown := make([]string, len(a))
		for i, s := range a {
			shown[i] = clean(s)
		}
		return strings.Join(shown, ", ")
	}
	return clean(fmt.Sprint(arg))
}

// Duration prints a duration as people read it: two units or three figures.
func Duration(d time.Duration) string {
	sign := ""
	if d < 0 {
		if d == -1<<63 {
			d++
		}
		sign, d = "-", -d
	}
	switch {
	case d == 0:
		return "0 s"
	case d < time.Microsecond:
		return sign + figures(float64(d), "ns")
	case d < time.Millisecond:
		return sign + figures(float64(d)/1e3, "µs")
	case d < time.Second:
		return sign + figures(float64(d)/1e6, "ms")
	case d < time.Minute:
		return sign + figures(d.Seconds(), "s")
	case d < time.Hour:
		return sign + pair(d, time.Minute, "min", time.Second, "s")
	case d < 24*time.Hour:
		return sign + pair(d, time.Hour, "h", time.Minute, "min")
	}
	return sign + pair(d, 24*time.Hour, "d", time.Hour, "h")
}

// figures keeps two decimals below 10, one below 100 and none above, and drops
// zeros at the end.
func figures(v float64, unit string) string {
	decimals := 2
	if v >= 10 {
		decimals = 1
	}
	if v >= 100 {
		decimals = 0
	}
	s := strconv.FormatFloat(v, 'f', decimals, 64)
	if decimals > 0 {
		s = strings.TrimRight(strings.TrimRight(s, "0"), ".")
	}
	return s + " " + unit
}

func pair(d, large time.Duration, largeUnit string, small time.Duration, smallUnit string) string {
	s := strconv.FormatInt(int64(d/large), 10) + " " + largeUnit
	if rest := int64(d % large / small); rest > 0 {
		s += " " + strconv.FormatInt(rest, 10) + " " + smallUnit
	}
	return s
}

// argumentMax is how much of an argument is shown, in characters: the longest
// that says something is a program's last words.
const argumentMax = 600

// clean keeps an argument on one line and short, and takes the terminal's
// control codes and everything that turns its letters around out of it:
// arguments come from scripts, other machines and users.
func clean(s string) string {
	if len(s) <= argumentMax && utf8.ValidString(s) && strings.IndexFunc(s, unfit) < 0 {
		return s
	}
	var b strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if n++; n > argumentMax {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == '\r':
		case unfit(r) && r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		case unfit(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unfit reports whether a character changes how a terminal shows others.
func unfit(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Bidi_Control, unicode.Zl, unicode.Zp)
}
