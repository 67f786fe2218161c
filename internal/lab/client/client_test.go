package client

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// switchable is a service that can be told to fail.
type switchable struct {
	server *httptest.Server
	node   atomic.Value // string; "" hangs
}

func newSwitchable(t *testing.T) *switchable {
	s := &switchable{}
	s.node.Store("n1")
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node := s.node.Load().(string)
		if node == "" {
			<-r.Context().Done()
			return
		}
		w.Header().Set(NodeHeader, node)
		_, _ = w.Write([]byte(node + "\n"))
	}))
	t.Cleanup(s.server.Close)
	return s
}

func (s *switchable) dial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", s.server.Listener.Addr().String())
}

func TestClientMeasuresAHang(t *testing.T) {
	s := newSwitchable(t)
	c := Start(Config{Dial: s.dial, Interval: 5 * ms, Timeout: 100 * ms})
	defer c.Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := c.WaitGood(ctx, 0, "n1"); err != nil {
		t.Fatal(err)
	}
	from := c.Clock().Now()
	s.node.Store("")
	<-time.After(300 * ms)
	s.node.Store("n2")
	until := c.Clock().Now()
	if _, err := c.WaitGood(ctx, until, "n2"); err != nil {
		t.Fatal(err)
	}
	v := Judge(Gather(c, nil, from), from, c.Clock().Now())
	truth := until - from
	if v.Longest < truth-10*ms-v.Stalled || v.Longest > truth+10*ms+v.Stalled+30*ms {
		t.Errorf("outage %v, truth %v: %s", v.Longest, truth, v)
	}
	if !strings.HasSuffix(v.Nodes(), "n2") {
		t.Errorf("served by %s, want n2 at last", v.Nodes())
	}
	var log bytes.Buffer
	attempts := c.Attempts(0)
	if err := WriteLog(&log, attempts); err != nil {
		t.Fatal(err)
	}
	again, err := ReadLog(&log)
	if err != nil || len(again) != len(attempts) || again[0] != attempts[0] {
		t.Errorf("log read back: %d of %d requests, %v", len(again), len(attempts), err)
	}
}

// When all requests hang, further ones are counted as failed and nothing grows.
func TestClientIsBounded(t *testing.T) {
	s := newSwitchable(t)
	s.node.Store("")
	c := Start(Config{Dial: s.dial, Interval: 2 * ms, Timeout: 500 * ms, InFlight: 3})
	deadline := time.After(10 * time.Second)
	ticker := time.NewTicker(5 * ms)
	defer ticker.Stop()
	for busy := 0; busy < 10; {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("no request was counted as busy")
		}
		busy = 0
		for _, a := range c.Attempts(0) {
			if a.Failed == "busy" {
				busy++
			}
		}
	}
	c.Stop()
}

func TestProberSeesTwoServers(t *testing.T) {
	one, two := newSwitchable(t), newSwitchable(t)
	p := StartProber(ProberConfig{Interval: 5 * ms, PatientInterval: 20 * ms, Doors: []Door{
		{Node: "n1", Dial: one.dial}, {Node: "n2", Dial: two.dial},
	}})
	deadline := time.After(10 * time.Second)
	ticker := time.NewTicker(5 * ms)
	defer ticker.Stop()
	for len(Doubles(p.Replies(0))) == 0 {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("two servers were not seen")
		}
	}
	if serving, why := p.Serving("n1"); !serving {
		t.Errorf("n1 is not seen as serving: %s", why)
	}
	// A patient probe of a server that hangs ends with the prober.
	one.node.Store("")
	p.Stop()
}

func TestClass(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	_, err = request(t.Context(), func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", closed.Addr().String())
	})
	if got := class(err); got != "refused" {
		t.Errorf("closed port: %q (%v)", got, err)
	}
	for reply, want := range map[string]string{
		"": "closed",
		"HTTP/1.1 503 no\r\nContent-Length: 0\r\n\r\n":  "status 503",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nn": "closed",
		"SSH-2.0-x\r\n": "malformed",
		"HTTP/1.1 200 OK\r\nX-Node: n1\r\nContent-Length: 3\r\n\r\nn1\n": "",
	} {
		if _, err := readReply(strings.NewReader(reply)); class(err) != want {
			t.Errorf("reply %q: %q (%v), want %q", reply, class(err), err, want)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nX-Node: n1\r\nContent-Length: 3\r\n\r\nn1\n"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffff\r\n"))
	f.Fuzz(func(t *testing.T, reply []byte) { _, _ = readReply(bytes.NewReader(reply)) })
}

func FuzzReadLog(f *testing.F) {
	f.Add([]byte(`{"seq":1,"sent":1,"done":2,"node":"n1"}` + "\n"))
	f.Fuzz(func(t *testing.T, log []byte) { _, _ = ReadLog(bytes.NewReader(log)) })
}
