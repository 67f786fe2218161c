package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/apitest"
	"github.com/perdure-ha/perdure/internal/api/why"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// oneKit knows the kit "process" with the setting "command", and "ip".
type oneKit struct{}

func (oneKit) Parse(kit string, set map[string]string) ([]string, cluster.Common, map[string]string, error) {
	if kit != "process" && kit != "ip" {
		return nil, cluster.Common{}, nil, message.New(message.UnknownKit, kit, "ip, process")
	}
	var wrong []error
	var claims []string
	for k, v := range set {
		switch k {
		case "command":
		case "address":
			claims = append(claims, "address "+v)
		default:
			wrong = append(wrong, message.New(message.SettingMisspelt, kit, k, "command"))
		}
	}
	return claims, cluster.Common{CheckInterval: time.Second}, set, errors.Join(wrong...)
}

func (oneKit) List() []api.KitInfo { return []api.KitInfo{{Name: "process"}} }

func (k oneKit) Describe(kit string) (api.KitInfo, error) {
	if kit == "process" {
		return k.List()[0], nil
	}
	return api.KitInfo{}, message.New(message.UnknownKit, kit, "process")
}

const world = `
cluster prod n1 n2 w1/witness
hierarchy app n1,n2
resource app vip ip address=192.0.2.100
resource app web process on=vip
want app in
assign app n1 PD3121 app n1
wait 300ms
report app "in service" PD3911 app n1
`

// serve puts a world behind a real socket.
func serve(t *testing.T, lines string) (*apitest.Fake, *api.Client, string) {
	t.Helper()
	w, err := apitest.Read(lines)
	if err != nil {
		t.Fatal(err)
	}
	fake := apitest.NewFake(w)
	dir := start(t, fake)
	t.Cleanup(fake.Close)
	c := api.Dial(dir)
	t.Cleanup(c.Close)
	return fake, c, dir
}

func start(t *testing.T, b api.Backend) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	dir = filepath.Join(dir, "run")
	l, err := api.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	s := api.NewServer(b, oneKit{}, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return dir
}

func context5(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// raw sends a request without the client.
func raw(t *testing.T, dir, method, path, body string) (*http.Response, string) {
	t.Helper()
	tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", api.SocketPath(dir))
	}}
	defer tr.CloseIdleConnections()
	req, err := http.NewRequestWithContext(context5(t), method, "http://perdure"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(b)
}

func TestLooks(t *testing.T) {
	_, c, _ := serve(t, world)
	ctx := context5(t)
	v, err := c.View(ctx)
	if err != nil || v.State.Name != "prod" || len(v.Local.Paths) != 4 || !v.Report.Safe {
		t.Fatalf("view: %+v, %v", v.Report, err)
	}
	stories, err := c.Why(ctx, "app", why.Options{})
	if err != nil || len(stories) != 1 || stories[0].What != why.Start {
		t.Fatalf("why: %+v, %v", stories, err)
	}
	entries, err := c.Timeline(ctx, 0, 2)
	if err != nil || len(entries) != 2 || entries[1].Reason.Code != message.HierarchyStarted {
		t.Fatalf("timeline: %+v, %v", entries, err)
	}
}

