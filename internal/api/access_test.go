package api_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/apitest"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

// shelf is an audit log in memory.
type shelf struct {
	mu  sync.Mutex
	all []api.AuditRecord
}

func (s *shelf) Record(r api.AuditRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, r)
}

func (s *shelf) Last(n int) ([]api.AuditRecord, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all[max(0, len(s.all)-n):]), nil
}

// outside is a world behind TLS.
type outside struct {
	t      *testing.T
	server *api.Server
	addr   string
	pin    [32]byte
	audit  *shelf
	local  *api.Client
}

func serveOutside(t *testing.T) *outside {
	t.Helper()
	w, err := apitest.Read(world)
	if err != nil {
		t.Fatal(err)
	}
	fake := apitest.NewFake(w)
	ca, err := pki.NewAuthority("prod", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.IssueServer(pki.Identity{Cluster: "prod", Node: 1, Name: "n1"}, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	o := &outside{t: t, audit: new(shelf), pin: pki.Pin(ca.Cert)}
	dir := t.TempDir()
	near, err := api.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.addr = far.Addr().String()
	o.server = api.NewServer(fake, oneKit{}, nil)
	o.server.SetAccess(api.Access{CAPin: o.pin, Audit: o.audit})
	var group sync.WaitGroup
	group.Go(func() { _ = o.server.Serve(near) })
	group.Go(func() { _ = o.server.ServeTLS(far, pki.ServerConfig(func() *pki.Server { return cert })) })
	o.local = api.Dial(dir)
	t.Cleanup(func() {
		o.local.Close()
		fake.Close()
		_ = o.server.Close()
		group.Wait()
	})
	return o
}

func (o *outside) key(role cluster.Right) api.KeyMade {
	o.t.Helper()
	k, err := o.local.CreateKey(o.t.Context(), string(role), role, time.Hour)
	if err != nil {
		o.t.Fatal(err)
	}
	return k
}

func (o *outside) client(token string) *api.Client {
	c := api.DialRemote(api.Remote{Servers: []string{o.addr}, Token: token, TLS: pki.ClientConfig(o.pin, nil)})
	o.t.Cleanup(c.Close)
	return c
}

// raw sends a request as any program would.
func (o *outside) raw(method, path, token, body string, header ...string) (*http.Response, string) {
	o.t.Helper()
	tr := &http.Transport{TLSClientConfig: pki.ClientConfig(o.pin, nil), DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(o.t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "https://"+o.addr+path, strings.NewReader(body))
	if err != nil {
		o.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		o.t.Fatal(err)
	}
	defer res.Body.Close()
	if path == "/v1/events" && res.StatusCode == 200 {
		return res, "" // it never ends
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return res, string(b)
}

// operations calls f for every operation of the description.
func operations(o *huma.OpenAPI, f func(*huma.Operation)) {
	for _, path := range slices.Sorted(maps.Keys(o.Paths)) {
		p := o.Paths[path]
		for _, op := range []*huma.Operation{p.Get, p.Put, p.Post, p.Patch, p.Delete, p.Head, p.Options, p.Trace} {
			if op != nil {
				f(op)
			}
		}
	}
}

var fill = strings.NewReplacer("{hierarchy}", "app", "{resource}", "web", "{node}", "n2", "{kit}", "process", "{user}", "mia", "{key}", "0123", "{hook}", "mail")

// TestEveryRouteHasItsLeastRole walks all routes of the description as nobody
// and in every role: each is open from its least role on, and to nobody below.
func TestEveryRouteHasItsLeastRole(t *testing.T) {
	o := serveOutside(t)
	tokens := map[cluster.Right]string{"": "", cluster.Guest: o.key(cluster.Guest).Token, cluster.Operator: o.key(cluster.Operator).Token, cluster.Admin: o.key(cluster.Admin).Token}
	routes := 0
	operations(o.server.OpenAPI(), func(op *huma.Operation) {
		routes++
		least, named := api.Least()[op.OperationID]
		if !named {
			t.Errorf("%s %s (%s) has no least role: add it to the table in rights.go", op.Method, op.Path, op.OperationID)
			return
		}
		if op.Method != http.MethodGet && least == cluster.Guest && !slices.Contains([]string{"session-delete", "password-set"}, op.OperationID) {
			t.Errorf("%s changes something and is open to guests", op.OperationID)
		}
		for role, token := range tokens {
			body := "{}"
			if op.Method == http.MethodGet {
				body = ""
			}
			res, text := o.raw(op.Method, fill.Replace(op.Path), token, body)
			open := least == "anybody" || role.Allows(least)
			want := 0
			switch {
			case !open && role == "":
				want = http.StatusUnauthorized
			case !open:
				want = http.StatusForbidden
			}
			if want != 0 && (res.StatusCode != want || !strings.Contains(text, `"PD74`)) ||
				want == 0 && (res.StatusCode == 401 || res.StatusCode == 403) {
				t.Errorf("%s as %q: %d %s", op.OperationID, role, res.StatusCode, text)
			}
		}
	})
	if routes < 40 {
		t.Errorf("only %d routes were found", routes)
	}
	for id := range api.Least() {
		found := false
		operations(o.server.OpenAPI(), func(op *huma.Operation) { found = found || op.OperationID == id })
		if !found {
			t.Errorf("the table in rights.go has %s, which is no operation", id)
		}
	}
}

func TestWrongTokens(t *testing.T) {
	o := serveOutside(t)
	k := o.key(cluster.Admin)
	flip := func(i int) string { // a valid form with a wrong secret needs the right check
		b := []byte(k.Token)
		if b[i]++; b[i] == '{' || b[i] == '[' || b[i] == ':' {
			b[i] = 'A'
		}
		return string(b)
	}
	other := serveOutside(t).key(cluster.Admin).Token
	for _, bad := range []string{"x", k.Token[:40], k.Token + "A", flip(40), other} {
		o := o
		if res, text := o.raw("GET", "/v1/status", bad, ""); res.StatusCode != 401 && res.StatusCode != 429 {
			t.Errorf("%q: %d %s", bad, res.StatusCode, text)
		}
	}
	// Five failures are a person's; after them this address must wait, also with
	// the right token.
	res, text := o.raw("GET", "/v1/status", k.Token, "")
	if res.StatusCode != 429 || !strings.Contains(text, message.TooManyFailures) || res.Header.Get("Retry-After") == "" {
		t.Errorf("after five failures: %d %s", res.StatusCode, text)
	}
	if last, _ := o.audit.Last(1); len(last) != 1 || last[0].Result != "denied" || last[0].Who != "unknown" {
		t.Errorf("audit: %+v", last)
	}
}

func TestRevokedTokenEndsItsStream(t *testing.T) {
	o := serveOutside(t)
	k := o.key(cluster.Guest)
	c := o.client(k.Token)
	began := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		var once sync.Once
		done <- c.Events(t.Context(), api.EventsFrom{}, func(api.Event) error { once.Do(func() { close(began) }); return nil })
	}()
	<-began
	if _, err := o.local.DeleteKey(t.Context(), k.ID); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !message.Has(err, message.StreamEnded) {
			t.Errorf("the stream ended with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the stream of a revoked token goes on")
	}
	if _, err := c.Status(t.Context()); !message.Has(err, message.NotAuthenticated) {
		t.Errorf("a revoked token: %v", err)
	}
}

func TestExpiredToken(t *testing.T) {
	o := serveOutside(t)
	k := o.key(cluster.Guest)
	o.server.SetNow(func() time.Time { return time.Now().Add(2 * time.Hour) })
	if _, err := o.client(k.Token).Status(t.Context()); !message.Has(err, message.NotAuthenticated) {
		t.Errorf("an expired token: %v", err)
	}
}

func TestLogin(t *testing.T) {
	o := serveOutside(t)
	ctx := t.Context()
	if _, err := o.local.SetUser(ctx, "mia", api.UserChange{Role: cluster.Operator, Password: "short"}); !message.Has(err, message.PasswordLength) {
		t.Errorf("a short password: %v", err)
	}
	if _, err := o.local.SetUser(ctx, "mia", api.UserChange{Role: cluster.Operator}); !message.Has(err, message.RefusedPassword) {
		t.Errorf("no password: %v", err)
	}
	const password = "correct horse battery"
	if _, err := o.local.SetUser(ctx, "mia", api.UserChange{Role: cluster.Operator, Password: password}); err != nil {
		t.Fatal(err)
	}
	users, err := o.local.Users(ctx)
	if err != nil || len(users) != 1 || users[0].Password != "" {
		t.Errorf("users: %+v %v", users, err)
	}
	c := o.client("")
	for _, wrong := range [][2]string{{"mia", "correct horse"}, {"max", password}, {"", ""}} {
		if _, err := c.Login(ctx, wrong[0], wrong[1]); !message.Has(err, message.LoginRefused) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	l, err := c.Login(ctx, "mia", password)
	if err != nil || l.Role != cluster.Operator {
		t.Fatalf("%+v %v", l, err)
	}
	if w, err := c.Whoami(ctx); err != nil || w.Name != "mia" || w.Via != "login" {
		t.Errorf("%+v %v", w, err)
	}
	if _, err := c.Switchover(ctx, "app", "n2"); err != nil {
		t.Errorf("an operator may move services: %v", err)
	}
	if _, err := c.DeleteUser(ctx, "mia"); !message.Has(err, message.NotAllowed) {
		t.Errorf("an operator may not delete users: %v", err)
	}
	// The timeline names who asked, whatever the request says of itself.
	st, err := o.local.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(st.State.Timeline, func(e cluster.Entry) bool {
		return e.Kind == cluster.KindMove && e.By == "mia"
	}) {
		t.Error("the timeline doesn't say that mia asked for the switchover")
	}
	if b, _ := json.Marshal(st); strings.Contains(string(b), "argon2id") {
		t.Error("the view shows the hash of a password")
	}
	if _, err := c.SetPassword(ctx, password, "another horse entirely"); err != nil {
		t.Errorf("change the own password: %v", err)
	}
	if _, err := c.Whoami(ctx); !message.Has(err, message.NotAuthenticated) {
		t.Errorf("a log-in outlives its password: %v", err)
	}
	c = o.client("")
	if _, err := c.Login(ctx, "mia", "another horse entirely"); err != nil {
		t.Fatal(err)
	}
	if err := c.Logout(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Whoami(ctx); !message.Has(err, message.NotAuthenticated) {
		t.Errorf("after the log-out: %v", err)
	}
}

// TestGuessing: a password can't be guessed from one address, nor one user's
// from many.
func TestGuessing(t *testing.T) {
	o := serveOutside(t)
	if _, err := o.local.SetUser(t.Context(), "mia", api.UserChange{Role: cluster.Guest, Password: "correct horse battery"}); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	o.server.SetNow(func() time.Time { return now })
	c := o.client("")
	var codes []string
	for i := range 7 {
		_, err := c.Login(t.Context(), "mia", fmt.Sprint("guess number ", i))
		if m, ok := message.From(err); ok {
			codes = append(codes, m.Code())
		}
	}
	want := append(slices.Repeat([]string{message.LoginRefused}, 5), message.TooManyFailures, message.TooManyFailures)
	if !slices.Equal(codes, want) {
		t.Errorf("%v", codes)
	}
	if _, err := c.Login(t.Context(), "mia", "correct horse battery"); !message.Has(err, message.TooManyFailures) {
		t.Errorf("the right password in between: %v", err)
	}
	now = now.Add(time.Minute)
	if _, err := c.Login(t.Context(), "mia", "correct horse battery"); err != nil {
		t.Errorf("a minute later: %v", err)
	}
}

func TestBrowser(t *testing.T) {
	o := serveOutside(t)
	if _, err := o.local.SetUser(t.Context(), "mia", api.UserChange{Role: cluster.Admin, Password: "correct horse battery"}); err != nil {
		t.Fatal(err)
	}
	res, text := o.raw("POST", "/v1/session", "", `{"name":"mia","password":"correct horse battery","cookie":true}`)
	cookies := res.Cookies()
	if len(cookies) != 1 || !cookies[0].HttpOnly || !cookies[0].Secure || cookies[0].SameSite != http.SameSiteStrictMode {
		t.Fatalf("%d %+v %s", res.StatusCode, cookies, text)
	}
	cookie := cookies[0].Name + "=" + cookies[0].Value
	if res, text := o.raw("GET", "/v1/users", "", "", "Cookie", cookie); res.StatusCode != 200 {
		t.Errorf("with the cookie: %d %s", res.StatusCode, text)
	}
	if res, _ := o.raw("DELETE", "/v1/users/mia", "", "", "Cookie", cookie, "Sec-Fetch-Site", "cross-site"); res.StatusCode != 403 {
		t.Errorf("another site's request: %d", res.StatusCode)
	}
}

func TestAuditLog(t *testing.T) {
	o := serveOutside(t)
	ctx := t.Context()
	op, guest := o.client(o.key(cluster.Operator).Token), o.client(o.key(cluster.Guest).Token)
	o.audit.all = nil
	_, _ = op.Switchover(ctx, "app", "n2")
	_, _ = op.Switchover(ctx, "nothing", "n2")
	_, _ = guest.InService(ctx, "app", false)
	_, _ = guest.Status(ctx)
	if _, err := o.local.SetUser(ctx, "mia", api.UserChange{Role: cluster.Guest, Password: "correct horse battery"}); err != nil {
		t.Fatal(err)
	}
	_, _ = o.client("").Login(ctx, "mia", "wrong horse battery")
	all, _ := o.audit.Last(100)
	var lines []string
	for _, r := range all {
		lines = append(lines, fmt.Sprint(r.Who, " ", r.Role, " ", r.Via, " ", r.Op, " ", r.Result, " ", r.Code, " ", r.What.Code))
	}
	person := all[3].Who // whoever runs the test
	want := []string{
		"operator operator token switchover done  " + message.AskedSwitchover,
		"operator operator token switchover refused " + message.RefusedNotFound + " ",
		"guest guest token hierarchy-out-of-service denied " + message.NotAllowed + " ",
		person + " admin local user-set done  " + message.AskedUserPassword,
		"mia   session-create denied " + message.LoginRefused + " ",
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	if b, _ := json.Marshal(all); strings.Contains(string(b), "horse") {
		t.Error("the audit log has a password")
	}
}

// TestStrangersCantFillTheAuditLog: one line a minute for whoever proves
// nothing, with the number of requests.
func TestStrangersCantFillTheAuditLog(t *testing.T) {
	o := serveOutside(t)
	now := time.Now()
	o.server.SetNow(func() time.Time { return now })
	for range 20 {
		o.raw("GET", "/v1/status", "", "")
	}
	now = now.Add(2 * time.Minute)
	o.raw("GET", "/v1/status", "", "")
	all, _ := o.audit.Last(100)
	if len(all) != 2 || all[0].Count != 1 || all[1].Count != 20 {
		t.Errorf("%d lines: %+v", len(all), all)
	}
}

func TestForeignServer(t *testing.T) {
	o := serveOutside(t)
	wrong := o.pin
	wrong[0]++
	c := api.DialRemote(api.Remote{Servers: []string{o.addr}, Token: o.key(cluster.Guest).Token, TLS: pki.ClientConfig(wrong, nil)})
	defer c.Close()
	if _, err := c.Status(t.Context()); !message.Has(err, message.PinMismatch) {
		t.Errorf("a server of another cluster: %v", err)
	}
	c = api.DialRemote(api.Remote{Servers: []string{"127.0.0.1:1", o.addr}, Token: o.key(cluster.Guest).Token, TLS: pki.ClientConfig(o.pin, nil)})
	defer c.Close()
	if _, err := c.Status(t.Context()); err != nil {
		t.Errorf("the second server answers: %v", err)
	}
	c = api.DialRemote(api.Remote{Servers: []string{"127.0.0.1:1"}, Token: "x", TLS: &tls.Config{}})
	defer c.Close()
	if _, err := c.Status(t.Context()); !message.Has(err, message.ServerUnreachable) {
		t.Errorf("no server: %v", err)
	}
}

func FuzzParseAccessToken(f *testing.F) {
	f.Add("perdure-access1.AAAA")
	f.Add(api.AccessToken{ID: "0123456789abcdef"}.String())
	f.Fuzz(func(t *testing.T, s string) {
		if a, err := api.ParseAccessToken(s); err == nil && a.String() != strings.TrimSpace(s) {
			t.Errorf("%q reads as %q", s, a)
		}
	})
}

func FuzzPassword(f *testing.F) {
	f.Add("$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Add("$argon2id$v=19$m=4294967295,t=1,p=1$AAAA$AAAA")
	f.Fuzz(func(t *testing.T, kept string) { api.ParseArgon(kept) })
}
