package health

import (
	"net/netip"
	"testing"
)

func TestParse(t *testing.T) {
	if b, all := parseCPU("cpu  100 10 50 800 30 5 5 20 0 0"); b != 190 || all != 1020 {
		t.Error(b, all)
	}
	if b, all := parseCPU("cpu x"); b != 0 || all != 0 {
		t.Error(b, all)
	}
	if got := parseMemory([]byte("MemTotal:       1000 kB\nMemFree: 1 kB\nMemAvailable:    250 kB\n")); got != 75 {
		t.Error(got)
	}
	if got := parseMemory([]byte("MemTotal: x\n")); got != Unknown {
		t.Error(got)
	}
	if got := used(100, 20, 10, 0, 0); got < 88 || got > 89 { // 80 of the 90 that others than root may use
		t.Error(got)
	}
	if got := used(100, 90, 90, 10, 0); got != 100 { // no file can be made
		t.Error(got)
	}
	const routes = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n" +
		"eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n" +
		"eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
	if got := parseRoutes([]byte(routes)); len(got) != 1 || got[0] != netip.MustParseAddr("192.0.2.1") {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("cpu 1 2 3 4 5 6 7 8\nMemTotal: 1 kB\n"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		parseCPU(string(b))
		parseMemory(b)
		parseRoutes(b)
	})
}