func TestErrorsAreProblems(t *testing.T) {
	_, _, dir := serve(t, world)
	for _, tt := range []struct {
		method, path, body string
		status             int
		code               string
	}{
		{"GET", "/v1/hierarchies/nope", "", 404, message.RefusedNotFound},
		{"GET", "/v1/hierarchies/nope/why", "", 404, message.RefusedNotFound},
		{"GET", "/v1/kits/tomcat", "", 422, message.UnknownKit},
		{"GET", "/v1/timeline?limit=0", "", 422, message.BadRequest},
		{"GET", "/v1/timeline?nonsense=1", "", 422, message.BadRequest},
		{"POST", "/v1/hierarchies", `{"name":"app"}`, 409, message.RefusedExists},
		{"POST", "/v1/hierarchies", `{"name":"-x"}`, 422, message.RefusedBadName},
		{"POST", "/v1/hierarchies", `{"name":"b","nodes":["n9"]}`, 404, message.RefusedUnknownNode},
		{"POST", "/v1/hierarchies", `{"name":`, 400, message.BadRequest},
		{"POST", "/v1/hierarchies", `{"name":"b","colour":"red"}`, 422, message.BadRequest},
		{"POST", "/v1/hierarchies/app/resources", `{"name":"x","kit":"tomcat"}`, 422, message.UnknownKit},
		{"POST", "/v1/hierarchies/app/resources", `{"name":"x","kit":"process","settings":{"comand":"a"}}`, 422, message.SettingMisspelt},
		{"POST", "/v1/hierarchies/app/resources", `{"name":"x","kit":"ip","settings":{"address":"192.0.2.100"}}`, 409, message.RefusedClaim},
		{"POST", "/v1/hierarchies/app/resources", `{"name":"x","kit":"process","depends_on":["web"],"parents":["vip"]}`, 422, message.RefusedCycle},
		{"POST", "/v1/hierarchies/app/resources", `{"name":"x","kit":"process","depends_on":["wbe"]}`, 404, message.RefusedNoResource},
		{"DELETE", "/v1/hierarchies/app/resources/vip", "", 409, message.RefusedDependedOn},
		{"DELETE", "/v1/hierarchies/app", "", 409, message.RefusedInService},
		{"POST", "/v1/hierarchies/app/switchover", `{"to":"n1"}`, 409, message.RefusedAlreadyThere},
		{"POST", "/v1/hierarchies/app/switchover", `{"to":"w1"}`, 409, message.RefusedNotExtended},
		{"POST", "/v1/hierarchies/app/cancel", "", 409, message.RefusedNoMove},
		{"PUT", "/v1/quorum/detection", `{"detection":"soon"}`, 422, message.DetectionBad},
		{"PUT", "/v1/quorum/detection", `{"detection":"100ms"}`, 422, message.RefusedDetection},
		{"DELETE", "/v1/nodes/n1", "", 409, message.RemoveElsewhere},
		{"DELETE", "/v1/nodes/n9", "", 404, message.RefusedUnknownNode},
		{"PUT", "/v1/nodes/n1/paths", `{"paths":[{"network":"lan","address":"0.0.0.0:1","priority":1}]}`, 422, message.PathAddressBad},
		{"PUT", "/v1/nodes/n1/paths", `{"paths":[{"network":"lan","address":"192.0.2.2:7400","priority":1}]}`, 409, message.RefusedAddressTaken},
		{"POST", "/v1/tokens", `{"valid_seconds":1}`, 422, message.BadRequest},
		{"POST", "/v1/local/stop", `{"mode":"explode"}`, 422, message.BadRequest},
	} {
		res, text := raw(t, dir, tt.method, tt.path, tt.body)
		var p api.Problem
		if err := json.Unmarshal([]byte(text), &p); err != nil {
			t.Errorf("%s %s: %v in %s", tt.method, tt.path, err, text)
			continue
		}
		if res.StatusCode != tt.status || p.Code != tt.code || p.Status != tt.status {
			t.Errorf("%s %s %s: %d %s, want %d %s: %s", tt.method, tt.path, tt.body, res.StatusCode, p.Code, tt.status, tt.code, text)
		}
		if ct := res.Header.Get("Content-Type"); !strings.HasPrefix(ct, "application/problem+json") {
			t.Errorf("%s %s: content type %s", tt.method, tt.path, ct)
		}
		if p.Text.EN == "" || p.Text.JA == "" || p.Cause.EN == "" || p.Next.JA == "" {
			t.Errorf("%s %s: words are missing: %+v", tt.method, tt.path, p)
		}
	}
}

