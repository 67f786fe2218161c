package qmp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// greeting is that of Debian's QEMU 7.2.
const greeting = `{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian"}, "capabilities": ["oob"]}}`

// request is what the fake server read.
type request struct {
	Execute   string          `json:"execute"`
	Arguments json.RawMessage `json:"arguments"`
	ID        uint64          `json:"id"`
}

// fake is a QEMU: answer gets every request after the first and says the lines.
func fake(t *testing.T, answer func(request) []string) (*Client, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	var wait sync.WaitGroup
	wait.Go(func() {
		fmt.Fprintf(theirs, "%s\r\n", greeting)
		r := bufio.NewScanner(theirs)
		for r.Scan() {
			var q request
			if err := json.Unmarshal(r.Bytes(), &q); err != nil {
				t.Errorf("the client sent %q: %v", r.Text(), err)
				return
			}
			if q.Execute == "qmp_capabilities" {
				fmt.Fprintf(theirs, `{"return": {}, "id": %d}`+"\r\n", q.ID)
				continue
			}
			for _, l := range answer(q) {
				if _, err := io.WriteString(theirs, l+"\r\n"); err != nil {
					return
				}
			}
		}
	})
	c, err := New(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); theirs.Close(); wait.Wait() })
	return c, theirs
}

func ok(q request, body string) string { return fmt.Sprintf(`{"return": %s, "id": %d}`, body, q.ID) }

func TestExecute(t *testing.T) {
	c, _ := fake(t, func(q request) []string {
		if string(q.Arguments) != `{"name":"nic0"}` {
			t.Errorf("arguments: %s", q.Arguments)
		}
		return []string{`{"event": "NOISE", "timestamp": {"seconds": -1, "microseconds": -1}}`, ok(q, `{"status": "running"}`)}
	})
	if got := c.Version().String(); got != "7.2.22" {
		t.Errorf("version %s", got)
	}
	var out struct{ Status string }
	if err := c.Execute(t.Context(), "query-status", map[string]any{"name": "nic0"}, &out); err != nil || out.Status != "running" {
		t.Errorf("status %q, %v", out.Status, err)
	}
}

func TestAnswersOutOfOrder(t *testing.T) {
	var held *request
	c, _ := fake(t, func(q request) []string {
		if held == nil {
			held = &q
			return nil
		}
		return []string{ok(q, `"second"`), ok(*held, `"first"`), ok(*held, `"again"`)}
	})
	var first string
	var wait sync.WaitGroup
	asked := make(chan struct{})
	wait.Go(func() {
		close(asked)
		if err := c.Execute(t.Context(), "a", nil, &first); err != nil {
			t.Error(err)
		}
	})
	<-asked
	for {
		c.mu.Lock()
		n := len(c.asked)
		c.mu.Unlock()
		if n == 1 {
			break
		}
	}
	var second string
	if err := c.Execute(t.Context(), "b", nil, &second); err != nil {
		t.Error(err)
	}
	wait.Wait()
	if first+second != "firstsecond" && first+second != "secondfirst" {
		t.Errorf("answers %q and %q", first, second)
	}
}

func TestRefusal(t *testing.T) {
	c, _ := fake(t, func(q request) []string {
		return []string{fmt.Sprintf(`{"error": {"class": "DeviceNotFound", "desc": "Device 'x' not found"}, "id": %d}`, q.ID)}
	})
	var refused *Error
	err := c.Execute(t.Context(), "device_del", nil, nil)
	if !errors.As(err, &refused) || refused.Class != "DeviceNotFound" || refused.Command != "device_del" {
		t.Errorf("got %v", err)
	}
}

