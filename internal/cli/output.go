package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

func (a *app) printf(format string, args ...any) { _, _ = fmt.Fprintf(a.term.Out, format, args...) }

// print writes a message of the catalogue as a line of an answer.
func (a *app) print(code string, args ...any) {
	for _, l := range wording.Break(message.Text(a.lang, code, args...), a.width) {
		a.printf("%s\n", l)
	}
}

// note writes a message about the command itself, apart from its answer.
func (a *app) note(code string, args ...any) {
	for _, l := range wording.Break(message.Text(a.lang, code, args...), a.width) {
		_, _ = fmt.Fprintln(a.term.Err, l)
	}
}

func (a *app) printJSON(v any) error {
	enc := json.NewEncoder(a.term.Out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("write JSON: %w", err)
	}
	return nil
}

// label is a short text that isn't a message.
func (a *app) label(en, ja string) string { return wording.Label{EN: en, JA: ja}.In(a.lang) }

func (a *app) reason(r cluster.Reason) string { return wording.Reason(a.lang, r) }

// mark is a way to stand out on a terminal: SGR parameters. Nothing is said by
// it alone.
// Source: ECMA-48, 8.3.117.
type mark string

const (
	strong mark = "1"
	faint  mark = "2"
	good   mark = "32"
	bad    mark = "1;31"
	warn   mark = "33"
)

func (a *app) mark(m mark, s string) string {
	if !a.color || s == "" {
		return s
	}
	return "\x1b[" + string(m) + "m" + s + "\x1b[0m"
}

// cell is a table's field.
type cell struct {
	text string
	mark mark
}

// table lays rows out in columns; the last one is not padded and is broken into
// lines if it is too wide.
func (a *app) table(w io.Writer, indent string, rows [][]cell) {
	widths := columnWidths(rows)
	for _, r := range rows {
		line, at := indent, message.Width(indent)
		for i, c := range r {
			if i == len(r)-1 {
				for j, part := range wording.Break(c.text, max(a.width-at, 20)) {
					if j > 0 {
						line = strings.Repeat(" ", at)
					}
					_, _ = fmt.Fprintln(w, strings.TrimRight(line+a.mark(c.mark, part), " "))
				}
				break
			}
			line += a.mark(c.mark, c.text) + strings.Repeat(" ", widths[i]-message.Width(c.text)+2)
			at += widths[i] + 2
		}
	}
}

// columnWidths are those of all columns; the last cell of a row makes none.
func columnWidths(rows [][]cell) []int {
	var widths []int
	for _, r := range rows {
		for i, c := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			if i < len(r)-1 {
				widths[i] = max(widths[i], message.Width(c.text))
			}
		}
	}
	return widths
}

// tableWidth is how wide the widest row is when it isn't broken.
func tableWidth(rows [][]cell) int {
	widest, widths := 0, columnWidths(rows)
	for _, r := range rows {
		at := 0
		for i := range len(r) - 1 {
			at += widths[i] + 2
		}
		widest = max(widest, at+message.Width(r[len(r)-1].text))
	}
	return widest
}

// heads is a table's first row.
func heads(names ...string) []cell {
	var out []cell
	for _, n := range names {
		out = append(out, cell{n, faint})
	}
	return out
}

func plain(texts ...string) []cell {
	var out []cell
	for _, t := range texts {
		out = append(out, cell{text: t})
	}
	return out
}

// statusMark is the colour of a status.
func statusMark(s cluster.Status) mark {
	switch s {
	case cluster.InService:
		return good
	case cluster.OutOfService:
		return ""
	case cluster.Failed, cluster.Unknown:
		return bad
	}
	return warn
}

func span(d time.Duration) string { return message.Duration(d) }

// roughly rounds a duration for people: no more than they can use.
func roughly(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return span(d.Round(time.Second))
	case d >= time.Second:
		return span(d.Round(100 * time.Millisecond))
	case d >= 10*time.Millisecond:
		return span(d.Round(time.Millisecond))
	}
	return span(d.Round(10 * time.Microsecond))
}

func (a *app) clock(ms int64) string {
	return time.UnixMilli(ms).In(a.zone).Format("2006-01-02 15:04:05")
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
