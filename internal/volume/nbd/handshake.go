package nbd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/front"
)

const (
	// optionsMost bounds how often a client may ask before it decides.
	optionsMost = 256
	// optionLargest is the longest option that is read: a name has at most 4096
	// bytes. A longer one is skipped up to optionSkipped, and beyond that the
	// connection is cut.
	optionLargest = 8 << 10
	optionSkipped = 1 << 20
	nameLongest   = 4096
)

// errHandshake: the client doesn't speak the protocol.
var errHandshake = errors.New("NBD handshake")

// handshake speaks the fixed newstyle handshake. It returns the volume that the
// client chose, or nil if it went away in order.
func handshake(c io.ReadWriter, exports front.Exports, largest int) (front.Volume, bool, error) {
	h := &handshaker{c: c, exports: exports, largest: largest}
	hello := binary.BigEndian.AppendUint64(nil, magicServer)
	hello = binary.BigEndian.AppendUint64(hello, magicOption)
	hello = binary.BigEndian.AppendUint16(hello, handshakeFixed|handshakeNoZeroes)
	if _, err := c.Write(hello); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errHandshake, err)
	}
	var flags [4]byte
	if _, err := io.ReadFull(c, flags[:]); err != nil {
		return nil, false, fmt.Errorf("%w: %w", errHandshake, err)
	}
	f := binary.BigEndian.Uint32(flags[:])
	if f&^(handshakeFixed|handshakeNoZeroes) != 0 {
		return nil, false, fmt.Errorf("%w: the client sent unknown flags %#x", errHandshake, f)
	}
	h.noZeroes = f&handshakeNoZeroes != 0
	for range optionsMost {
		done, err := h.option()
		if err != nil {
			return nil, false, fmt.Errorf("%w: %w", errHandshake, err)
		}
		if done {
			return h.chosen, h.structured, nil
		}
	}
	return nil, false, fmt.Errorf("%w: more than %d options", errHandshake, optionsMost)
}

type handshaker struct {
	c          io.ReadWriter
	exports    front.Exports
	largest    int
	noZeroes   bool
	structured bool
	chosen     front.Volume
	data       [optionLargest]byte
}

// option answers one option. done: the handshake is over.
func (h *handshaker) option() (done bool, err error) {
	var head [16]byte
	if _, err := io.ReadFull(h.c, head[:]); err != nil {
		if err == io.EOF {
			return true, nil // nobody is obliged to say goodbye
		}
		return false, err
	}
	if m := binary.BigEndian.Uint64(head[:]); m != magicOption {
		return false, fmt.Errorf("an option begins with %#x", m)
	}
	opt, n := binary.BigEndian.Uint32(head[8:]), binary.BigEndian.Uint32(head[12:])
	if n > optionLargest {
		if n > optionSkipped || opt == optExportName {
			return false, fmt.Errorf("option %d of %d bytes", opt, n)
		}
		if _, err := io.CopyN(io.Discard, h.c, int64(n)); err != nil {
			return false, err
		}
		return false, h.reply(opt, repErrTooBig, nil)
	}
	data := h.data[:n]
	if _, err := io.ReadFull(h.c, data); err != nil {
		return false, err
	}
	switch opt {
	case optExportName:
		return true, h.exportName(data)
	case optAbort:
		// The client may have closed already.
		_ = h.reply(opt, repAck, nil)
		return true, nil
	case optList:
		return false, h.list(data)
	case optInfo, optGo:
		err := h.info(opt, data)
		return opt == optGo && h.chosen != nil, err
	case optStructuredReply:
		if n != 0 {
			return false, h.fail(opt, repErrInvalid, "structured replies have no data")
		}
		h.structured = true
		return false, h.reply(opt, repAck, nil)
	case optStartTLS:
		return false, h.fail(opt, repErrPolicy, "a unix socket needs no TLS; its permissions guard it")
	}
	return false, h.reply(opt, repErrUnsup, nil)
}

