package guardian

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestRenewalIsJSON: written and read by hand, a renewal is what package json makes
// of it, also at the bounds.
func TestRenewalIsJSON(t *testing.T) {
	values := []int64{0, 1, 9, 10, 999_999_999_999_999_999, 1_000_000_000_000_000_000, math.MaxInt64, -1}
	pick := func() int64 {
		if rand.N(3) == 0 {
			return values[rand.N(len(values))]
		}
		return rand.Int64N(1 << 50)
	}
	for range 2000 {
		p := packet{kind: kindRenew, Generation: cluster.Generation(max(pick(), 0)), Until: time.Duration(pick()),
			Gate: time.Duration(pick()), StopAfter: time.Duration(pick())}
		b, err := p.encode()
		if err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(p)
		if err != nil || string(b[2:]) != string(want) {
			t.Fatalf("written %s, want %s, %v", b[2:], want, err)
		}
		if got, err := decode(b); err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("read %+v, %v, want %+v", got, err, p)
		}
	}
}

// TestParseRenewalRefuses: what isn't exactly that form is left to package json.
func TestParseRenewalRefuses(t *testing.T) {
	for _, s := range []string{
		``, `{`, `{}`, `{"generation":1}`,
		`{"generation":1,"until":2,"gate":3,"stop_after":4`,
		`{"generation":1,"until":2,"gate":3,"stop_after":4} `,
		`{"generation":1,"until":2,"gate":3,"stop_after":4,"on":true}`,
		`{"generation":01,"until":2,"gate":3,"stop_after":4}`,
		`{"generation":0,"until":2,"gate":3,"stop_after":4}`,
		`{"generation":1,"until":-2,"gate":3,"stop_after":4}`,
		`{"generation":1,"until":2.5,"gate":3,"stop_after":4}`,
		`{"generation":1,"until":1000000000000000000,"gate":3,"stop_after":4}`,
		`{"until":2,"generation":1,"gate":3,"stop_after":4}`,
	} {
		if p, ok := parseRenewal([]byte(s)); ok {
			t.Errorf("%s was read as %+v", s, p)
		}
	}
}
