package kit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// outputMax bounds a file of output (bytes). The run directory is usually in
// memory; a resource has a handful of such files and one old copy of each.
const outputMax = 256 << 10

// tailMax bounds the output that is quoted in a message (bytes).
const tailMax = 600

// Output is a file that programs write to directly. A pipe to the daemon would
// kill them when the daemon dies.
type Output struct {
	Path string
	Max  int64 // 0: 256 KiB
}

func (o Output) max() int64 {
	if o.Max > 0 {
		return o.Max
	}
	return outputMax
}

// Open opens the file for a program, at its end: after a truncation the
// program goes on at the start instead of leaving a hole.
func (o Output) Open() (*os.File, error) {
	f, err := os.OpenFile(o.Path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the output file: %w", err)
	}
	return f, nil
}

// Size is where the next output will begin.
func (o Output) Size() int64 {
	st, err := os.Stat(o.Path)
	if err != nil {
		return 0
	}
	return st.Size()
}

// Bound keeps the last part of a file that has grown too long as PATH.1 and
// begins again. What is written between the two steps is lost.
func (o Output) Bound() error {
	size := o.Size()
	if size <= o.max() {
		return nil
	}
	last, err := o.read(size-o.max(), o.max())
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.Path+".1", last, 0o600); err != nil {
		return fmt.Errorf("keep the old output: %w", err)
	}
	if err := os.Truncate(o.Path, 0); err != nil {
		return fmt.Errorf("begin a new output: %w", err)
	}
	return nil
}

// Tail is the last lines written since the file had the size from.
func (o Output) Tail(from int64) string {
	size := o.Size()
	if size < from { // truncated meanwhile
		from = 0
	}
	cut := size-from > tailMax
	if cut {
		from = size - tailMax
	}
	b, err := o.read(from, tailMax)
	if err != nil {
		return ""
	}
	if cut {
		if _, rest, ok := bytes.Cut(b, []byte{'\n'}); ok {
			b = rest
		}
	}
	lines := strings.Split(strings.TrimSpace(strings.ToValidUTF8(string(b), "?")), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}

// Since is what was written since the file had the size from, at most Max.
func (o Output) Since(from int64) string {
	if o.Size() < from {
		from = 0
	}
	b, err := o.read(from, o.max())
	if err != nil {
		return ""
	}
	return string(b)
}

func (o Output) read(from, length int64) ([]byte, error) {
	f, err := os.Open(o.Path)
	if err != nil {
		return nil, fmt.Errorf("read the output: %w", err)
	}
	defer f.Close()
	b := make([]byte, length)
	n, err := f.ReadAt(b, from)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the output: %w", err)
	}
	return b[:n], nil
}
