package keeper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeLab is a lab without machines. A run waits for release; a program says what
// it reads in capitals.
type fakeLab struct {
	release chan struct{}
	sizes   chan Size
	closed  bool
}

func (f *fakeLab) Look() Look {
	return Look{Config: Config{Kind: "uml", Nodes: 3}, Nodes: []Node{{Name: "n1", Kind: "uml", State: "on"}},
		Service: &Service{Address: "10.78.1.100:80", Node: "n1"}}
}

func (f *fakeLab) Offer(string) Offer {
	return Offer{Scenarios: []Item{{Name: "power-loss", Title: "node powered off"}}}
}

func (f *fakeLab) Prepare(p Play) (Act, error) {
	if p.Words[0] == "power-los" {
		return nil, near(message.New(message.LabNoScenario, p.Words[0]), p.Words[0], []string{"power-loss"})
	}
	return func(ctx context.Context, out, live io.Writer) error {
		fmt.Fprintln(live, "going on")
		select {
		case <-f.release:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		fmt.Fprintln(out, "table")
		return message.New(message.LabNotSurvived)
	}, nil
}

func (f *fakeLab) Attach(ctx context.Context, node string, s Session) (int, error) {
	switch node {
	case "off":
		return 0, message.New(message.LabNodeOff, node)
	case "deaf": // reads nothing until whoever is there leaves
		<-ctx.Done()
		return 0, context.Cause(ctx)
	}
	if s.Terminal != nil {
		f.sizes <- *s.Terminal
		f.sizes <- <-s.Sizes
	}
	fmt.Fprint(s.Err, "hello")
	text, err := io.ReadAll(s.In)
	if err != nil {
		return 0, err
	}
	fmt.Fprint(s.Out, strings.ToUpper(string(text)))
	return 3, nil
}

func (f *fakeLab) Close() (string, error) { f.closed = true; return "", nil }

// serve starts a server with the lab behind a socket.
func serve(t *testing.T, lab Lab) (*server, *caller) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(record{PID: 42, Config: Config{Kind: "uml", Nodes: 3}}, func() {})
	h := httptest.NewUnstartedServer(s.handler())
	h.Listener.Close()
	h.Listener = l
	h.Start()
	t.Cleanup(func() {
		h.CloseClientConnections()
		h.Close()
		s.attached.Wait()
	})
	if lab != nil {
		s.opened(lab)
	}
	return s, dial(path)
}

