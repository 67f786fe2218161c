package cli_test

import (
	"context"
	"errors"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/apitest"
	"github.com/perdure-ha/perdure/internal/cli"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/all"
	"github.com/perdure-ha/perdure/internal/pki"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"perdure": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := cli.Main(ctx, os.Args[1:], cli.Stdio(), runners(), "1.2.3")
		stop()
		os.Exit(code)
	}})
}

// runners stand in for what the binary fills in. Demo is left out, to see what
// is said of a command that a build doesn't have.
func runners() cli.Runners {
	run := func(context.Context, cli.RunOptions) error { return nil }
	return cli.Runners{
		Guardian: run, Daemon: run, Witness: run, Kits: kits{},
		Init: func(_ context.Context, o cli.InitOptions) (cli.InitResult, error) {
			if len(o.Paths) == 0 || o.Detection == 0 {
				return cli.InitResult{}, errors.New("incomplete options")
			}
			return cli.InitResult{ClusterID: "c1", NodeID: 1}, nil
		},
		Join: func(_ context.Context, o cli.JoinOptions) (cli.JoinResult, error) {
			return cli.JoinResult{ClusterID: "c1", NodeID: 2}, nil
		},
	}
}

// TestScripts runs the command line as a person types it, against a daemon made
// of words (see package apitest) behind a real socket. Commands of the scripts:
//
//	daemon FILE    starts one with the world of a file
//	world LINE     changes it
//	owner H NODE   waits until the node has the hierarchy
//	followed       waits until one more command follows the events, while
//	               nothing else happens
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           filepath.Join("testdata", "script"),
		UpdateScripts: apitest.Rewriting(),
		Setup: func(e *testscript.Env) error {
			e.Setenv("PERDURE_RUN_DIR", filepath.Join(e.WorkDir, "run"))
			e.Setenv("PERDURE_STATE_DIR", filepath.Join(e.WorkDir, "state"))
			e.Setenv("TZ", "UTC")
			e.Setenv("COLUMNS", "160")
			e.Setenv("USER", "kay")
			e.Setenv("LANG", "en_US.UTF-8")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"daemon": startDaemon, "world": changeWorld, "owner": awaitOwner, "followed": awaitFollower},
	})
}

func startDaemon(ts *testscript.TestScript, _ bool, args []string) {
	w, err := apitest.Read(ts.ReadFile(args[0]))
	ts.Check(err)
	fake := apitest.NewFake(w)
	l, err := api.Listen(ts.Getenv("PERDURE_RUN_DIR"))
	ts.Check(err)
	s := api.NewServer(fake, kits{}, nil)
	far := outside(ts, s)
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.Serve(l)
		<-far
	}()
	closed := make(chan struct{})
	go func() {
		// A daemon that was asked to stop ends, as the real one does.
		defer close(closed)
		<-fake.Stopped()
		time.AfterFunc(200*time.Millisecond, func() { _ = l.Close() })
		_ = s.Close()
	}()
	worlds.Store(ts.Getenv("WORK"), &world{Fake: fake})
	ts.Defer(func() {
		fake.Close()
		<-closed
		<-served
	})
}

// outside has a server answer over TLS as well, at $SERVER.
func outside(ts *testscript.TestScript, s *api.Server) <-chan struct{} {
	ca, err := pki.NewAuthority("prod", time.Now())
	ts.Check(err)
	cert, err := ca.IssueServer(pki.Identity{Cluster: "prod", Node: 1, Name: "n1"}, nil, time.Now())
	ts.Check(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv("SERVER", l.Addr().String())
	s.SetAccess(api.Access{CAPin: pki.Pin(ca.Cert), Audit: new(shelf)})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.ServeTLS(l, pki.ServerConfig(func() *pki.Server { return cert }))
	}()
	return done
}

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

// world is a script's daemon.
type world struct {
	*apitest.Fake
	follows int // when "followed" last looked
}

// worlds are the daemons of the scripts, by their directories.
var worlds sync.Map

func worldOf(ts *testscript.TestScript) *world {
	w, ok := worlds.Load(ts.Getenv("WORK"))
	if !ok {
		ts.Fatalf("no daemon was started")
	}
	return w.(*world)
}

func changeWorld(ts *testscript.TestScript, _ bool, args []string) {
	quoted := make([]string, len(args))
	for i, a := range args {
		quoted[i] = a
		if strings.Contains(a, " ") {
			quoted[i] = `"` + a + `"`
		}
	}
	ts.Check(worldOf(ts).Do(strings.Join(quoted, " ")))
}

// await polls with a deadline.
func await(ts *testscript.TestScript, what string, done func() bool) {
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("it doesn't happen: %s", what)
		}
	}
}

func awaitOwner(ts *testscript.TestScript, _ bool, args []string) {
	w := worldOf(ts)
	await(ts, strings.Join(args, " "), func() bool {
		st := w.State()
		h := st.Hierarchy(args[0])
		return h != nil && st.NodeName(h.Owner) == args[1]
	})
}

func awaitFollower(ts *testscript.TestScript, _ bool, _ []string) {
	w := worldOf(ts)
	await(ts, "a follower", func() bool { return w.Follows() > w.follows })
	w.follows = w.Follows()
}

// kits are the real ones.
type kits struct{}

func (kits) Parse(name string, set map[string]string) ([]string, cluster.Common, map[string]string, error) {
	v, claims, err := all.Kits().Parse(name, set)
	if err != nil {
		return nil, cluster.Common{}, nil, err
	}
	return claims, v.Common(), set, nil
}

func (kits) List() []api.KitInfo {
	var out []api.KitInfo
	for _, k := range all.Kits() {
		out = append(out, describe(k))
	}
	return out
}

func (kits) Describe(name string) (api.KitInfo, error) {
	k, err := all.Kits().Find(name)
	if err != nil {
		return api.KitInfo{}, err
	}
	return describe(k), nil
}

func describe(k kit.Kit) api.KitInfo {
	info := api.KitInfo{Name: k.Name(), About: api.Words{EN: k.About().EN, JA: k.About().JA}}
	for _, s := range kit.Declared(k) {
		info.Settings = append(info.Settings, api.SettingInfo{Name: s.Name, Type: string(s.Type), Required: s.Required,
			Default: s.Default, Min: s.Min, Max: s.Max, Values: s.Values, Example: s.Example,
			Help:   api.Words{EN: s.Help.EN, JA: s.Help.JA},
			Common: slices.ContainsFunc(kit.Common(), func(c kit.Setting) bool { return c.Name == s.Name })})
	}
	return info
}
