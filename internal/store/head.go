package store

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The layout of a disk or file. All places are multiples of block, and so are
// all lengths that are read and written.
const (
	block = 4096
	// places are the groups of slots; one node uses one. Place 0 is that of
	// whoever made the store. lives is the number of slots in a group: each
	// process of a node uses the next one.
	places = 16
	lives  = 4
	slots  = places * lives

	mib = 1 << 20
)

// layout is where a register lies.
type layout struct {
	heads  int64 // offset of the heads: two blocks for each slot
	values int64 // offset of the values: two for each slot
	size   int64 // of one value's room
}

var (
	probeRegister = layout{heads: 1 * mib, values: 2 * mib, size: block}
	mainRegister  = layout{heads: 4 * mib, values: 5 * mib, size: mib}
)

// SizeNeeded is the smallest disk that can be used, in bytes.
const SizeNeeded = 5*mib + 2*slots*mib

// ballot orders attempts: a counter, and the slot in the lowest bits, so that
// no two slots ever use the same.
type ballot uint64

func (b ballot) next(slot int) ballot { return (b/slots+1)*slots + ballot(slot) }

// head is what one process says in its slot. It is written as a whole into one
// of two blocks in turn, so that a torn write leaves the other one.
type head struct {
	seq  uint64 // counts the writes of the slot
	node uint64 // whose slot it is
	life uint64 // the node's processes, counted
	// promised: no lower ballot is accepted behind it. accepted is the ballot of
	// the value, 0: there is none.
	promised, accepted ballot
	which              uint8 // the value's place, 0 or 1
	length             uint32
	sum                uint32 // CRC-32C of the value
}

const (
	headMagic   = "PERDUSLT"
	headVersion = 1
	headLen     = 8 + 2 + 1 + 1 + 4 + 4 + 8*5
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// put writes the head into a block.
func (h *head) put(b []byte) {
	clear(b)
	le := binary.LittleEndian
	copy(b, headMagic)
	le.PutUint16(b[8:], headVersion)
	b[10] = h.which
	le.PutUint32(b[12:], h.length)
	le.PutUint32(b[16:], h.sum)
	for i, v := range []uint64{h.seq, h.node, h.life, uint64(h.promised), uint64(h.accepted)} {
		le.PutUint64(b[20+8*i:], v)
	}
	le.PutUint32(b[headLen:], crc32.Checksum(b[:headLen], castagnoli))
}

// headOf reads a block; ok is false if it holds no whole head.
func headOf(b []byte) (h head, ok bool) {
	le := binary.LittleEndian
	if string(b[:8]) != headMagic || le.Uint16(b[8:]) != headVersion || le.Uint32(b[headLen:]) != crc32.Checksum(b[:headLen], castagnoli) {
		return head{}, false
	}
	return head{
		which: b[10] & 1, length: le.Uint32(b[12:]), sum: le.Uint32(b[16:]),
		seq: le.Uint64(b[20:]), node: le.Uint64(b[28:]), life: le.Uint64(b[36:]),
		promised: ballot(le.Uint64(b[44:])), accepted: ballot(le.Uint64(b[52:])),
	}, true
}

// headsOf reads all slots. A slot that was never written is zero. One of which
// no block is whole may have held anything.
func headsOf(b []byte) (hs [slots]head, err error) {
	for i := range hs {
		x, y := b[2*i*block:][:block], b[(2*i+1)*block:][:block]
		hx, okx := headOf(x)
		hy, oky := headOf(y)
		switch {
		case okx && (!oky || hx.seq > hy.seq):
			hs[i] = hx
		case oky:
			hs[i] = hy
		case !zero(x) && !zero(y):
			return hs, fmt.Errorf("slot %d: %w", i, ErrTorn)
		}
	}
	return hs, nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