func soon(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestProgressIsStreamed(t *testing.T) {
	s, c := serve(t, nil)
	if _, err := c.offer(soon(t), "en"); !message.Has(err, message.LabNotReady) {
		t.Errorf("a lab that isn't there offers: %v", err)
	}
	var seen []Phase
	last, err := c.follow(soon(t), "GET", pathProgress, func(p Progress) {
		if len(seen) == 0 || seen[len(seen)-1] != p.Phase {
			seen = append(seen, p.Phase)
		}
		switch p.Phase {
		case Begins:
			s.say(Progress{Phase: Images, Fraction: 0.5})
		case Images:
			s.say(Progress{Phase: Boots})
		case Boots:
			s.opened(&fakeLab{})
		}
	})
	if err != nil || last.Phase != Serves || fmt.Sprint(seen) != "[begins images boots in service]" {
		t.Errorf("%v, last %v: %v", seen, last, err)
	}
	look, err := c.look(soon(t))
	if err != nil || look.PID != 42 || look.Phase != Serves || look.Service.Node != "n1" {
		t.Errorf("%+v: %v", look, err)
	}
}

func TestFailureCrossesTheSocket(t *testing.T) {
	s, c := serve(t, nil)
	s.say(Progress{Phase: Failing, Failure: failureOf(message.New(message.LabNoRoom, "10 MiB"))})
	last, err := c.follow(soon(t), "GET", pathProgress, nil)
	if err != nil || !message.Has(failed(last.Failure), message.LabNoRoom) {
		t.Errorf("%v: %v", last.Failure, err)
	}
	if err := failed(failureOf(errors.New("plain"))); !message.Has(err, message.LabFailed) {
		t.Errorf("a plain failure: %v", err)
	}
}

func TestRunsOneAtATime(t *testing.T) {
	lab := &fakeLab{release: make(chan struct{})}
	_, c := serve(t, lab)
	var out, live listening
	ended := make(chan error, 1)
	live.heard = make(chan struct{})
	go func() { ended <- c.run(soon(t), Play{Words: []string{"power-loss"}}, &out, &live) }()
	<-live.heard
	if err := c.run(soon(t), Play{Words: []string{"isolated"}}, io.Discard, io.Discard); !message.Has(err, message.LabBusy) {
		t.Errorf("a second run beside the first: %v", err)
	}
	if look, err := c.look(soon(t)); err != nil || look.Busy != "power-loss" {
		t.Errorf("busy with %q: %v", look.Busy, err)
	}
	close(lab.release)
	if err := <-ended; !message.Has(err, message.LabNotSurvived) || out.String() != "table\n" {
		t.Errorf("%q: %v", out.String(), err)
	}
	err := c.run(soon(t), Play{Words: []string{"power-los"}}, io.Discard, io.Discard)
	if !message.Has(err, message.LabNoScenario) || !message.Has(err, message.DidYouMean) {
		t.Errorf("a misspelt name: %v", err)
	}
}

// TestRunEndsWithItsPerson: an interrupted run lets the lab go.
func TestRunEndsWithItsPerson(t *testing.T) {
	lab := &fakeLab{release: make(chan struct{})}
	s, c := serve(t, lab)
	ctx, cancel := context.WithCancel(soon(t))
	live := listening{heard: make(chan struct{})}
	ended := make(chan error, 1)
	go func() { ended <- c.run(ctx, Play{Words: []string{"power-loss"}}, io.Discard, &live) }()
	<-live.heard
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); ; {
		release, err := s.alone("next")
		if err == nil {
			release()
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the lab stays busy")
		}
	}
}

func TestShell(t *testing.T) {
	lab := &fakeLab{sizes: make(chan Size, 2)}
	_, c := serve(t, lab)
	// More than the window, so that it must be given back.
	text := strings.Repeat("abc\n", 3*inputWindow/4)
	var out, errOut bytes.Buffer
	code, err := c.attach(soon(t), "n1", Session{Argv: []string{"cat"}, In: strings.NewReader(text), Out: &out, Err: &errOut})
	if err != nil || code != 3 || out.String() != strings.ToUpper(text) || errOut.String() != "hello" {
		t.Errorf("status %d, %d bytes, %q: %v", code, out.Len(), errOut.String(), err)
	}
	sizes := make(chan Size, 1)
	sizes <- Size{50, 132}
	if _, err := c.attach(soon(t), "n1", Session{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard, Terminal: &Size{24, 80}, Sizes: sizes}); err != nil {
		t.Error(err)
	}
	if first, then := <-lab.sizes, <-lab.sizes; first != (Size{24, 80}) || then != (Size{50, 132}) {
		t.Errorf("sizes %v, %v", first, then)
	}
	if _, err := c.attach(soon(t), "off", Session{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard}); !message.Has(err, message.LabNodeOff) {
		t.Errorf("a node that is off: %v", err)
	}
}

// TestShellThatReadsNothing: whoever leaves one that takes no input is noticed.
func TestShellThatReadsNothing(t *testing.T) {
	_, c := serve(t, &fakeLab{})
	ctx, cancel := context.WithCancel(soon(t))
	in := &endless{full: make(chan struct{}), after: 2 * inputWindow / inputPart, left: make(chan struct{})}
	ended := make(chan error, 1)
	go func() {
		_, err := c.attach(ctx, "deaf", Session{In: in, Out: io.Discard, Err: io.Discard})
		ended <- err
	}()
	select {
	case <-in.full:
		t.Error("more than a window was taken")
	case <-time.After(50 * time.Millisecond):
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("left: %v", err)
	}
}

