package demo

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// The test binary is the web server where nginx isn't installed.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == webserver.Argument {
		os.Exit(webserver.Main(os.Args[2]))
	}
	goleak.VerifyTestMain(m)
}

// testTiming is short, so that scenarios of many detection times are.
var testTiming = cluster.TimingFor(100 * time.Millisecond)

// fake is a cluster without processes: an owner that answers, and takes time
// to be replaced.
type fake struct {
	client *client.Client
	prober *client.Prober
	// broken makes it misbehave: "slow", "double", "stuck".
	broken string

	mu      sync.Mutex
	nodes   []string
	off     map[string]bool
	owner   string
	starts  int
	pending sync.WaitGroup
	closed  chan struct{}
}

func newFake(t *testing.T, broken string) *fake {
	f := &fake{broken: broken, nodes: []string{"n1", "n2", "n3"}, owner: "n1", off: map[string]bool{}, closed: make(chan struct{})}
	clock := client.NewClock()
	f.client = client.Start(client.Config{Clock: clock, Interval: 2 * time.Millisecond, Timeout: 50 * time.Millisecond,
		Dial: func(context.Context) (net.Conn, error) { return f.dial("") }})
	var doors []client.Door
	for _, n := range f.nodes {
		doors = append(doors, client.Door{Node: n, Dial: func(context.Context) (net.Conn, error) { return f.dial(n) }})
	}
	f.prober = client.StartProber(client.ProberConfig{Clock: clock, Doors: doors, Interval: 5 * time.Millisecond})
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// dial reaches the owner, or a door.
func (f *fake) dial(door string) (net.Conn, error) {
	f.mu.Lock()
	node := f.owner
	if door != "" && f.broken == "double" && !f.off[door] {
		node = door
	}
	f.mu.Unlock()
	if node == "" || (door != "" && node != door) {
		return nil, syscall.ECONNREFUSED
	}
	here, there := net.Pipe()
	f.pending.Go(func() {
		defer there.Close()
		if _, err := http.ReadRequest(bufio.NewReader(there)); err == nil {
			fmt.Fprintf(there, "HTTP/1.1 200 OK\r\nX-Node: %s\r\nContent-Length: 0\r\n\r\n", node)
		}
	})
	return here, nil
}

// elect gives the service to the first node that is on, after a while.
func (f *fake) elect(after time.Duration, not string) {
	f.mu.Lock()
	f.owner = ""
	f.mu.Unlock()
	if f.broken == "slow" {
		after += time.Second
	}
	f.pending.Go(func() {
		select {
		case <-time.After(after):
		case <-f.closed:
			return
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.starts++
		for _, n := range f.nodes {
			if !f.off[n] && n != not && f.owner == "" {
				f.owner = n
			}
		}
	})
}

func (f *fake) Nodes() []string                         { return slices.Clone(f.nodes) }
func (f *fake) Client() *client.Client                  { return f.client }
func (f *fake) Prober() *client.Prober                  { return f.prober }
func (f *fake) Starts() (int, error)                    { f.mu.Lock(); defer f.mu.Unlock(); return f.starts, nil }
func (f *fake) Why(context.Context) (string, error)     { return "because\n", nil }
func (f *fake) Enter() ([]string, error)                { return []string{"come in"}, nil }
func (f *fake) Has() Equipment                          { return Equipment{} }
func (f *fake) Kept() string                            { return "" }
func (f *fake) SaveState(context.Context, string) error { return nil }

func (f *fake) Refresh(context.Context) error { return nil }

func (f *fake) Ready(ctx context.Context, _ func(error)) error {
	_, err := f.client.WaitGood(ctx, f.client.Clock().Now(), "")
	return err
}

func (f *fake) Close() error {
	select {
	case <-f.closed:
		return nil
	default:
	}
	close(f.closed)
	f.client.Stop()
	f.prober.Stop()
	f.pending.Wait()
	return nil
}

func (f *fake) PowerOff(_ context.Context, node string) error {
	f.mu.Lock()
	f.off[node] = true
	owner := f.owner
	f.mu.Unlock()
	if node == owner && f.broken != "stuck" {
		f.elect(testTiming.Detection, "")
	}
	if node == owner && f.broken == "stuck" {
		f.mu.Lock()
		f.owner = ""
		f.mu.Unlock()
	}
	return nil
}

func (f *fake) PowerOn(_ context.Context, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.off[node] {
		return fmt.Errorf("%s is on", node)
	}
	delete(f.off, node)
	if f.owner == "" && f.broken == "stuck" {
		f.owner = node
	}
	return nil
}

func (f *fake) KillResource(_ context.Context, node, _ string, _ bool) error {
	f.mu.Lock()
	f.owner = ""
	f.mu.Unlock()
	f.pending.Go(func() {
		<-time.After(30 * time.Millisecond)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.owner = node
		f.starts++
	})
	return nil
}

func (f *fake) HangResource(context.Context, string, string, bool) error { return nil }
func (f *fake) HangWorkers(context.Context, string, string) error        { return nil }
func (f *fake) FailStart(context.Context, string, string, bool) error    { return nil }

func (f *fake) Switchover(_ context.Context, _, node string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.owner = node
	return nil
}
