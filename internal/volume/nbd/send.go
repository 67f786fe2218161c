package nbd

import (
	"encoding/binary"
	"fmt"
	"time"
)

const (
	// sendSize is how much is sent in one call if there is so much.
	sendSize = 128 << 10
	// copied is the largest data that is copied beside its header, in bytes.
	// More has a call of its own.
	copied = 16 << 10
)

// sender writes replies. Once it has failed it only throws away.
type sender struct {
	t     *conn
	out   []byte
	since time.Time // when the deadline was set
	err   error
}

// send is the goroutine that sends replies until the connection is over.
func (t *conn) send() {
	w := &sender{t: t, out: make([]byte, 0, sendSize)}
	ready := make([]*slot, 0, t.slots)
	for {
		t.mu.Lock()
		for len(t.ready) == 0 && !t.over {
			t.more.Wait()
		}
		if len(t.ready) == 0 {
			t.mu.Unlock()
			return
		}
		ready, t.ready = t.ready, ready[:0]
		t.mu.Unlock()
		for _, s := range ready {
			w.reply(s)
			t.giveBack(s)
		}
		w.flush()
		pieces := 0
		t.mu.Lock()
		for _, s := range ready {
			if s.piece {
				pieces++
			} else {
				t.freed(s)
			}
		}
		t.room.Broadcast()
		t.mu.Unlock()
		if pieces > 0 { // at most one: the reader waits for it
			t.parts <- struct{}{}
		}
	}
}

// reply writes the reply, or a piece of it, into the buffer.
func (w *sender) reply(s *slot) {
	if w.err != nil {
		return
	}
	data := s.r.Data
	if !s.read || s.errno != 0 {
		data = nil
	}
	w.room(structuredSize + 64)
	switch {
	case s.read && w.t.structured && s.errno != 0:
		w.chunk(s, chunkDone, chunkError, 6)
		w.out = binary.BigEndian.AppendUint32(w.out, s.errno)
		w.out = binary.BigEndian.AppendUint16(w.out, 0)
	case s.read && w.t.structured:
		done := uint16(0)
		if s.final {
			done = chunkDone
		}
		w.chunk(s, done, chunkData, 8+len(data))
		w.out = binary.BigEndian.AppendUint64(w.out, uint64(s.r.Offset))
	case s.beginning || s.errno != 0:
		w.out = binary.BigEndian.AppendUint32(w.out, magicSimple)
		w.out = binary.BigEndian.AppendUint32(w.out, s.errno)
		w.out = binary.BigEndian.AppendUint64(w.out, s.cookie)
	}
	switch {
	case len(data) == 0:
	case len(data) <= copied:
		w.room(len(data))
		w.out = append(w.out, data...)
	default:
		w.flush()
		w.write(data)
	}
}

func (w *sender) chunk(s *slot, flags, kind uint16, n int) {
	w.out = binary.BigEndian.AppendUint32(w.out, magicStructured)
	w.out = binary.BigEndian.AppendUint16(w.out, flags)
	w.out = binary.BigEndian.AppendUint16(w.out, kind)
	w.out = binary.BigEndian.AppendUint64(w.out, s.cookie)
	w.out = binary.BigEndian.AppendUint32(w.out, uint32(n))
}

// room makes sure that n bytes fit.
func (w *sender) room(n int) {
	if len(w.out)+n > cap(w.out) {
		w.flush()
	}
}

func (w *sender) flush() {
	if len(w.out) > 0 {
		w.write(w.out)
		w.out = w.out[:0]
	}
}

// write sends. A client that doesn't read for the stall time-out is cut off, so
// that it doesn't keep memory which others need.
func (w *sender) write(b []byte) {
	if w.err != nil {
		return
	}
	// Not at every call: a deadline is a timer.
	if now := time.Now(); now.Sub(w.since) > w.t.stall/4 {
		w.since = now
		w.err = w.t.c.SetWriteDeadline(now.Add(w.t.stall))
	}
	if w.err == nil {
		_, w.err = w.t.c.Write(b)
	}
	if w.err != nil {
		w.err = fmt.Errorf("answer an NBD client: %w", w.err)
		_ = w.t.c.Close() // the reader ends
	}
}
