package daemon

import (
	"testing"

	"github.com/perdure-ha/perdure/internal/message"
)

// FuzzKits: whatever is given as settings is accepted or refused in words.
func FuzzKits(f *testing.F) {
	f.Add("ip", "address", "192.0.2.10/24")
	f.Add("process", "command", "/bin/sleep 1")
	f.Add("http", "url", "http://[::1]:80/")
	f.Add("nosuch", "", "\x00")
	f.Fuzz(func(t *testing.T, kit, name, value string) {
		_, common, _, err := kits{}.Parse(kit, map[string]string{name: value})
		if err == nil {
			if common.CheckTimeout <= 0 || common.StartTimeout <= 0 || common.StopTimeout <= 0 {
				t.Fatalf("%s: accepted without time-outs: %+v", kit, common)
			}
			return
		}
		for _, e := range flatten(err) {
			if _, ok := message.From(e); !ok {
				t.Fatalf("refused without a code: %v", e)
			}
		}
	})
}

func flatten(err error) []error {
	if j, ok := err.(interface{ Unwrap() []error }); ok {
		return j.Unwrap()
	}
	return []error{err}
}
