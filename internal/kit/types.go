package kit

import (
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/perdure-ha/perdure/internal/message"
)

// textMax bounds every value (bytes): settings live in the replicated state.
const textMax = 4096

// parse reads a value; an empty text is the zero value of the type.
func (s Setting) parse(kit, text string) (any, error) {
	if len(text) > textMax || strings.ContainsFunc(text, unicode.IsControl) {
		return nil, message.New(message.SettingText, kit, s.Name, shorten(text), textMax)
	}
	if text == "" {
		return s.zero(), nil
	}
	switch s.Type {
	case Duration:
		d, err := time.ParseDuration(text)
		if err != nil || !within(d, s.Min, s.Max, time.ParseDuration) {
			return nil, message.New(message.SettingDuration, kit, s.Name, text, s.Min, s.Max)
		}
		return d, nil
	case Int:
		n, err := strconv.Atoi(text)
		if err != nil || !within(n, s.Min, s.Max, strconv.Atoi) {
			return nil, message.New(message.SettingNumber, kit, s.Name, text, s.Min, s.Max)
		}
		return n, nil
	case Bool:
		if b, ok := truth[strings.ToLower(text)]; ok {
			return b, nil
		}
		return nil, message.New(message.SettingSwitch, kit, s.Name, text)
	case Address:
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return nil, message.New(message.SettingAddress, kit, s.Name, text, s.Example)
		}
		return a.Unmap(), nil
	case Prefix:
		p, ok := parsePrefix(text)
		if !ok {
			return nil, message.New(message.SettingAddress, kit, s.Name, text, s.Example)
		}
		return p, nil
	case HostPort:
		host, port, err := net.SplitHostPort(text)
		if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 1 || n > 65535 || host == "" {
			return nil, message.New(message.SettingHostPort, kit, s.Name, text, s.Example)
		}
		return text, nil
	case List:
		return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }), nil
	case CommandLine, Pairs:
		return s.parseWords(kit, text)
	case URL:
		u, err := url.Parse(text)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
			return nil, message.New(message.SettingURL, kit, s.Name, text, s.Example)
		}
		return u, nil
	case Enum:
		if !slices.Contains(s.Values, text) {
			return nil, message.New(message.SettingChoice, kit, s.Name, text, s.Values)
		}
	}
	return text, nil
}

func (s Setting) zero() any {
	switch s.Type {
	case Duration:
		return time.Duration(0)
	case Int:
		return 0
	case Bool:
		return false
	case Address:
		return netip.Addr{}
	case Prefix:
		return netip.Prefix{}
	case List, CommandLine, Pairs:
		return []string(nil)
	case URL:
		return (*url.URL)(nil)
	}
	return ""
}

func (s Setting) parseWords(kit, text string) (any, error) {
	words, err := SplitWords(text)
	if err == nil && s.Type == CommandLine && len(words) > 0 && words[0] != "" {
		return words, nil
	}
	if err == nil && s.Type == Pairs && !slices.ContainsFunc(words, notPair) {
		return words, nil
	}
	e := message.New(message.SettingCommand, kit, s.Name, text, s.Example)
	if s.Type == Pairs {
		e = message.New(message.SettingPairs, kit, s.Name, text, s.Example)
	}
	if err != nil {
		return nil, e.Wrap(err)
	}
	return nil, e
}

func notPair(word string) bool { return strings.IndexByte(word, '=') < 1 }

// parsePrefix reads an address with the length of its network. Without a
// length it is the address alone; see [HasLength].
func parsePrefix(text string) (netip.Prefix, bool) {
	if !HasLength(text) {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() || p.Bits() == 0 {
		return netip.Prefix{}, false
	}
	return p, true
}

// HasLength reports whether the text of a [Prefix] names the length of the
// network.
func HasLength(text string) bool { return strings.Contains(text, "/") }

var truth = map[string]bool{"yes": true, "true": true, "on": true, "1": true, "no": false, "false": false, "off": false, "0": false}

// IsBool reports whether a text is a value of [Bool].
func IsBool(text string) bool {
	_, ok := truth[strings.ToLower(text)]
	return ok
}

func within[T int | time.Duration](v T, low, high string, parse func(string) (T, error)) bool {
	if m, err := parse(low); err == nil && v < m {
		return false
	}
	if m, err := parse(high); err == nil && v > m {
		return false
	}
	return true
}

func shorten(s string) string {
	if r := []rune(s); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return s
}
