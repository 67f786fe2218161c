package nbd

import (
	"encoding/binary"
	"errors"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

// Numbers of the protocol. Source: doc/proto.md of NBD.
const (
	magicServer     = 0x4e42444d41474943 // "NBDMAGIC"
	magicOption     = 0x49484156454f5054 // "IHAVEOPT"
	magicReply      = 0x0003e889045565a9
	magicRequest    = 0x25609513
	magicSimple     = 0x67446698
	magicStructured = 0x668e33ef

	handshakeFixed    = 1 << 0
	handshakeNoZeroes = 1 << 1
)

// Options of the handshake.
const (
	optExportName      = 1
	optAbort           = 2
	optList            = 3
	optStartTLS        = 5
	optInfo            = 6
	optGo              = 7
	optStructuredReply = 8
)

// Replies to options.
const (
	repAck        = 1
	repServer     = 2
	repInfo       = 3
	repErrUnsup   = 1<<31 + 1
	repErrPolicy  = 1<<31 + 2
	repErrInvalid = 1<<31 + 3
	repErrUnknown = 1<<31 + 6
	repErrTooBig  = 1<<31 + 9
)

const (
	infoExport    = 0
	infoName      = 1
	infoBlockSize = 3
)

// Flags of an export.
const (
	flagHasFlags   = 1 << 0
	flagReadOnly   = 1 << 1
	flagFlush      = 1 << 2
	flagFUA        = 1 << 3
	flagRotational = 1 << 4
	flagTrim       = 1 << 5
	flagZeroes     = 1 << 6
	flagDF         = 1 << 7
	flagMultiConn  = 1 << 8
	flagFastZero   = 1 << 11
)

// Commands and their flags.
const (
	cmdRead   = 0
	cmdWrite  = 1
	cmdDisc   = 2
	cmdFlush  = 3
	cmdTrim   = 4
	cmdZeroes = 6

	cmdFUA      = 1 << 0
	cmdNoHole   = 1 << 1
	cmdDF       = 1 << 2
	cmdFastZero = 1 << 4
)

// Structured replies.
const (
	chunkDone      = 1 << 0
	chunkNone      = 0
	chunkData      = 1
	chunkError     = 1<<15 + 1
	requestSize    = 28
	simpleSize     = 16
	structuredSize = 20
)

// Errors of a reply.
const (
	errnoPerm     = 1
	errnoIO       = 5
	errnoInval    = 22
	errnoNoSpace  = 28
	errnoNotSup   = 95
	errnoShutdown = 108
)

// mostPayload is what a client that has not asked for block sizes may send in a
// request, in bytes.
const mostPayload = 32 << 20

// header is a request as it stands on the wire.
type header struct {
	magic       uint32
	flags, kind uint16
	cookie      uint64
	offset      uint64
	length      uint32
}

// decodeHeader reads requestSize bytes.
func decodeHeader(b []byte) header {
	return header{
		magic: binary.BigEndian.Uint32(b), flags: binary.BigEndian.Uint16(b[4:]), kind: binary.BigEndian.Uint16(b[6:]),
		cookie: binary.BigEndian.Uint64(b[8:]), offset: binary.BigEndian.Uint64(b[16:]), length: binary.BigEndian.Uint32(b[24:]),
	}
}

// payload is how many bytes follow the header.
func (h header) payload() int64 {
	if h.kind == cmdWrite {
		return int64(h.length)
	}
	return 0
}

// allowedFlags are those that a command may have.
var allowedFlags = map[uint16]uint16{
	cmdRead: cmdDF, cmdWrite: cmdFUA, cmdFlush: cmdFUA, cmdTrim: cmdFUA,
	cmdZeroes: cmdFUA | cmdNoHole | cmdFastZero,
}

// request puts what the header asks for into r; Data is left out. It returns the
// protocol's error, or 0.
func (h header) request(g block.Geometry, structured bool, r *block.Request) uint32 {
	allowed, known := allowedFlags[h.kind]
	// Every command may have FUA; where nothing is written it means nothing.
	if !known || h.flags&^(allowed|cmdFUA) != 0 || h.kind == cmdRead && h.flags&cmdDF != 0 && !structured {
		return errnoInval
	}
	r.Flags, r.Offset, r.Length, r.Data, r.Err = 0, 0, 0, nil, nil
	if h.kind == cmdFlush {
		if h.offset != 0 || h.length != 0 {
			return errnoInval
		}
		r.Op = block.Flush
		return 0
	}
	if h.kind != cmdRead && g.ReadOnly {
		return errnoPerm
	}
	n, unit := uint64(h.length), uint64(g.Logical)
	if n == 0 || h.offset%unit != 0 || n%unit != 0 {
		return errnoInval
	}
	if h.offset > uint64(g.Size) || n > uint64(g.Size)-h.offset {
		if h.kind == cmdRead || h.kind == cmdTrim {
			return errnoInval
		}
		return errnoNoSpace
	}
	if (h.kind == cmdRead || h.kind == cmdWrite) && n > mostPayload {
		return errnoInval
	}
	r.Offset, r.Length = int64(h.offset), int64(n)
	if h.flags&cmdFUA != 0 && h.kind != cmdRead {
		r.Flags |= block.FUA
	}
	switch h.kind {
	case cmdRead:
		r.Op = block.Read
	case cmdWrite:
		r.Op = block.Write
	case cmdTrim:
		r.Op = block.Discard
	case cmdZeroes:
		r.Op = block.Zero
		if h.flags&cmdNoHole != 0 {
			r.Flags |= block.KeepAllocated
		}
		if h.flags&cmdFastZero != 0 {
			r.Flags |= block.Fast
		}
	}
	return 0
}

// errno is the protocol's number of an error.
func errno(err error) uint32 {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, block.ErrSpace):
		return errnoNoSpace
	case errors.Is(err, block.ErrReadOnly), errors.Is(err, block.ErrReserved):
		return errnoPerm
	case errors.Is(err, block.ErrRange), errors.Is(err, block.ErrAlign):
		return errnoInval
	case errors.Is(err, block.ErrNotSupported):
		return errnoNotSup
	case errors.Is(err, block.ErrClosed):
		return errnoShutdown
	}
	return errnoIO
}

// ExportFlags are the transmission flags of a disk of this geometry. The kernel
// is told the same by netlink.
func ExportFlags(g block.Geometry) uint16 {
	// A flush covers what was written through any connection, because it goes to
	// the device below.
	flags := uint16(flagHasFlags | flagFlush | flagFUA | flagMultiConn)
	if g.Rotational {
		flags |= flagRotational
	}
	if g.ReadOnly {
		return flags | flagReadOnly
	}
	flags |= flagZeroes
	if g.Discard {
		flags |= flagTrim
	}
	if g.FastZero {
		flags |= flagFastZero
	}
	return flags
}
