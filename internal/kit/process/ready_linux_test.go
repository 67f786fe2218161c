package process

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestReady(t *testing.T) {
	h, ctx := kittest.Host(t, false), kittest.Context(t)
	answer := make(chan int, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(<-answer) }))
	defer srv.Close()
	answer <- 503
	answer <- 500
	answer <- 204
	a := kittest.Open(t, h, Kit{}, settings("exec sleep 60", "ready.url", srv.URL+"/health", "ready.tcp", srv.Listener.Addr().String()))
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if len(answer) != 0 {
		t.Error("in service before the third answer")
	}
	answer <- 500
	if h := a.Check(ctx, kit.Deep); h.Status != cluster.Failed || h.Reason.Code != message.HTTPStatus {
		t.Errorf("deep check: %v", h)
	}
	if h := a.Check(ctx, kit.Light); h.Status != cluster.InService {
		t.Errorf("light check: %v", h)
	}
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestStartFails(t *testing.T) {
	h := kittest.Host(t, false)
	for name, c := range map[string]struct {
		set  map[string]string
		code string
	}{
		"ends at once":      {settings("echo no such port; exit 3", "ready.tcp", "127.0.0.1:1"), message.ProcessEndedEarly},
		"ends while ready":  {settings("exit 3", "ready.after", "1s"), message.ProcessEndedEarly},
		"never ready":       {settings("exec sleep 60", "ready.tcp", "127.0.0.1:1", "start.timeout", "150ms"), message.ProcessNotReady},
		"no such program":   {map[string]string{"command": "/nonexistent/x"}, message.NotExecutable},
		"not executable":    {map[string]string{"command": "/etc/passwd"}, message.NotExecutable},
		"a directory":       {map[string]string{"command": "/usr"}, message.NotExecutable},
		"no such directory": {settings("exit 0", "directory", "/nonexistent"), message.NoSuchDirectory},
		"no such user":      {settings("exit 0", "user", "nobody-of-that-name"), message.NoSuchUser},
		"pidless, no group": {settings("exit 0", "pidless", "yes"), message.NeedsGroup},
	} {
		t.Run(name, func(t *testing.T) {
			a := kittest.Open(t, h, Kit{}, c.set)
			err := a.Start(kittest.Context(t), "")
			if code(err) != c.code {
				t.Errorf("%v, want %s", err, c.code)
			}
			if err := a.Stop(kittest.Context(t)); err != nil {
				t.Error(err)
			}
			want(t, a, cluster.OutOfService, message.ProcessNotRunning)
		})
	}
}

func TestSecondOutputIsInTheMessage(t *testing.T) {
	a := kittest.Open(t, kittest.Host(t, false), Kit{}, settings("echo port taken >&2; exit 3", "ready.after", "1s"))
	err := a.Start(kittest.Context(t), "")
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "port taken") {
		t.Error(err)
	}
}

func TestCancelledStartReturns(t *testing.T) {
	a := kittest.Open(t, kittest.Host(t, false), Kit{}, settings("exec sleep 60", "ready.tcp", "127.0.0.1:1"))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- a.Start(ctx, "") }()
	kittest.Eventually(t, "started", func() bool { return a.Resource.(*Process).current() != nil })
	cancel()
	if err := <-done; code(err) != message.ProcessNotReady {
		t.Error(err)
	}
	if err := a.Stop(kittest.Context(t)); err != nil {
		t.Error(err)
	}
}
