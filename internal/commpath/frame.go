package commpath

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// A frame on a TLS connection, all numbers big endian:
//
//	 0  length   u32, of the payload
//	 4  type     u8
//	 5  version  u8 = 1, of this layout
//	 6  zero     2 bytes
//	 8  check    u32, CRC-32C of the 8 bytes before and the payload
//	12  payload
//
// TLS protects against others; the check sum against our own buffers and
// memory.
const (
	frameHeader  = 12
	frameVersion = 1

	// MaxMessage is the largest payload of a message: a snapshot of the state.
	MaxMessage = 8 << 20
	// MaxJoin is the largest request or response of a joiner.
	MaxJoin = 256 << 10
	// maxHello bounds what is read from somebody who hasn't said who he is.
	maxHello = 4 << 10
)

type frameType uint8

const (
	frameHello    frameType = 1 // who I am and what I speak; the first frame of both sides
	frameMessage  frameType = 2 // a payload of Send
	framePing     frameType = 3 // "are you there": answered by frameAlive with the same payload
	frameAlive    frameType = 4 // "I am": the answer to a ping, or sent while a call takes time
	frameGoodbye  frameType = 5 // why the connection ends, in words
	frameRequest  frameType = 6
	frameResponse frameType = 7
	frameFailure  frameType = 8 // instead of a response: why not (failure)
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errFrame = errors.New("not a frame")

// putFrameHeader writes the header of a frame to the first frameHeader bytes of
// b.
func putFrameHeader(b []byte, t frameType, payload []byte) {
	_ = b[frameHeader-1]
	binary.BigEndian.PutUint32(b, uint32(len(payload)))
	b[4], b[5], b[6], b[7] = byte(t), frameVersion, 0, 0
	binary.BigEndian.PutUint32(b[8:], frameCheck(b[:8], payload))
}

func frameCheck(header, payload []byte) uint32 {
	return crc32.Update(crc32.Checksum(header, castagnoli), castagnoli, payload)
}

// readFrame reads a frame with a payload of at most limit bytes. Memory is taken
// as the bytes come, not as the header promises.
func readFrame(r io.Reader, limit int) (frameType, []byte, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	t, n := frameType(h[4]), int64(binary.BigEndian.Uint32(h[:]))
	switch {
	case h[5] != frameVersion:
		return 0, nil, fmt.Errorf("%w: layout %d, want %d", errFrame, h[5], frameVersion)
	case h[6] != 0 || h[7] != 0 || t == 0:
		return 0, nil, fmt.Errorf("%w: header %x", errFrame, h)
	case n > int64(limit):
		return 0, nil, fmt.Errorf("%w: %d bytes, at most %d", errFrame, n, limit)
	}
	payload, err := readGrowing(r, int(n))
	if err != nil {
		return 0, nil, err
	}
	if frameCheck(h[:8], payload) != binary.BigEndian.Uint32(h[8:]) {
		return 0, nil, fmt.Errorf("%w: check sum of %d bytes of type %d", errFrame, n, t)
	}
	return t, payload, nil
}

func readGrowing(r io.Reader, n int) ([]byte, error) {
	const step = 64 << 10
	b := make([]byte, 0, min(n, step))
	for len(b) < n {
		from := len(b)
		to := min(n, max(2*from, step))
		if cap(b) < to {
			b = append(make([]byte, 0, to), b...)
		}
		b = b[:to]
		if _, err := io.ReadFull(r, b[from:]); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	return b, nil
}