func TestDeadline(t *testing.T) {
	c, _ := fake(t, func(q request) []string {
		if q.Execute == "late" {
			return nil
		}
		return []string{ok(q, `1`)}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := c.Execute(ctx, "late", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if err := c.Execute(t.Context(), "next", nil, nil); err != nil {
		t.Errorf("a late answer broke the connection: %v", err)
	}
}

func TestEndIsToldToAll(t *testing.T) {
	asked := make(chan struct{}, 2)
	c, theirs := fake(t, func(request) []string { asked <- struct{}{}; return nil })
	sub := c.Subscribe()
	errs := make(chan error, 2)
	for range 2 {
		go func() { errs <- c.Execute(t.Context(), "stop", nil, nil) }()
	}
	<-asked
	<-asked
	theirs.Close()
	for range 2 {
		if err := <-errs; !errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := sub.Wait(t.Context(), func(Event) bool { return true }); !errors.Is(err, io.EOF) {
		t.Errorf("subscriber got %v", err)
	}
	<-c.Done()
	if late := c.Subscribe(); late != nil {
		if _, open := <-late.Events(); open {
			t.Error("a late subscriber got an event")
		}
	}
	if err := c.Execute(t.Context(), "stop", nil, nil); err == nil {
		t.Error("a command after the end succeeded")
	}
}

func TestClose(t *testing.T) {
	asked := make(chan struct{})
	c, _ := fake(t, func(request) []string { close(asked); return nil })
	errs := make(chan error)
	go func() { errs <- c.Execute(t.Context(), "stop", nil, nil) }()
	<-asked
	c.Close()
	if err := <-errs; !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	c.Close()
}

func TestEvents(t *testing.T) {
	c, _ := fake(t, func(q request) []string {
		var lines []string
		for i := range queued + 5 {
			lines = append(lines, fmt.Sprintf(`{"event": "STOP", "data": {"n": %d}, "timestamp": {"seconds": 1, "microseconds": 2}}`, i))
		}
		return append(lines, `{"event": "RESUME", "timestamp": {"seconds": 1, "microseconds": 2}}`, ok(q, `{}`))
	})
	stops, resumes, none := c.Subscribe("STOP"), c.Subscribe("RESUME"), c.Subscribe("OTHER")
	closed := c.Subscribe("STOP")
	closed.Close()
	closed.Close()
	if err := c.Execute(t.Context(), "go", nil, nil); err != nil {
		t.Fatal(err)
	}
	if got := stops.Lost(); got != 5 {
		t.Errorf("%d events lost, want 5", got)
	}
	e, err := stops.Wait(t.Context(), func(e Event) bool {
		var data struct{ N int }
		return e.Decode(&data) == nil && data.N == 7
	})
	if err != nil || !e.Time.Equal(time.Unix(1, 2000)) {
		t.Errorf("event %+v, %v", e, err)
	}
	if e := <-resumes.Events(); e.Name != "RESUME" || e.Decode(&struct{}{}) == nil {
		t.Errorf("event %+v", e)
	}
	if len(none.Events()) != 0 || len(closed.Events()) != 0 {
		t.Error("events that nobody asked for")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := none.Wait(ctx, func(Event) bool { return true }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestGarbageEndsIt(t *testing.T) {
	for _, text := range []string{"{", `{"some": "thing"}`, `{"return": {}, "id": "x"}`} {
		c, _ := fake(t, func(request) []string { return []string{text} })
		if err := c.Execute(t.Context(), "x", nil, nil); err == nil {
			t.Errorf("%s: taken for an answer", text)
		}
		<-c.Done()
	}
}

func TestGreeting(t *testing.T) {
	for _, text := range []string{"", "{\r\n", `{"return": {}}` + "\r\n", `{"QMP":`} {
		ours, theirs := net.Pipe()
		go func() { _, _ = io.WriteString(theirs, text); theirs.Close() }()
		if c, err := New(t.Context(), ours); err == nil {
			c.Close()
			t.Errorf("%q: taken for a greeting", text)
		}
	}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := New(ctx, ours); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silence: %v", err)
	}
}

func TestDial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "q")
	if _, err := Dial(t.Context(), path); err == nil {
		t.Fatal("dialled nothing")
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintln(conn, greeting)
		if bufio.NewScanner(conn).Scan() {
			fmt.Fprintln(conn, `{"return": {}, "id": 1}`)
		}
	}()
	c, err := Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestLongLine(t *testing.T) {
	r := bufio.NewReaderSize(io.MultiReader(strings.NewReader(strings.Repeat("x", maxLine)), strings.NewReader("x\n")), 16)
	if _, err := readLine(r); !errors.Is(err, errLongLine) {
		t.Errorf("got %v", err)
	}
	r = bufio.NewReaderSize(strings.NewReader("0123456789012345678\nrest"), 16)
	if text, err := readLine(r); err != nil || string(text) != "0123456789012345678\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := readLine(r); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
}

func FuzzDecodeLine(f *testing.F) {
	for _, s := range []string{greeting, `{"return": {}, "id": 1}`, `{"return": [], "id": null}`,
		`{"error": {"class": "GenericError", "desc": "x"}}`, `{"error": null}`,
		`{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}, "timestamp": {"seconds": 1, "microseconds": 2}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := decodeLine(text)
		kinds := 0
		for _, is := range []bool{l.greeting != nil, l.event != nil, l.answer != nil} {
			if is {
				kinds++
			}
		}
		if (err == nil) != (kinds == 1) {
			t.Errorf("%q: %d kinds, %v", text, kinds, err)
		}
		if l.answer != nil && l.answer.fault == nil && !json.Valid(bytes.TrimSpace(l.answer.result)) {
			t.Errorf("%q: result %q", text, l.answer.result)
		}
	})
}
