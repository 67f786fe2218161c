package host

import "testing"

func record(key, value string) []byte {
	b := make([]byte, keySize+valueSize)
	copy(b[:keySize], key)
	copy(b[keySize:], value)
	return b
}

func TestParse(t *testing.T) {
	all := append(record("HostName", "HV1"), record("PhysicalHostNameFullyQualified", "hv1.example.com")...)
	for name, c := range map[string]struct {
		pool []byte
		want string
	}{
		"the best of two":      {all, "hv1.example.com"},
		"one":                  {record("HostName", "HV1"), "HV1"},
		"others":               {record("VirtualMachineName", "n1"), ""},
		"nothing":              {nil, ""},
		"cut off":              {all[:keySize+valueSize+7], "HV1"},
		"an empty better one":  {append(record("PhysicalHostName", ""), record("HostName", "HV1")...), "HV1"},
		"a value without zero": {append(append(make([]byte, 0), record("HostName", "")[:keySize]...), make([]byte, valueSize)...), ""},
	} {
		if got := parse(c.pool); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(record("HostName", "HV1"))
	f.Add([]byte("HostName"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := parse(b); len(got) > 255 {
			t.Errorf("%d bytes of a name", len(got))
		}
	})
}