// endless gives input for ever.
type endless struct {
	full, left chan struct{}
	reads      int
	after      int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.reads++; e.reads == e.after {
		close(e.full)
	}
	return len(p), nil
}

// listening is a buffer that says when something is in it.
type listening struct {
	mu    sync.Mutex
	text  bytes.Buffer
	heard chan struct{}
}

func (l *listening) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.text.Len() == 0 && l.heard != nil && len(p) > 0 {
		close(l.heard)
	}
	return l.text.Write(p)
}

func (l *listening) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestConfigIsChecked(t *testing.T) {
	for _, bad := range []Config{{Kind: "vbox", Nodes: 3}, {Kind: "uml", Nodes: 1}, {Kind: "uml", Nodes: 8},
		{Kind: "uml", Nodes: 2, Witness: true}, {Kind: "qemu", Nodes: 3, Detection: time.Millisecond}} {
		if err := bad.Check(); !message.Has(err, message.LabOption) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	nodes, hosts, witness := Config{Kind: "uml", Nodes: 3, Witness: true}.Names()
	if fmt.Sprintf("%v %v %v", nodes, hosts, witness) != "[n1 n2 w1] [n1 n2] w1" {
		t.Error(nodes, hosts, witness)
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("i\x00\x00\x00\x02ab"))
	f.Add([]byte("q\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for r := bytes.NewReader(data); ; {
			_, body, err := readFrame(r)
			if err != nil {
				return
			}
			if len(body) > mostFrame {
				t.Fatalf("%d bytes", len(body))
			}
		}
	})
}

// TestTextsFit: the table and what comes with it fits 80 columns in both languages.
func TestTextsFit(t *testing.T) {
	look := (&fakeLab{}).Look()
	look.Nodes = []Node{{Name: "n1", Host: "h1", Kind: "qemu", State: "changing", Addresses: []Address{{"public", "10.78.1.11"}, {"heartbeat", "10.78.2.11"}}},
		{Name: "w1", Host: "h3", Kind: "uml", State: "on", Witness: true, Addresses: []Address{{"public", "10.78.1.13"}, {"heartbeat", "10.78.2.13"}}}}
	look.Storage = []Storage{{"sana", "iscsi://10.78.4.210:3260/iqn.2026-11.lab.perdure:san"}, {"nas", "nfs://10.78.6.211/"}}
	look.Config.Nodes, look.PID, look.Phase, look.Since = 3, 4194304, Serves, time.Now()
	look.Service = &Service{Address: "10.78.1.100:80", Node: "n1", Window: 10 * time.Minute, Sent: 59999, Lost: 300, Longest: 2610 * time.Millisecond,
		OutageCount: 7, Outages: []Outage{{At: time.Now(), Length: time.Second, Before: "n1", After: "n2"}}, Double: time.Second}
	for _, lang := range []string{message.English, message.Japanese} {
		var out bytes.Buffer
		p := Person{Lang: lang, Out: &out, Err: &out}
		p.status(look)
		p.next()
		p.list(Offer{Scenarios: []Item{{"standby-power-loss", "standby powered off", "machines of kind uml can't do it"}},
			Faults: []Item{{Name: "power-off"}, {Name: "nmi", Why: "no"}}})
		p.print("no-lab")
		// All outages are counted, although only the last are listed.
		if want := (Person{Lang: lang}).say("counters", look.Service.Window, 59999, 300, 7, 2.61); !strings.Contains(out.String(), want) {
			t.Errorf("%s: no %q", lang, want)
		}
		for _, line := range strings.Split(out.String(), "\n") {
			if message.Width(line) > widest {
				t.Errorf("%s: %d cells: %s", lang, message.Width(line), line)
			}
		}
	}
}
