package e2e

import (
	"crypto/rand"
	"net"
	"sync"
	"testing"
	"time"
)

// garbageFor is how long garbage is sent.
const garbageFor = 3 * time.Second

// garbage fires broken, endless and recorded-looking packets at all ports of
// the cluster, while it has to keep its leases.
func garbage(t *testing.T, s *shop) {
	before, err := s.nodes[0].view()
	if err != nil {
		t.Fatal(err)
	}
	s.unchanged(t, func() {
		end := time.Now().Add(garbageFor)
		var all sync.WaitGroup
		for _, m := range s.nodes {
			for network := range 2 {
				at := net.JoinHostPort(address(m.network+network, m.host), "7400")
				all.Go(func() { shower(at, end) })
				all.Go(func() { hose(at, end) })
			}
		}
		all.Wait()
	})
	for _, m := range s.nodes[:3] {
		v, err := m.view()
		if err != nil {
			t.Fatal(err)
		}
		if !v.Local.LeaseAlive || !v.Report.Quorum.Held {
			t.Errorf("%s lost its lease", m.name)
		}
	}
	after, err := s.nodes[0].view()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range after.State.Timeline {
		if e.ID > before.State.Applied && (e.Kind == "evicted" || e.Kind == "assigned") {
			t.Errorf("something moved or was suspected: %+v", e)
		}
	}
	t.Run("counted", func(t *testing.T) {
		if !logs(s.nodes[0], "packets dropped") {
			t.Errorf("nothing tells of the packets\n%s", s.nodes[0].tail(20))
		}
	})
}

// shower sends datagrams: empty, short, broken and as long as they get.
func shower(at string, end time.Time) {
	c, err := net.Dial("udp", at)
	if err != nil {
		return
	}
	defer c.Close()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	packet := make([]byte, 65507)
	sizes := []int{0, 1, 7, 16, 40, 64, 200, 1200, 9000, len(packet)}
	for i := 0; time.Now().Before(end); i++ {
		size := sizes[i%len(sizes)]
		rand.Read(packet[:min(size, 256)]) // never fails, see crypto/rand
		if i%3 == 0 && size > 0 {
			packet[0] = byte(i / 3 % 8) // versions and kinds that may be known
		}
		_, _ = c.Write(packet[:size])
		<-tick.C
	}
}

// hose opens connections: some say nothing, some garbage, some a length without
// an end, some the beginning of a handshake.
func hose(at string, end time.Time) {
	words := [][]byte{
		nil, {0}, {0xff, 0xff, 0xff, 0xff}, []byte("GET / HTTP/1.1\r\n\r\n"), {0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3},
		{0x16, 3, 1, 0xff, 0xff}, make([]byte, 1<<20),
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var open []net.Conn
	for i := 0; time.Now().Before(end); i++ {
		if c, err := net.DialTimeout("tcp", at, time.Second); err == nil {
			_ = c.SetDeadline(end)
			_, _ = c.Write(words[i%len(words)])
			open = append(open, c)
		}
		<-tick.C
	}
	for _, c := range open {
		_ = c.Close()
	}
}
