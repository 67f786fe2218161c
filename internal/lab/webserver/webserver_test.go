package webserver

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == Argument {
		os.Exit(Main(os.Args[2]))
	}
	os.Exit(m.Run())
}

func freePort(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return netip.MustParseAddrPort(l.Addr().String())
}

func TestServers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the start command is a shell's")
	}
	own, err := Own()
	if err != nil {
		t.Fatal(err)
	}
	servers := []Server{own}
	if found, err := Find(); err != nil {
		t.Fatal(err)
	} else if found.Name != own.Name {
		servers = append(servers, found)
	} else {
		t.Log("nginx is not installed: only our own server is tested")
	}
	for _, s := range servers {
		t.Run(s.Name, func(t *testing.T) { testServer(t, s) })
	}
}

func testServer(t *testing.T, s Server) {
	site := Site{Node: "n1", Listen: freePort(t), Dir: t.TempDir()}
	if runtime.GOOS == "linux" {
		site.Check = freePort(t)
	}
	argv, err := s.Prepare(site, "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()

	if err := os.WriteFile(site.FailFile(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(ctx, argv[0], argv[1:]...).Run(); err == nil {
		t.Fatal("the server starts in spite of the fail file")
	}
	if err := os.Remove(site.FailFile()); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cancel(); _ = cmd.Wait() }()
	resp := firstReply(t, ctx, site)
	t.Logf("first reply after %v", time.Since(began))
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || string(body) != "n1\n" || resp.Header.Get("X-Node") != "n1" || !resp.Close {
		t.Errorf("reply %q, header %q, closing %v, %v", body, resp.Header.Get("X-Node"), resp.Close, err)
	}
	if site.Check.IsValid() {
		firstReply(t, ctx, Site{Listen: site.Check, Dir: site.Dir}).Body.Close()
	}
	pid, err := os.ReadFile(site.Pidfile())
	if err != nil || strings.TrimSpace(string(pid)) != strconv.Itoa(cmd.Process.Pid) {
		t.Errorf("pid file says %q, the process is %d (%v)", pid, cmd.Process.Pid, err)
	}
	if starts, err := os.ReadFile(site.StartsFile()); err != nil || strings.Count(string(starts), "start") != 2 {
		t.Errorf("two starts are counted as %q (%v)", starts, err)
	}
}

func firstReply(t *testing.T, ctx context.Context, site Site) *http.Response {
	transport := &http.Transport{DisableKeepAlives: true}
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+site.Listen.String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := transport.RoundTrip(req); err == nil {
			return resp
		}
		select {
		case <-ctx.Done():
			log, _ := os.ReadFile(site.Dir + "/web.log")
			t.Fatalf("no reply from the server; its log: %s", log)
		case <-ticker.C:
		}
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add("n1 127.0.0.1:80\n")
	f.Add("n1 127.0.0.1:80 127.0.0.2:80\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, conf string) {
		if site, err := parseConf(conf); err == nil && (site.Node == "" || !site.Listen.IsValid()) {
			t.Errorf("%q gives %+v", conf, site)
		}
	})
}
