package samba

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a server with everything of its own.
func open(t *testing.T, more ...string) *kit.Agent {
	t.Helper()
	if _, err := exec.LookPath("smbd"); err != nil {
		t.Skip("SKIPPED: the package samba is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: smbd needs root")
	}
	dir, address := t.TempDir(), freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	text := fmt.Sprintf("[global]\nworkgroup = TEST\nsmb ports = %s\ninterfaces = 127.0.0.1\nbind interfaces only = yes\ndisable spoolss = yes\nserver role = standalone server\n", port)
	for _, d := range []string{"private dir", "state directory", "cache directory", "lock directory", "pid directory", "ncalrpc dir"} {
		path := filepath.Join(dir, strings.ReplaceAll(d, " ", "-"))
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		text += d + " = " + path + "\n"
	}
	text += "[data]\npath = " + dir + "\n"
	config := filepath.Join(dir, "smb.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	m := map[string]string{"config": config, "address": address, "check.timeout": "1m", "deep.timeout": "1m"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	a := kittest.Open(t, kittest.Host(t, true), Kit{}, m)
	t.Cleanup(func() {
		if err := a.Stop(kittest.Context(t)); err != nil {
			t.Error("stop at the end: ", err)
		}
	})
	return a
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func TestLife(t *testing.T) {
	ctx, a := t.Context(), open(t)
	if err := a.Validate(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.ProcessNotRunning)
	for range 2 { // again is nothing
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	want(t, a.Check(ctx, kit.Deep), cluster.InService, "")
	id, _, _ := a.Resource.(*Samba).Running()
	events := kittest.Events(t, a)
	if err := syscall.Kill(id.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.ProcessEnded)
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	id, _, _ = a.Resource.(*Samba).Running()
	if err := syscall.Kill(id.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	kittest.Eventually(t, "it is seen to be stopped", func() bool {
		return a.Check(ctx, kit.Light).Reason.Code == message.ProcessStopped
	})
	if err := syscall.Kill(id.PID, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Deep), cluster.OutOfService, message.ProcessNotRunning)
}

func TestBadConfig(t *testing.T) {
	ctx, a := t.Context(), open(t)
	config := a.Instance().Values.String("config")
	if err := os.WriteFile(config, []byte("[global]\nno such thing = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := a.Validate(ctx); !message.Has(err, message.ServerConfig) {
		t.Error(err)
	}
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	if err := a.Validate(ctx); err != nil {
		t.Error("the disk may come later: ", err)
	}
	if err := a.Start(ctx, ""); !message.Has(err, message.ServerConfig) {
		t.Error(err)
	}
}

// What takes the connection and says nothing, or something else, is no server.
func TestNoServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a := open(t, "address", l.Addr().String(), "start.timeout", "3s")
	if err := a.Start(t.Context(), ""); !message.Has(err, message.ServerNoAnswer) {
		t.Error(err)
	}
	for _, answer := range []string{"", "HTTP/1.1 400 Bad Request", "\x00\x00\x00\x40\xfeSMB" + strings.Repeat("\xff", 80)} {
		if err := parseAnswer([]byte(answer)); err == nil {
			t.Errorf("%q was taken", answer)
		}
	}
}
