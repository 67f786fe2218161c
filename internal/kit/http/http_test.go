package http

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, settings ...string) *kit.Agent {
	t.Helper()
	m := map[string]string{"failures": "1", "check.timeout": "20s"} // the machine may be busy
	for i := 0; i < len(settings); i += 2 {
		m[settings[i]] = settings[i+1]
	}
	return kittest.Open(t, kittest.Host(t, false), Kit{}, m)
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func TestAnswers(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "all is well") })
	mux.HandleFunc("/bad", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/bad", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		for range 3000 {
			if _, err := io.WriteString(w, strings.Repeat("x", 1024)); err != nil {
				return
			}
		}
		io.WriteString(w, "end")
	})
	mux.HandleFunc("host.example/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "by name") })
	srv := httptest.NewServer(mux)
	defer srv.Close()
	secure := httptest.NewUnstartedServer(mux)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // a refused certificate is wanted
	secure.StartTLS()
	defer secure.Close()
	for _, c := range []struct {
		name     string
		settings []string
		status   cluster.Status
		code     string
	}{
		{"good", []string{"url", srv.URL + "/good", "contains", "well"}, cluster.InService, ""},
		{"status", []string{"url", srv.URL + "/bad"}, cluster.Failed, message.HTTPStatus},
		{"wanted status", []string{"url", srv.URL + "/bad", "status", "200,503"}, cluster.InService, ""},
		{"body", []string{"url", srv.URL + "/good", "contains", "ill"}, cluster.Failed, message.HTTPBody},
		{"redirection is not followed", []string{"url", srv.URL + "/elsewhere"}, cluster.InService, ""},
		{"beyond the first MiB", []string{"url", srv.URL + "/long", "contains", "end"}, cluster.Failed, message.HTTPBody},
		{"connect", []string{"url", "http://host.example/", "connect", srv.Listener.Addr().String(), "contains", "by name"}, cluster.InService, ""},
		{"host", []string{"url", srv.URL + "/", "host", "host.example", "contains", "by name"}, cluster.InService, ""},
		{"certificate", []string{"url", secure.URL + "/good"}, cluster.Failed, message.HTTPRefused},
		{"any certificate", []string{"url", secure.URL + "/good", "tls.verify", "no"}, cluster.InService, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			want(t, open(t, c.settings...).Check(t.Context(), kit.Light), c.status, c.code)
		})
	}
}

func TestRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a := open(t, "url", "http://"+l.Addr().String()+"/")
	want(t, a.Check(t.Context(), kit.Light), cluster.Failed, message.HTTPRefused)
}

// The kernel of a hung server takes the connection and nobody answers.
func TestHungServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := open(t, "url", "http://"+l.Addr().String()+"/", "check.timeout", "100ms", "failures", "2")
	begun := time.Now()
	want(t, a.Check(t.Context(), kit.Light), cluster.Degraded, message.HTTPNoAnswer)
	want(t, a.Check(t.Context(), kit.Light), cluster.Failed, message.HTTPNoAnswer)
	if took := time.Since(begun); took < 200*time.Millisecond || took > 2*time.Second {
		t.Errorf("two checks took %v", took)
	}
}

func TestStartWaits(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(503)
		}
	}))
	defer srv.Close()
	a := open(t, "url", srv.URL, "start.timeout", "5s")
	if err := a.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if asked.Load() != 3 {
		t.Errorf("asked %d times, want 3", asked.Load())
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	bad := open(t, "url", srv.URL, "status", "500", "start.timeout", "100ms")
	if e, ok := message.From(bad.Start(t.Context(), "")); !ok || e.Code() != message.HTTPStatus {
		t.Errorf("%v", e)
	}
}

func TestFailuresInARow(t *testing.T) {
	var bad atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if bad.Load() {
			w.WriteHeader(500)
		}
	}))
	defer srv.Close()
	a := open(t, "url", srv.URL, "failures", "3")
	for i, s := range []struct {
		bad  bool
		want cluster.Status
	}{{false, cluster.InService}, {true, cluster.Degraded}, {true, cluster.Degraded}, {false, cluster.InService},
		{true, cluster.Degraded}, {true, cluster.Degraded}, {true, cluster.Failed}, {true, cluster.Failed}, {false, cluster.InService}} {
		bad.Store(s.bad)
		if h := a.Check(t.Context(), kit.Light); h.Status != s.want {
			t.Errorf("step %d: %v, want %s", i, h, s.want)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, bad := range []string{"abc", "200-", "99", "600", "300-200", "200,,201", "-"} {
		if _, err := kit.Parse(Kit{}, map[string]string{"url": "http://x/", "status": bad}); err == nil {
			t.Errorf("status=%s was taken", bad)
		}
	}
}
