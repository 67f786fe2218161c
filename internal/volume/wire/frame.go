package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	// Version is the protocol that this release speaks, and the first byte of
	// each frame.
	Version = 1
	// HeaderSize is what precedes a payload in bytes.
	HeaderSize = 64
	// PayloadMost bounds a payload in bytes.
	PayloadMost = 1 << 20
)

// Type says what a frame is about. Numbers are never given a second meaning.
type Type uint8

// The types. Their fields: docs/design/volumes.md, Messages.
const (
	Hello Type = 1 + iota
	Welcome
	Refuse
	Plan
	Config
	Hot
	Cold
	Write
	Trim
	Zero
	Flush
	ResyncBegin
	ResyncEnd
	Copy
	Marks
	Ack
	Read
	Data
	Ping
	Pong
	Bye
	typeAfterLast
)

var typeNames = [...]string{Hello: "hello", Welcome: "welcome", Refuse: "refuse", Plan: "plan", Config: "config", Hot: "hot", Cold: "cold",
	Write: "write", Trim: "trim", Zero: "zero", Flush: "flush", ResyncBegin: "resync begin", ResyncEnd: "resync end", Copy: "copy",
	Marks: "marks", Ack: "ack", Read: "read", Data: "data", Ping: "ping", Pong: "pong", Bye: "bye"}

func (t Type) String() string {
	if t == 0 || t >= typeAfterLast {
		return fmt.Sprintf("type %d", uint8(t))
	}
	return typeNames[t]
}

// Frame is one message. Which fields count depends on Type; the others are 0.
type Frame struct {
	Type  Type
	Flags uint16
	// Lineage and Counter are the sender's epoch.
	Lineage, Counter uint64
	// Seq pairs a request with its Ack. Batch orders writes of an async mirror.
	Seq, Batch uint64
	// Offset and Length are a range of the volume in bytes.
	Offset, Length int64
	// Code is how something ended.
	Code uint32
	// Payload is data, or a message of more fields. Of a received frame it is
	// memory of the pool, which the receiver puts back.
	Payload []byte
}

// FlagFUA: what is written is durable when it is acknowledged.
const FlagFUA = 1 << 0

var (
	// ErrChecksum: a frame was changed between the nodes' memories. The link
	// must end: what follows can't be trusted.
	ErrChecksum = errors.New("a frame with a wrong checksum")
	// ErrMalformed: the other end doesn't speak the protocol.
	ErrMalformed = errors.New("a malformed frame")
)

var table = crc32.MakeTable(crc32.Castagnoli)

const (
	atPayloadSum = 56
	atHeaderSum  = 60
)

// putHeader writes the header into HeaderSize bytes.
func (f *Frame) putHeader(b []byte) {
	_ = b[HeaderSize-1]
	le := binary.LittleEndian
	b[0], b[1] = Version, byte(f.Type)
	le.PutUint16(b[2:], f.Flags)
	le.PutUint32(b[4:], uint32(len(f.Payload)))
	le.PutUint64(b[8:], f.Lineage)
	le.PutUint64(b[16:], f.Counter)
	le.PutUint64(b[24:], f.Seq)
	le.PutUint64(b[32:], f.Batch)
	le.PutUint64(b[40:], uint64(f.Offset))
	// 48 bits of length are 256 TiB; a range of a request is far below.
	le.PutUint32(b[48:], uint32(f.Length))
	le.PutUint16(b[52:], uint16(f.Length>>32))
	le.PutUint16(b[54:], uint16(f.Code))
	le.PutUint32(b[atPayloadSum:], crc32.Checksum(f.Payload, table))
	le.PutUint32(b[atHeaderSum:], crc32.Checksum(b[:atHeaderSum], table))
}

const (
	lengthMost = 1<<48 - 1
	codeMost   = 1<<16 - 1
)

// check refuses what can't be written.
func (f *Frame) check() error {
	if f.Type == 0 || f.Type >= typeAfterLast || len(f.Payload) > PayloadMost || f.Length < 0 || f.Length > lengthMost || f.Offset < 0 || f.Code > codeMost {
		return fmt.Errorf("%w: %v with %d bytes, range %d+%d, code %d", ErrMalformed, f.Type, len(f.Payload), f.Offset, f.Length, f.Code)
	}
	return nil
}

// DecodeHeader reads HeaderSize bytes into f and returns how long the payload is
// and its checksum. The checksum of the header is verified first, so that a length
// that isn't meant is never believed.
func DecodeHeader(b []byte, f *Frame) (payload int, sum uint32, err error) {
	if len(b) < HeaderSize {
		return 0, 0, fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	le := binary.LittleEndian
	if le.Uint32(b[atHeaderSum:]) != crc32.Checksum(b[:atHeaderSum], table) {
		return 0, 0, fmt.Errorf("%w: header", ErrChecksum)
	}
	if b[0] != Version {
		return 0, 0, fmt.Errorf("%w: version %d on a link of version %d", ErrMalformed, b[0], Version)
	}
	n := le.Uint32(b[4:])
	*f = Frame{
		Type: Type(b[1]), Flags: le.Uint16(b[2:]), Lineage: le.Uint64(b[8:]), Counter: le.Uint64(b[16:]),
		Seq: le.Uint64(b[24:]), Batch: le.Uint64(b[32:]), Offset: int64(le.Uint64(b[40:])),
		Length: int64(le.Uint32(b[48:])) | int64(le.Uint16(b[52:]))<<32, Code: uint32(le.Uint16(b[54:])),
	}
	if n > PayloadMost {
		return 0, 0, fmt.Errorf("%w: %v with %d bytes", ErrMalformed, f.Type, n)
	}
	if err := f.check(); err != nil {
		return 0, 0, err
	}
	return int(n), le.Uint32(b[atPayloadSum:]), nil
}

// verify compares a payload with its checksum.
func verify(f *Frame, sum uint32) error {
	if crc32.Checksum(f.Payload, table) != sum {
		return fmt.Errorf("%w: %v, %d bytes for offset %d", ErrChecksum, f.Type, len(f.Payload), f.Offset)
	}
	return nil
}
