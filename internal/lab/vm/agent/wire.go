package agent

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// Version of the stream. Both sides are of one build; a guest left over from
// another one says so.
const Version = 3

const (
	// maxLine bounds a line in bytes.
	maxLine = 1 << 20
	// chunk is how much output or file a line carries at most, in bytes.
	chunk = 128 << 10
	// inward is how much input or file a line to the guest carries, in bytes: a serial
	// line of UML holds 4 KiB that the guest hasn't read and loses the rest, and the
	// line is a third longer than that. Seen: 2000 bytes arrive, 3500 don't.
	inward = 2 << 10
)

// op names what is asked.
type op string

const (
	opRun    op = "run"    // to its end, with output as it comes
	opStart  op = "start"  // and let it run; the output goes to a file
	opAsk    op = "ask"    // a command of perdure, carried out in the agent's own process
	opInput  op = "input"  // more for the standard input of what runs; the reply comes when it was taken
	opResize op = "resize" // of its terminal
	opStop   op = "stop"   // what runs
	opWrite  op = "write"  // a file
	opRead   op = "read"   // a file
	opWeb    op = "web"    // the web server's files
	opFault  op = "fault"  // of package fault, what the inside can do
	opStarts op = "starts" // of the web server
	opClocks op = "clocks"
	opBreak  op = "break" // the address gate, again and again until it is stopped
	opSysrq  op = "sysrq" // the kernel's own letters; c is a panic
)

// request is a line to the guest.
type request struct {
	ID uint64 `json:"id"`
	Op op     `json:"op"`
	// Target is the id of the request that an input, resize or stop is for.
	Target uint64   `json:"target,omitempty"`
	Argv   []string `json:"argv,omitempty"`
	// Terminal: the program gets one of this size.
	Terminal *Size `json:"terminal,omitempty"`
	// Data is standard input, or a file's content; End: nothing follows.
	Data []byte `json:"data,omitempty"`
	End  bool   `json:"end,omitempty"`
	// Path is a file; for start that of the output. Append adds to it.
	Path   string `json:"path,omitempty"`
	Append bool   `json:"append,omitempty"`
	Mode   uint32 `json:"mode,omitempty"`
	// Text is a fault in printed form, or a sysrq letter.
	Text string `json:"text,omitempty"`
	Web  *Web   `json:"web,omitempty"`
}

// reply is a line from the guest. The first of all has id 0 and says hello.
type reply struct {
	ID   uint64 `json:"id"`
	Out  []byte `json:"out,omitempty"`
	Err  []byte `json:"err,omitempty"`
	Last bool   `json:"last,omitempty"`
	// Code is an exit status, or what was counted.
	Code int `json:"code,omitempty"`
	// Failure is why it couldn't be done.
	Failure string   `json:"failure,omitempty"`
	Argv    []string `json:"argv,omitempty"`
	Hello   *Hello   `json:"hello,omitempty"`
	Clocks  *Clocks  `json:"clocks,omitempty"`
}

// Size is that of a terminal in characters.
type Size struct {
	Rows    uint16 `json:"rows"`
	Columns uint16 `json:"columns"`
}

// Web asks for a web server's files and makes them known to the faults.
type Web struct {
	// Resource is the name by which faults know the server.
	Resource string         `json:"resource"`
	Site     webserver.Site `json:"site"`
	// FailStart: starts fail from the beginning.
	FailStart bool `json:"failStart"`
}

// Hello is how a guest introduces itself.
type Hello struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	Kernel  string `json:"kernel"`
	// Boot is the kernel's random id of this boot.
	Boot string `json:"boot"`
	// Up is how long the kernel has run.
	Up time.Duration `json:"up"`
}

// Clocks are a guest's clocks, read one right after the other.
type Clocks struct {
	Realtime  time.Duration `json:"realtime"` // since 1970
	Monotonic time.Duration `json:"monotonic"`
	Boottime  time.Duration `json:"boottime"`
}

var errLineTooLong = errors.New("line too long")

// readLine reads one line and unpacks it.
func readLine(r *bufio.Reader, into any) error {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxLine {
			return fmt.Errorf("read from the control channel: %w (over %d bytes)", errLineTooLong, maxLine)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			if errors.Is(err, io.EOF) && len(line) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	if err := json.Unmarshal(line, into); err != nil {
		return &garbled{line: line, err: err}
	}
	return nil
}

// garbled is a line that is none of ours: what a kernel or a boot loader said
// before the agent had the port for itself.
type garbled struct {
	line []byte
	err  error
}

func (g *garbled) Error() string {
	return fmt.Sprintf("read from the control channel: %q: %v", g.line[:min(len(g.line), 80)], g.err)
}

func (g *garbled) Unwrap() error { return g.err }

// packLine makes a line of it.
func packLine(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("pack for the control channel: %w", err)
	}
	if len(line) >= maxLine {
		return nil, fmt.Errorf("pack for the control channel: %w (%d bytes)", errLineTooLong, len(line))
	}
	return append(line, '\n'), nil
}