func TestCommandsChangeTheState(t *testing.T) {
	fake, c, _ := serve(t, world)
	ctx := context5(t)
	steps := []func() error{
		func() error {
			_, err := c.CreateHierarchy(ctx, api.NewHierarchy{Name: "db", Nodes: []string{"n2", "n1"}})
			return err
		},
		func() error {
			_, err := c.CreateResource(ctx, "db", api.NewResource{Name: "pg", Kit: "process", Settings: map[string]string{"command": "a"}})
			return err
		},
		func() error {
			_, err := c.SetResource(ctx, "db", "pg", api.ResourceChange{Settings: map[string]string{"command": "b"}})
			return err
		},
		func() error {
			yes := true
			_, err := c.SetHierarchy(ctx, "db", api.HierarchyChange{Switchback: &yes})
			return err
		},
		func() error { _, err := c.SetDetection(ctx, "wide"); return err },
		func() error { _, err := c.CreateToken(ctx, cluster.RoleWitness, time.Hour); return err },
		func() error {
			_, err := c.SetPaths(ctx, "n2", []cluster.Path{{Network: "lan", Address: "192.0.2.9:7400"}})
			return err
		},
	}
	for i, f := range steps {
		if err := f(); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	st := fake.State()
	h := st.Hierarchy("db")
	if h == nil || !h.Policy.Switchback || h.Resource("pg").Settings["command"] != "b" || h.Resource("pg").Common.CheckInterval == 0 {
		t.Errorf("hierarchy: %+v", h)
	}
	if st.Detection != cluster.DetectionWide || len(st.Tokens) == 0 || st.Node(2).Paths[0].Address != "192.0.2.9:7400" {
		t.Errorf("state: detection %v, tokens %v, paths %v", st.Detection, st.Tokens, st.Node(2).Paths)
	}
}

func TestRemovalThatLosesQuorum(t *testing.T) {
	_, c, _ := serve(t, world+"heard w1 1h\n")
	_, err := c.RemoveNode(context5(t), "n2")
	if !message.Has(err, message.RemoveLosesQuorum) {
		t.Fatalf("remove: %v", err)
	}
	if _, err := c.RemoveNode(context5(t), "w1"); err != nil {
		t.Fatalf("remove the dead one: %v", err)
	}
}

// An unmanaged node is confirmed to be off only if it is silent: a daemon that
// answers is on its way back.
func TestFencedOfUnmanaged(t *testing.T) {
	const running = `
cluster prod n1 n2 w1/witness
hierarchy app n2,n1
resource app web process
want app in
assign app n2 PD3121 app n2
`
	_, c, _ := serve(t, running)
	if _, err := c.Fenced(context5(t), "n2"); !message.Has(err, message.NothingToFence) {
		t.Errorf("a managed node: %v", err)
	}
	_, c, _ = serve(t, running+"unmanaged n2\n")
	if _, err := c.Fenced(context5(t), "n2"); !message.Has(err, message.NodeAnswersYet) {
		t.Errorf("a node that answers: %v", err)
	}
	fake, c, _ := serve(t, running+"unmanaged n2\nheard n2 1h\n")
	if _, err := c.Fenced(context5(t), "n2"); err != nil {
		t.Fatalf("a silent one: %v", err)
	}
	if h := fake.State().Hierarchy("app"); h.Owner != 0 || h.Released != cluster.ReleasedFenced {
		t.Errorf("owner %v, released %q", h.Owner, h.Released)
	}
}

func TestTooLarge(t *testing.T) {
	_, _, dir := serve(t, world)
	big := `{"name":"x","kit":"process","settings":{"command":"` + strings.Repeat("a", 300<<10) + `"}}`
	res, text := raw(t, dir, "POST", "/v1/hierarchies/app/resources", big)
	if res.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

func TestEvents(t *testing.T) {
	fake, c, _ := serve(t, world)
	last := fake.State().Timeline[len(fake.State().Timeline)-1].ID
	// Resumed behind an entry: the rest is sent, then what happens.
	var ids []uint64
	err := c.Events(context5(t), api.EventsFrom{After: last - 1}, func(e api.Event) error {
		if e.Entry == nil {
			return nil
		}
		if ids = append(ids, e.Entry.ID); len(ids) == 1 {
			return fake.Do("move app n2")
		}
		return io.EOF
	})
	if !errors.Is(err, io.EOF) || len(ids) != 2 || ids[0] != last || ids[1] <= last {
		t.Errorf("events %v after %d: %v", ids, last, err)
	}
	// From now on: nothing of the past.
	err = c.Events(context5(t), api.EventsFrom{Now: true}, func(e api.Event) error {
		if e.Entry != nil && e.Entry.ID <= ids[1] {
			t.Errorf("an entry of the past: %+v", e.Entry)
		}
		if e.Entry != nil {
			return io.EOF
		}
		return fake.Do("cancel app PD7024 app")
	})
	if !errors.Is(err, io.EOF) {
		t.Errorf("events from now: %v", err)
	}
}

func TestEventsSayThatSomeAreForgotten(t *testing.T) {
	var b strings.Builder
	b.WriteString(world)
	for range 600 {
		b.WriteString("note app PD3137 app\n")
	}
	_, c, _ := serve(t, b.String())
	gap := false
	err := c.Events(context5(t), api.EventsFrom{After: 3}, func(e api.Event) error {
		gap = gap || e.Gap
		return io.EOF
	})
	if !gap || !errors.Is(err, io.EOF) {
		t.Errorf("no gap: %v", err)
	}
}

// stuck never answers a proposal before its context ends.
type stuck struct{ *apitest.Fake }

func (stuck) Propose(ctx context.Context, _ cluster.Command) (cluster.Result, error) {
	<-ctx.Done()
	return cluster.Result{}, ctx.Err()
}

func TestClientGoneEndsTheRequest(t *testing.T) {
	w, err := apitest.Read(world)
	if err != nil {
		t.Fatal(err)
	}
	c := api.Dial(start(t, stuck{apitest.NewFake(w)}))
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.InService(ctx, "app", true); !message.Has(err, message.RequestTimeout) {
		t.Errorf("time-out: %v", err)
	}
}

func TestStopAnswersAndEndsStreams(t *testing.T) {
	fake, c, _ := serve(t, world)
	if err := c.StopNode(context5(t), api.StopMove); err != nil {
		t.Fatal(err)
	}
	select {
	case <-fake.Stopped():
	case <-context5(t).Done():
		t.Fatal("nobody was asked to stop")
	}
}

func TestDialExplains(t *testing.T) {
	dir := t.TempDir()
	c := api.Dial(dir)
	defer c.Close()
	if _, err := c.View(context5(t)); !message.Has(err, message.DaemonNotRunning) {
		t.Errorf("no socket: %v", err)
	}
	// A socket that a dead daemon left.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: api.SocketPath(dir), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := c.View(context5(t)); !message.Has(err, message.DaemonNotRunning) {
		t.Errorf("dead socket: %v", err)
	}
	if l, err := api.Listen(dir); err != nil {
		t.Errorf("take over a dead socket: %v", err)
	} else {
		if _, err := api.Listen(dir); err == nil {
			t.Error("a living daemon's socket was taken over")
		}
		_ = l.Close()
	}
}

func TestSocketIsPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("skipped on Windows: the pipe has an access list instead of a mode")
	}
	_, _, dir := serve(t, world)
	for path, want := range map[string]os.FileMode{dir: 0o700, api.SocketPath(dir): 0o600} {
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != want {
			t.Errorf("%s: mode %v, want %v (%v)", path, fi.Mode().Perm(), want, err)
		}
	}
}

