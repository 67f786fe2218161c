package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/fault"
)

// faultWait bounds a fault that the inside carries out.
const faultWait = 30 * time.Second

// guest does what it is told.
type guest struct {
	name string
	node *node
	// perdure is its command line.
	perdure Command

	writing sync.Mutex
	w       io.Writer

	mu      sync.Mutex
	running map[uint64]*program
	// asking ends commands that are being carried out.
	asking map[uint64]context.CancelFunc
}

// serve reads requests until the stream ends. Each is done beside the others.
func (g *guest) serve(stream io.ReadWriter) error {
	g.w = stream
	h, err := g.hello()
	if err != nil {
		return err
	}
	g.send(reply{Hello: &h, Last: true})
	r := bufio.NewReaderSize(stream, 64<<10)
	for {
		var q request
		err := readLine(r, &q)
		if bad := (*garbled)(nil); errors.As(err, &bad) {
			continue
		}
		if err != nil {
			return err
		}
		switch q.Op {
		case opInput, opResize, opStop:
			// In the order in which they come.
			g.steer(q)
		case opRun:
			g.hold(q.ID)
			go func() {
				defer g.release(q.ID)
				g.do(q)
			}()
		case opAsk, opBreak:
			ctx := g.ask(q.ID)
			go func() {
				defer g.asked(q.ID)
				g.answer(ctx, q)
			}()
		default:
			go g.do(q)
		}
	}
}

// send writes a reply. A stream that is gone takes nobody's answer.
func (g *guest) send(r reply) {
	line, err := packLine(r)
	if err != nil {
		line, _ = packLine(reply{ID: r.ID, Last: true, Failure: err.Error()})
	}
	g.writing.Lock()
	defer g.writing.Unlock()
	_, _ = g.w.Write(line)
}

// do carries a request out and sends its last reply.
func (g *guest) do(q request) {
	last, err := g.carryOut(q)
	if err != nil {
		last.Failure = err.Error()
	}
	last.ID, last.Last = q.ID, true
	g.send(last)
}

func (g *guest) carryOut(q request) (last reply, err error) {
	switch q.Op {
	case opClocks:
		c, err := readClocks()
		return reply{Clocks: &c}, err
	case opRun:
		last.Code, err = g.run(q)
	case opStart:
		last.Code, err = g.start(q)
	case opWrite:
		err = writeFile(q)
	case opRead:
		err = g.readFile(q)
	case opWeb:
		if q.Web == nil {
			return last, errors.New("which web server?")
		}
		last.Argv, err = g.node.useWeb(*q.Web)
	case opStarts:
		last.Code, err = g.node.Starts()
	case opFault:
		err = g.fault(q.Text)
	case opSysrq:
		if len(q.Text) != 1 {
			return last, fmt.Errorf("sysrq takes one letter, not %q", q.Text)
		}
		err = os.WriteFile("/proc/sysrq-trigger", []byte(q.Text), 0o200)
	default:
		err = fmt.Errorf("this agent (version %d) doesn't know %q", Version, q.Op)
	}
	return last, err
}

func (g *guest) fault(text string) error {
	f, err := fault.Parse(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), faultWait)
	defer cancel()
	return fault.Apply(ctx, g.node, f)
}

func (g *guest) hello() (Hello, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return Hello{}, os.NewSyscallError("uname", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Hello{}, err
	}
	up, err := readClock(unix.CLOCK_BOOTTIME)
	return Hello{Version: Version, Name: g.name, Kernel: unix.ByteSliceToString(name.Release[:]),
		Boot: strings.TrimSpace(string(boot)), Up: up}, err
}

func readClocks() (c Clocks, err error) {
	for _, clock := range []struct {
		id    int32
		value *time.Duration
	}{{unix.CLOCK_REALTIME, &c.Realtime}, {unix.CLOCK_MONOTONIC, &c.Monotonic}, {unix.CLOCK_BOOTTIME, &c.Boottime}} {
		if *clock.value, err = readClock(clock.id); err != nil {
			return c, err
		}
	}
	return c, nil
}

func readClock(id int32) (time.Duration, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, os.NewSyscallError("clock_gettime", err)
	}
	return time.Duration(t.Nano()), nil
}

func writeFile(q request) error {
	if !filepath.IsAbs(q.Path) {
		return fmt.Errorf("write %q: the path must be absolute", q.Path)
	}
	if err := os.MkdirAll(filepath.Dir(q.Path), 0o755); err != nil {
		return err
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if q.Append {
		flags = os.O_WRONLY | os.O_APPEND
	}
	f, err := os.OpenFile(q.Path, flags, os.FileMode(q.Mode))
	if err != nil {
		return err
	}
	_, err = f.Write(q.Data)
	return errors.Join(err, f.Close())
}

// readFile sends a file in parts, before the last reply.
func (g *guest) readFile(q request) error {
	f, err := os.Open(q.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, chunk)
	for {
		n, err := f.Read(buf)
		if n > 0 {
			g.send(reply{ID: q.ID, Out: buf[:n]})
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
