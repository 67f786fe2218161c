package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A shell's connection carries frames both ways: a byte of kind, the length of what
// follows as four bytes (big-endian), and that.
type frameKind byte

const (
	frameInput frameKind = 'i' // to the program
	frameEnd   frameKind = 'e' // of its input
	frameTaken frameKind = 't' // four bytes: so much input was read
	frameSize  frameKind = 's' // of the terminal, JSON
	frameOut   frameKind = 'o' // from the program
	frameErr   frameKind = 'x' // from its standard error
	frameExit  frameKind = 'q' // JSON; the last
)

const (
	mostFrame = 64 << 10
	// inputWindow is how much input may be under way that nobody has read: more
	// than one frame, less than what anybody minds to hold.
	inputWindow = 64 << 10
	// inputPart is how much a frame of input carries.
	inputPart = 16 << 10
)

// exit is how a program ended.
type exit struct {
	Code    int      `json:"code"`
	Failure *Failure `json:"failure,omitempty"`
}

// frames writes frames from several goroutines.
type frames struct {
	mu sync.Mutex
	w  io.Writer
}

func (f *frames) send(kind frameKind, data []byte) error {
	for first := true; first || len(data) > 0; first = false {
		part := data[:min(len(data), mostFrame)]
		data = data[len(part):]
		head := binary.BigEndian.AppendUint32([]byte{byte(kind)}, uint32(len(part)))
		f.mu.Lock()
		_, err := f.w.Write(append(head, part...))
		f.mu.Unlock()
		if err != nil {
			return fmt.Errorf("write to the shell's connection: %w", err)
		}
	}
	return nil
}

func (f *frames) sendJSON(kind frameKind, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.send(kind, data)
}

// to is a writer of frames of a kind.
func (f *frames) to(kind frameKind) io.Writer { return frameWriter{f, kind} }

type frameWriter struct {
	*frames
	kind frameKind
}

func (w frameWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return len(p), w.send(w.kind, p)
}

var errFrame = errors.New("not a frame of a shell's connection")

// readFrame reads one frame. io.EOF is an end between frames.
func readFrame(r io.Reader) (frameKind, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > mostFrame {
		return 0, nil, fmt.Errorf("%w: %d bytes, at most %d", errFrame, n, mostFrame)
	}
	data := make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		return 0, nil, fmt.Errorf("%w: %w", errFrame, io.ErrUnexpectedEOF)
	}
	return frameKind(head[0]), data, nil
}
