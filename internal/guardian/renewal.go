package guardian

import (
	"bytes"
	"strconv"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// renewalFields is what a renewal's JSON consists of, in this order. Renewals come
// 8 to 40 times a second, and package json was a fifth of an idle guardian's time;
// so they are written and read by hand. Any other form of the same is JSON too.
var renewalFields = [...]string{`{"generation":`, `,"until":`, `,"gate":`, `,"stop_after":`}

// appendRenewal writes a renewal as package json would; false: it doesn't have all
// fields above zero.
func appendRenewal(b []byte, p *packet) ([]byte, bool) {
	for i, v := range [...]int64{int64(p.Generation), int64(p.Until), int64(p.Gate), int64(p.StopAfter)} {
		if v <= 0 {
			return nil, false
		}
		b = strconv.AppendInt(append(b, renewalFields[i]...), v, 10)
	}
	return append(b, '}'), true
}

// parseRenewal reads what appendRenewal writes; false: it is something else.
func parseRenewal(b []byte) (packet, bool) {
	var values [len(renewalFields)]int64
	for i, name := range renewalFields {
		var ok bool
		if b, ok = bytes.CutPrefix(b, []byte(name)); !ok {
			return packet{}, false
		}
		if values[i], b, ok = parseDigits(b); !ok {
			return packet{}, false
		}
	}
	p := packet{kind: kindRenew, Generation: cluster.Generation(values[0]),
		Until: time.Duration(values[1]), Gate: time.Duration(values[2]), StopAfter: time.Duration(values[3])}
	return p, string(b) == "}"
}

// parseDigits reads a number above zero that surely fits, and returns the rest.
func parseDigits(b []byte) (v int64, rest []byte, ok bool) {
	const longest = 18
	n := 0
	for n < len(b) && n <= longest && b[n] >= '0' && b[n] <= '9' {
		v = v*10 + int64(b[n]-'0')
		n++
	}
	return v, b[n:], n > 0 && n <= longest && b[0] != '0'
}
