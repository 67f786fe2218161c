package nbd

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device/memory"
	"github.com/perdure-ha/perdure/internal/volume/front"
)

// answering is a connection that reads from a slice and throws away.
type answering struct {
	in  *bytes.Reader
	out int
}

func (a *answering) Read(b []byte) (int, error)  { return a.in.Read(b) }
func (a *answering) Write(b []byte) (int, error) { a.out += len(b); return len(b), nil }

func FuzzHandshake(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x07\x00\x00\x00\x07\x00\x00\x00\x01a\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x01IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x01a"))
	f.Add([]byte("\x00\x00\x00\x03IHAVEOPT\x00\x00\x00\x08\x00\x00\x00\x00IHAVEOPT\x00\x00\x00\x03\x00\x00\x00\x00"))
	e := exports{{name: "a", d: memory.New(1<<20, 512)}}
	f.Fuzz(func(t *testing.T, in []byte) {
		a := &answering{in: bytes.NewReader(in)}
		v, _, err := handshake(a, e, 1<<20)
		if v != nil && err != nil {
			t.Error("a volume and an error")
		}
		if a.out > 18+optionsMost*512+len(in)*64 {
			t.Errorf("%d bytes of answers to %d bytes", a.out, len(in))
		}
	})
}

// FuzzTransmission sends anything as requests. The connection must come to an
// end, with every piece of memory given back.
func FuzzTransmission(f *testing.F) {
	f.Add(append(encodeHeader(cmdWrite, 1, 0, 512), make([]byte, 512)...), true)
	f.Add(append(encodeHeader(cmdRead, 1, 0, 3<<19), encodeHeader(cmdFlush, 2, 0, 0)...), false)
	f.Add(append(encodeHeader(cmdZeroes, 1, 0, 1<<20), encodeHeader(cmdDisc, 2, 0, 0)...), true)
	f.Add([]byte{0x25, 0x60, 0x95, 0x13, 0xff}, false)
	pool, err := block.NewPool(1<<20, 256<<10)
	if err != nil {
		f.Fatal(err)
	}
	v := &volume{name: "a", d: memory.New(1<<21, 512)}
	f.Fuzz(func(t *testing.T, in []byte, structured bool) {
		s := NewServer(Config{Pool: pool, Depth: 4, StallTimeout: time.Second})
		ours, theirs := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- s.transmit(ours, v, front.Initiator{}, structured) }()
		go func() {
			_, _ = theirs.Write(in)
			_ = theirs.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Now().Add(20 * time.Millisecond))
			_, _ = io.Copy(io.Discard, theirs)
			_ = theirs.Close()
		}()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		if err := <-done; err != nil && errors.Is(err, block.ErrIO) {
			t.Error(err)
		}
		_ = ours.Close()
		if v.open != 0 || pool.Free() != pool.Size() {
			t.Fatalf("%d sessions and %d bytes are left", v.open, pool.Size()-pool.Free())
		}
	})
}
