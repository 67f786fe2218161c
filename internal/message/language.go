package message

import "strings"

// The languages of the catalogue.
const (
	English  = "en"
	Japanese = "ja"
)

// Language chooses the language: the flag --lang, then PERDURE_LANG, LC_ALL,
// LC_MESSAGES and LANG as env returns them. The first that is set decides;
// anything but Japanese is English.
// Source for the order of the last three: POSIX, Environment Variables, 8.2.
func Language(flag string, env func(string) string) string {
	if flag != "" {
		return language(flag)
	}
	for _, name := range []string{"PERDURE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		if v := env(name); v != "" {
			return language(v)
		}
	}
	return English
}

// language reads "ja", "ja_JP.UTF-8", "ja-JP", "Japanese_Japan.932".
func language(v string) string {
	v = strings.ToLower(v)
	if i := strings.IndexAny(v, "_-.@"); i >= 0 {
		v = v[:i]
	}
	if v == Japanese || v == "japanese" {
		return Japanese
	}
	return English
}
