package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/lab/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a client with a guest at the other end, on this machine: what needs a
// machine of its own fails there, and says so.
func pair(t *testing.T) *Client { return pairWith(t, nil) }

func pairWith(t *testing.T, command Command) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	served := make(chan error, 1)
	go func() {
		g := &guest{name: "n1", node: newNode("n1", false), perdure: command,
			running: map[uint64]*program{}, asking: map[uint64]context.CancelFunc{}}
		served <- g.serve(theirs)
	}()
	c := NewClient("n1", ours)
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; !errors.Is(err, io.EOF) {
			t.Errorf("the guest ended with %v", err)
		}
	})
	return c
}

func TestGuestIntroducesItself(t *testing.T) {
	c := pair(t)
	h, err := c.Await(t.Context())
	if err != nil || h.Name != "n1" || h.Version != Version || h.Boot == "" || h.Up <= 0 {
		t.Errorf("hello is %+v, %v", h, err)
	}
	if clocks, err := c.Clocks(t.Context()); err != nil || clocks.Boottime < clocks.Monotonic || clocks.Monotonic <= 0 {
		t.Errorf("clocks are %+v, %v", clocks, err)
	}
}

// TestFiles: a file of several lines' length goes there and comes back.
func TestFiles(t *testing.T) {
	c := pair(t)
	path := filepath.Join(t.TempDir(), "below", "file")
	want := bytes.Repeat([]byte("0123456789abcdef"), 3*chunk/16+1)
	if err := c.Write(t.Context(), path, 0o600, want); err != nil {
		t.Fatal(err)
	}
	got, err := c.Read(t.Context(), path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(want), err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := c.Write(t.Context(), "relative", 0o600, nil); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("a relative path: %v", err)
	}
	if _, err := c.Read(t.Context(), path+".not"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that isn't there: %v", err)
	}
}

// TestRefusals: what a guest can't do it says, and goes on.
func TestRefusals(t *testing.T) {
	c := pair(t)
	for _, f := range []fault.Fault{
		{Kind: fault.Kill, Node: "n1", Resource: "nginx"},               // no such resource
		{Kind: fault.StartDaemon, Node: "n1"},                           // from outside
		{Kind: fault.Cut, Node: "n1", Peer: "n2"},                       // the hypervisor's
		{Kind: fault.DiskError, Node: "n1", Resource: "state"},          // the same
		{Kind: fault.FailStart, Node: "n1", Resource: "something else"}, // no such resource
	} {
		if err := c.Apply(t.Context(), f); err == nil {
			t.Errorf("%v was done", f)
		}
	}
	if _, err := c.ask(t.Context(), request{Op: "dance"}); err == nil || !strings.Contains(err.Error(), `doesn't know "dance"`) {
		t.Errorf("an unknown request: %v", err)
	}
	if err := c.Sysrq(t.Context(), "boot"); err == nil {
		t.Error("sysrq took four letters")
	}
	if _, err := c.Await(t.Context()); err != nil {
		t.Errorf("and then the guest is gone: %v", err)
	}
}

// silent is a guest that says what it was given and takes everything.
func silent(t *testing.T, says string) *Client {
	t.Helper()
	ours, theirs := net.Pipe()
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		_, _ = io.WriteString(theirs, says)
		_, _ = io.Copy(io.Discard, theirs)
	}()
	c := NewClient("n1", ours)
	t.Cleanup(func() {
		_ = c.Close()
		<-taken
	})
	return c
}

func TestSilentGuest(t *testing.T) {
	c := silent(t, "[    0.1] a kernel's words\n{\"id\":7,\"last\":true}\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Await(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Await: %v", err)
	}
	if _, err := c.Run(ctx, "true"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Run: %v", err)
	}
}

func TestOtherVersion(t *testing.T) {
	c := silent(t, `{"id":0,"last":true,"hello":{"version":99,"name":"n1"}}`+"\n")
	if _, err := c.Await(t.Context()); err == nil || !strings.Contains(err.Error(), "version 99") {
		t.Errorf("Await: %v", err)
	}
}

// TestMachineEnds: whoever waits learns that the machine is gone.
func TestMachineEnds(t *testing.T) {
	ours, theirs := net.Pipe()
	c := NewClient("n1", ours)
	asked := make(chan error, 1)
	go func() {
		_, err := c.Starts(context.Background())
		asked <- err
	}()
	var q request
	if err := readLine(bufio.NewReader(theirs), &q); err != nil || q.Op != opStarts {
		t.Fatalf("the guest was asked %+v, %v", q, err)
	}
	theirs.Close()
	if err := <-asked; !errors.Is(err, ErrEnded) {
		t.Errorf("the one who waited got %v", err)
	}
	if _, err := c.Starts(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("the next got %v", err)
	}
	if _, err := c.Await(t.Context()); !errors.Is(err, ErrEnded) {
		t.Errorf("Await: %v", err)
	}
	_ = c.Close()
}

func TestLongLine(t *testing.T) {
	line := strings.Repeat("x", maxLine+10) + "\n"
	if err := readLine(bufio.NewReader(strings.NewReader(line)), &reply{}); !errors.Is(err, errLineTooLong) {
		t.Errorf("a line of %d bytes: %v", len(line), err)
	}
	if err := readLine(bufio.NewReader(strings.NewReader(`{"id":1`)), &reply{}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("half a line: %v", err)
	}
	if _, err := packLine(reply{Out: make([]byte, maxLine)}); !errors.Is(err, errLineTooLong) {
		t.Errorf("a reply that is too long: %v", err)
	}
}

func FuzzReadLine(f *testing.F) {
	for _, text := range []string{"", "\n", `{"id":1,"last":true}` + "\n", `{"id":-1}` + "\n", "[ 0.0] kernel\n{}\n", `{"out":"!"}` + "\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(text), 16)
		for range bytes.Count(text, []byte("\n")) + 2 {
			var got reply
			err := readLine(r, &got)
			if bad := (*garbled)(nil); err != nil && !errors.As(err, &bad) {
				return
			}
			if err == nil {
				if _, err := packLine(got); err != nil {
					t.Errorf("what was read can't be written: %v", err)
				}
			}
		}
		t.Error("the end was not found")
	})
}

// TestCommands: a command of perdure is carried out in the guest's agent, its output
// and status come back, whoever asked can leave, and what goes wrong in it ends
// nothing else.
func TestCommands(t *testing.T) {
	left := make(chan struct{})
	c := pairWith(t, func(ctx context.Context, args []string, out, errOut io.Writer) int {
		switch args[0] {
		case "wait":
			<-ctx.Done()
			close(left)
		case "panic":
			panic("broken")
		case "status":
			fmt.Fprint(out, strings.Repeat("all is well\n", chunk/8))
			return 0
		}
		fmt.Fprint(errOut, "no such thing")
		return 2
	})
	if text, err := c.Perdure(t.Context(), "status"); err != nil || len(text) != 12*(chunk/8) {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	var exit *Exit
	if _, err := c.Perdure(t.Context(), "nonsense", "--json"); !errors.As(err, &exit) || exit.Code != 2 ||
		!strings.Contains(err.Error(), "perdure nonsense --json on n1: exit status 2: no such thing") {
		t.Errorf("a command that fails: %v", err)
	}
	if _, err := c.Perdure(t.Context(), "panic"); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("a command that panics: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := c.Perdure(ctx, "wait"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command that was given up: %v", err)
	}
	<-left
}
