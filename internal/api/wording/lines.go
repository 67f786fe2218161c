package wording

import (
	"strings"

	"github.com/perdure-ha/perdure/internal/message"
)

// Break cuts a text into lines of at most width columns: at blanks, or between
// wide characters, which need none. A word that is too long for a line is cut.
func Break(text string, width int) []string {
	width = max(width, 10)
	var lines []string
	line, at := "", 0
	flush := func() {
		lines, line, at = append(lines, strings.TrimRight(line, " ")), "", 0
	}
	for _, piece := range message.KeepUnits(pieces(text)) {
		w := message.Width(piece)
		if at > 0 && at+message.Width(strings.TrimRight(piece, " ")) > width {
			flush()
		}
		for w > width {
			cut := fit(piece, width)
			lines = append(lines, piece[:cut])
			piece = piece[cut:]
			w = message.Width(piece)
		}
		line, at = line+piece, at+w
	}
	if line != "" || len(lines) == 0 {
		flush()
	}
	return lines
}

// pieces are what must stay together, each with the blanks that follow it.
// Punctuation stays with the wide character before it.
func pieces(text string) []string {
	var out []string
	start, wideBefore := 0, false
	runes := []rune(text)
	cut := func(i int) {
		if i > start {
			out = append(out, string(runes[start:i]))
			start = i
		}
	}
	for i, r := range runes {
		wide := message.Width(string(r)) == 2
		switch {
		case i > 0 && runes[i-1] == ' ' && r != ' ':
			cut(i)
		case (wide || wideBefore) && r != ' ' && !strings.ContainsRune("、。，．）」』】〕:;)ー々ァィゥェォッャュョぁぃぅぇぉっゃゅょ", r):
			cut(i)
		}
		wideBefore = wide
	}
	cut(len(runes))
	return out
}

// fit is the number of bytes of s that fit into width columns, at least one
// character.
func fit(s string, width int) int {
	at := 0
	for i, r := range s {
		w := message.Width(string(r))
		if at+w > width && i > 0 {
			return i
		}
		at += w
	}
	return len(s)
}

// Pad fills s with blanks up to a number of columns.
func Pad(s string, columns int) string {
	if n := columns - message.Width(s); n > 0 {
		return s + strings.Repeat(" ", n)
	}
	return s
}

// Cut shortens s to a number of columns and marks that it did.
func Cut(s string, columns int) string {
	if message.Width(s) <= columns {
		return s
	}
	return s[:fit(s, max(columns-1, 1))] + "…"
}