func TestStateNotLoaded(t *testing.T) {
	w, err := apitest.Read(world)
	if err != nil {
		t.Fatal(err)
	}
	w.State = &cluster.State{Version: cluster.StateVersion}
	c := api.Dial(start(t, apitest.NewFake(w)))
	defer c.Close()
	if _, err := c.View(context5(t)); !message.Has(err, message.StateNotLoaded) {
		t.Errorf("empty state: %v", err)
	}
}

func TestOpenAPI(t *testing.T) {
	_, _, dir := serve(t, world)
	res, text := raw(t, dir, "GET", "/openapi.json", "")
	if res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	for _, word := range []string{`"/v1/status"`, `"/v1/events"`, `"/v1/hierarchies/{hierarchy}/switchover"`, `"Problem"`} {
		if !bytes.Contains([]byte(text), []byte(word)) {
			t.Errorf("the description doesn't have %s", word)
		}
	}
}

// FuzzEvents: whatever comes on the stream, the reader ends without a panic.
func FuzzEvents(f *testing.F) {
	f.Add("id: 3\nevent: entry\ndata: {\"id\":3}\n\n")
	f.Add("event: changed\ndata: {}\n\n:comment\n\ndata\n\n")
	f.Add("data: {\nevent: entry\n\n")
	f.Fuzz(func(t *testing.T, s string) {
		n := 0
		_ = api.ReadEvents(strings.NewReader(s), func(api.Event) error { n++; return nil })
		if n > len(s) {
			t.Errorf("%d events out of %d bytes", n, len(s))
		}
	})
}
