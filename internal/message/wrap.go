package message

import (
	"slices"
	"strings"
	"unicode"

	"github.com/clipperhouse/displaywidth"
)

// Width is the number of terminal columns of a text; Japanese characters take
// two.
func Width(s string) int { return displaywidth.String(s) }

// wrap breaks a text into lines of at most width columns, the label in front of
// the first and blanks of its width in front of the others. Latin words are
// never broken, so that a command can be copied; one that is longer than the
// line stands alone and sticks out.
func wrap(label, text string, width int) string {
	indent := strings.Repeat(" ", Width(label))
	var b strings.Builder
	b.WriteString(label)
	column, empty := Width(label), true
	for _, p := range KeepUnits(pieces(text)) {
		bare := strings.TrimRight(p, " ")
		if !empty && column+Width(bare) > width {
			b.WriteString("\n" + indent)
			column, empty = len(indent), true
		}
		b.WriteString(p)
		column += Width(p)
		empty = false
	}
	b.WriteByte('\n')
	return trimLines(b.String())
}

// pieces cuts a text where a line may end: after blanks, and beside wide
// characters unless one of them must not begin or end a line.
func pieces(text string) []string {
	var out []string
	start, prev := 0, rune(0)
	for i, r := range text {
		if i > start && breakable(prev, r) {
			out = append(out, text[start:i])
			start = i
		}
		prev = r
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}

// units follow the figures of a duration; see [Duration].
var units = []string{"ns", "µs", "ms", "s", "min", "h", "d"}

// KeepUnits joins pieces of a text where a line must not end because a figure
// and its unit would be torn apart.
func KeepUnits(pieces []string) []string {
	var out []string
	for _, p := range pieces {
		unit := strings.TrimRight(p, " .,:;?!)]}。、")
		if n := len(out); n > 0 && slices.Contains(units, unit) && endsInFigure(out[n-1]) {
			out[n-1] += p
			continue
		}
		out = append(out, p)
	}
	return out
}

func endsInFigure(s string) bool {
	bare, ok := strings.CutSuffix(s, " ")
	return ok && bare != "" && bare[len(bare)-1] >= '0' && bare[len(bare)-1] <= '9'
}

// Characters that Japanese type-setting keeps off the start and the end of a
// line. Source: JIS X 4051.
const (
	notFirst = "、。，．・：；？！ー」』）］｝】〉》々ぁぃぅぇぉっゃゅょァィゥェォッャュョ,.:;?!)]}"
	notLast  = "「『（［｛【〈《([{"
)

func breakable(prev, next rune) bool {
	if unicode.IsSpace(next) {
		return false
	}
	if unicode.IsSpace(prev) {
		return true
	}
	if !wide(prev) && !wide(next) {
		return false
	}
	return !strings.ContainsRune(notFirst, next) && !strings.ContainsRune(notLast, prev)
}

func wide(r rune) bool { return displaywidth.Rune(r) == 2 }

func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimRight(l, " ")
	}
	return strings.Join(lines, "\n")
}
