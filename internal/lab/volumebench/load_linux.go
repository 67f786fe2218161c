package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"time"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

// places chooses where the next operation goes.
type places struct {
	c    cell
	r    *rand.Rand
	next int64
}

func newPlaces(c cell) *places { return &places{c: c, r: rand.New(rand.NewSource(1))} }

func (p *places) take() int64 {
	n := int64(span / p.c.size)
	if p.c.random {
		return p.r.Int63n(n) * int64(p.c.size)
	}
	p.next++
	return p.next % n * int64(p.c.size)
}

// loadDevice keeps depth operations under way at a device.
func loadDevice(d block.Submitter, pool *block.Pool, c cell, t time.Duration) (float64, error) {
	at := newPlaces(c)
	ended := make(chan *block.Request, c.depth)
	reqs := make([]block.Request, c.depth)
	for i := range reqs {
		reqs[i] = block.Request{Op: block.Write, Data: pool.Get(c.size), Done: func(r *block.Request) { ended <- r }}
		if c.read {
			reqs[i].Op = block.Read
		}
		ended <- &reqs[i]
	}
	defer func() {
		for i := range reqs {
			pool.Put(reqs[i].Data)
		}
	}()
	var batch []*block.Request
	began, done, failed := time.Now(), -c.depth, error(nil)
	for left := c.depth; left > 0; {
		batch = append(batch[:0], <-ended)
		for len(ended) > 0 {
			batch = append(batch, <-ended)
		}
		done += len(batch)
		for _, r := range batch {
			failed = errors.Join(failed, r.Err)
		}
		if failed != nil || time.Since(began) >= t {
			left -= len(batch)
			continue
		}
		for _, r := range batch {
			if c.flush && done > 0 {
				if err := block.Do(d, &block.Request{Op: block.Flush}); err != nil {
					return 0, err
				}
			}
			r.Offset = at.take()
		}
		d.Submit(batch)
	}
	return float64(done) / time.Since(began).Seconds(), failed
}

// client makes a load by NBD to a socket.
func client(socket, export string) func(context.Context, cell, time.Duration) (float64, error) {
	return func(ctx context.Context, c cell, t time.Duration) (float64, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "unix", socket)
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(t + 20*time.Second))
		if err := enter(conn, export); err != nil {
			return 0, err
		}
		l := &load{c: c, at: newPlaces(c), conn: conn, in: bufio.NewReaderSize(conn, 256<<10), data: make([]byte, c.size)}
		return l.run(t)
	}
}

// enter is the shortest handshake.
func enter(conn net.Conn, export string) error {
	b := make([]byte, 18)
	if _, err := io.ReadFull(conn, b); err != nil {
		return err
	}
	out := binary.BigEndian.AppendUint32(nil, 3) // fixed newstyle, no zeroes
	out = append(out, "IHAVEOPT"...)
	out = binary.BigEndian.AppendUint32(out, 1) // EXPORT_NAME
	out = binary.BigEndian.AppendUint32(out, uint32(len(export)))
	if _, err := conn.Write(append(out, export...)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, b[:10])
	return err
}

// load is one connection under load.
type load struct {
	c    cell
	at   *places
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	data []byte
}

const (
	cmdRead, cmdWrite, cmdFlush = 0, 1, 3
)

func (l *load) ask(kind uint16, offset int64, n int) {
	l.out = binary.BigEndian.AppendUint32(l.out, 0x25609513)
	l.out = binary.BigEndian.AppendUint16(l.out, 0)
	l.out = binary.BigEndian.AppendUint16(l.out, kind)
	l.out = binary.BigEndian.AppendUint64(l.out, uint64(kind))
	l.out = binary.BigEndian.AppendUint64(l.out, uint64(offset))
	l.out = binary.BigEndian.AppendUint32(l.out, uint32(n))
	if kind == cmdWrite {
		l.out = append(l.out, l.data[:n]...)
	}
}

func (l *load) another() {
	if l.c.read {
		l.ask(cmdRead, l.at.take(), l.c.size)
	} else {
		l.ask(cmdWrite, l.at.take(), l.c.size)
	}
}

func (l *load) send() error {
	_, err := l.conn.Write(l.out)
	l.out = l.out[:0]
	return err
}

// answer reads one reply and says to what.
func (l *load) answer() (kind uint64, err error) {
	var head [16]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return 0, err
	}
	if e := binary.BigEndian.Uint32(head[4:]); e != 0 {
		return 0, fmt.Errorf("error %d", e)
	}
	if kind = binary.BigEndian.Uint64(head[8:]); kind == cmdRead {
		_, err = io.ReadFull(l.in, l.data)
	}
	return kind, err
}

func (l *load) run(t time.Duration) (float64, error) {
	for range l.c.depth {
		l.another()
	}
	began, done := time.Now(), 0
	if err := l.send(); err != nil {
		return 0, err
	}
	for under := l.c.depth; under > 0; {
		over := time.Since(began) >= t
		for first := true; under > 0 && (first || l.in.Buffered() >= 16); first = false {
			kind, err := l.answer()
			if err != nil {
				return 0, err
			}
			switch {
			case l.c.flush && kind != cmdFlush:
				l.ask(cmdFlush, 0, 0)
				continue
			case over:
				under--
			default:
				l.another()
			}
			done++
		}
		if len(l.out) > 0 {
			if err := l.send(); err != nil {
				return 0, err
			}
		}
	}
	return float64(done) / time.Since(began).Seconds(), nil
}
