package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/platform/durable"
)

const (
	// FileName is the file that is written; older ones are FileName.1 and so on.
	FileName = "audit.log"
	// fileMax is when the next file is begun (bytes), and files how many are
	// kept: some 100,000 lines together.
	fileMax = 4 << 20
	files   = 8
	// lineMax bounds a line (bytes), its end included.
	lineMax = 8 << 10
	// queueMax is how many lines may wait for a slow disk.
	queueMax = 256
	// patience is how long a caller waits for the disk.
	patience = 2 * time.Second
)

// Errors of Append that say where a line stayed.
var (
	// ErrSlow: the disk hasn't taken the line yet. It is written when it does.
	ErrSlow = errors.New("the disk doesn't answer")
	// ErrFull: too many lines wait already; this one is lost.
	ErrFull = errors.New("the disk doesn't answer, and too much waits for it")
)

// Log is the log of one directory.
type Log struct {
	dir     string
	fileMax int64
	queue   chan line
	end     chan struct{}
	done    chan struct{}
	once    sync.Once
}

type line struct {
	text []byte
	err  chan error
}

// Open makes the directory and begins to write. [Log.Close] ends it.
func Open(dir string) (*Log, error) { return open(dir, fileMax) }

func open(dir string, fileMax int64) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the audit log: %w", err)
	}
	l := &Log{dir: dir, fileMax: fileMax, queue: make(chan line, queueMax), end: make(chan struct{}), done: make(chan struct{})}
	go l.write()
	return l, nil
}

// Path is the file that is written.
func (l *Log) Path() string { return filepath.Join(l.dir, FileName) }

// Close writes what waits, and returns when it is written.
func (l *Log) Close() {
	l.once.Do(func() { close(l.end) })
	<-l.done
}

// Append writes a record as one line and waits, not for long, until it is on
// disk.
func (l *Log) Append(record any) error {
	b, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("encode a line of the audit log: %w", err)
	}
	if len(b)+1 > lineMax {
		return fmt.Errorf("a line of the audit log has %d bytes, %d at most", len(b)+1, lineMax)
	}
	w := line{append(b, '\n'), make(chan error, 1)}
	select {
	case <-l.end:
		return os.ErrClosed
	case l.queue <- w:
	default:
		return ErrFull
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-w.err:
		return err
	case <-l.done:
		return os.ErrClosed
	case <-timer.C:
		return ErrSlow
	}
}

// write is the log's goroutine. A file that fails is opened again for the next
// line.
func (l *Log) write() {
	defer close(l.done)
	var f *os.File
	defer func() {
		if f != nil {
			_ = f.Close()
		}
	}()
	put := func(w line) {
		err := l.put(&f, w.text)
		if err != nil && f != nil {
			_ = f.Close()
			f = nil
		}
		w.err <- err
	}
	for {
		select {
		case w := <-l.queue:
			put(w)
			continue
		case <-l.end:
		}
		for {
			select {
			case w := <-l.queue:
				put(w)
			default:
				return
			}
		}
	}
}

func (l *Log) put(f **os.File, text []byte) error {
	if *f == nil {
		opened, err := os.OpenFile(l.Path(), os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		*f = opened
		if err := endLine(opened); err != nil {
			return err
		}
	}
	info, err := (*f).Stat()
	if err != nil {
		return err
	}
	if info.Size() > 0 && info.Size()+int64(len(text)) > l.fileMax {
		_ = (*f).Close()
		*f = nil
		if err := l.rotate(); err != nil {
			return err
		}
		return l.put(f, text)
	}
	if _, err := (*f).Write(text); err != nil {
		return err
	}
	return (*f).Sync()
}

// endLine ends a line that a power loss or a full disk cut off, so that the next
// one isn't lost with it.
func endLine(f *os.File) error {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		return err
	}
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil {
		return err
	}
	if last[0] != '\n' {
		_, err = f.Write([]byte{'\n'})
	}
	return err
}

// rotate makes room for a new file; the oldest is lost.
func (l *Log) rotate() error {
	for i := files - 1; i > 0; i-- {
		from := l.Path()
		if i > 1 {
			from += "." + strconv.Itoa(i-1)
		}
		err := durable.Rename(from, l.Path()+"."+strconv.Itoa(i))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return durable.SyncDir(l.dir)
}

// Last returns the newest lines, oldest first. What isn't a line of JSON, such
// as one that a power loss cut off, is left out.
func (l *Log) Last(n int) ([]json.RawMessage, error) {
	var out []json.RawMessage // newest first
	for i := 0; i < files && len(out) < n; i++ {
		path := l.Path()
		if i > 0 {
			path += "." + strconv.Itoa(i)
		}
		b, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // also in the moment of a rotation
		}
		if err != nil {
			return nil, err
		}
		lines := bytes.Split(b, []byte{'\n'})
		for j := len(lines) - 1; j >= 0 && len(out) < n; j-- {
			if len(lines[j]) > 0 && json.Valid(lines[j]) {
				out = append(out, json.RawMessage(slices.Clone(lines[j])))
			}
		}
	}
	slices.Reverse(out)
	return out, nil
}
