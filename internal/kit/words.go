package kit

import (
	"errors"
	"strings"
	"unicode"
)

var (
	errQuote     = errors.New("a quotation mark is not closed")
	errBackslash = errors.New("there is a backslash at the end")
)

// SplitWords splits a command line into words. Blanks separate, 'single' quotes
// keep everything, "double" quotes keep everything but \" and \\. A backslash
// outside quotes keeps a blank, a quote or a backslash that follows; before
// anything else it stands for itself, so that Windows paths need no care.
// Nothing is expanded: there is no shell.
func SplitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	inWord, escaped := false, false
	for _, r := range line {
		switch {
		case escaped:
			if keep := r == '\\' || r == '"' || (quote == 0 && (r == '\'' || unicode.IsSpace(r))); !keep {
				word.WriteByte('\\')
			}
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, inWord = r, true
		case unicode.IsSpace(r):
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	if escaped {
		return nil, errBackslash
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// JoinWords writes words as a line that [SplitWords] reads back.
func JoinWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quoteWord(w)
	}
	return strings.Join(quoted, " ")
}

func quoteWord(w string) string {
	plain := w != "" && strings.IndexFunc(w, func(r rune) bool {
		return unicode.IsSpace(r) || r == '"' || r == '\'' || r == '\\'
	}) < 0
	if plain {
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}