func (h *handshaker) reply(opt, kind uint32, data []byte) error {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 20+len(data)), magicReply)
	b = binary.BigEndian.AppendUint32(b, opt)
	b = binary.BigEndian.AppendUint32(b, kind)
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	_, err := h.c.Write(append(b, data...))
	return err
}

// fail answers with an error and words that clients show.
func (h *handshaker) fail(opt, kind uint32, why string) error {
	return h.reply(opt, kind, []byte(why))
}

// exportName is the old way to choose: a client that names nothing that there is
// can only be cut off.
func (h *handshaker) exportName(data []byte) error {
	v := h.exports.Volume(string(data))
	if v == nil {
		return fmt.Errorf("the client asked for %.100q, which isn't served", data)
	}
	g := v.Geometry()
	b := binary.BigEndian.AppendUint64(nil, uint64(g.Size))
	b = binary.BigEndian.AppendUint16(b, h.flags(g))
	if !h.noZeroes {
		b = append(b, make([]byte, 124)...)
	}
	h.chosen = v
	_, err := h.c.Write(b)
	return err
}

func (h *handshaker) flags(g block.Geometry) uint16 {
	flags := ExportFlags(g)
	if h.structured {
		flags |= flagDF
	}
	return flags
}

func (h *handshaker) list(data []byte) error {
	if len(data) != 0 {
		return h.fail(optList, repErrInvalid, "a list has no data")
	}
	for _, name := range h.exports.Names() {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(name)))
		if err := h.reply(optList, repServer, append(b, name...)); err != nil {
			return err
		}
	}
	return h.reply(optList, repAck, nil)
}

// info answers INFO and GO. On GO with success the volume is chosen.
func (h *handshaker) info(opt uint32, data []byte) error {
	name, wanted, ok := parseInfo(data)
	if !ok {
		return h.fail(opt, repErrInvalid, "malformed")
	}
	v := h.exports.Volume(name)
	if v == nil {
		return h.fail(opt, repErrUnknown, fmt.Sprintf("volume %.100q isn't served here", name))
	}
	g := v.Geometry()
	b := binary.BigEndian.AppendUint16(nil, infoExport)
	b = binary.BigEndian.AppendUint64(b, uint64(g.Size))
	b = binary.BigEndian.AppendUint16(b, h.flags(g))
	if err := h.reply(opt, repInfo, b); err != nil {
		return err
	}
	if wanted(infoName) {
		b = binary.BigEndian.AppendUint16(nil, infoName)
		if err := h.reply(opt, repInfo, append(b, v.Name()...)); err != nil {
			return err
		}
	}
	// Also to those who don't ask: they may be served better.
	b = binary.BigEndian.AppendUint16(nil, infoBlockSize)
	b = binary.BigEndian.AppendUint32(b, uint32(g.Logical))
	b = binary.BigEndian.AppendUint32(b, uint32(max(g.Physical, 4096)))
	b = binary.BigEndian.AppendUint32(b, uint32(h.largest))
	if err := h.reply(opt, repInfo, b); err != nil {
		return err
	}
	if opt == optGo {
		h.chosen = v
	}
	return h.reply(opt, repAck, nil)
}

// parseInfo reads the data of INFO and GO: a name, and which information is
// wanted.
func parseInfo(b []byte) (name string, wanted func(uint16) bool, ok bool) {
	if len(b) < 6 {
		return "", nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if n > nameLongest || int(n) > len(b)-6 {
		return "", nil, false
	}
	name, b = string(b[4:4+n]), b[4+n:]
	count := binary.BigEndian.Uint16(b)
	b = b[2:]
	if len(b) != 2*int(count) {
		return "", nil, false
	}
	return name, func(kind uint16) bool {
		for i := 0; i < len(b); i += 2 {
			if binary.BigEndian.Uint16(b[i:]) == kind {
				return true
			}
		}
		return false
	}, true
}
