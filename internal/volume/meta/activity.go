package meta

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
)

const (
	// SlotsMost is how many extents can be hot: as many as a transaction names.
	// So each transaction is the whole state, and the latest whole one is enough.
	SlotsMost = (Block - activityHeader - 4) / 4

	activityHeader = 24
	activityMagic  = 0x31474c41 // "ALG1"
	noExtent       = 0xffffffff
)

// NoExtent is an empty slot.
const NoExtent = uint32(noExtent)

// EncodeActivity writes a transaction into b, which has Block bytes: the extent in
// each slot. Its place in the ring is sequence modulo the layout's Transactions.
func EncodeActivity(b []byte, volume [16]byte, sequence uint64, hot []uint32) {
	if len(hot) > SlotsMost {
		panic("more hot extents than a transaction can name")
	}
	_ = b[Block-1]
	clear(b[:Block])
	le := binary.LittleEndian
	le.PutUint32(b, activityMagic)
	le.PutUint32(b[4:], uint32(len(hot)))
	le.PutUint64(b[8:], sequence)
	copy(b[16:24], volume[:8]) // of an earlier volume on this device: not ours
	for i, e := range hot {
		le.PutUint32(b[activityHeader+4*i:], e)
	}
	le.PutUint32(b[atChecksum:], crc32.Checksum(b[:atChecksum], table))
}

// ErrNoTransaction: a block of the ring holds no whole transaction of the volume.
var ErrNoTransaction = errors.New("no transaction")

// DecodeActivity reads a transaction of Block bytes.
func DecodeActivity(b []byte, volume [16]byte) (sequence uint64, hot []uint32, err error) {
	le := binary.LittleEndian
	if len(b) < Block || le.Uint32(b) != activityMagic || string(b[16:24]) != string(volume[:8]) ||
		le.Uint32(b[atChecksum:]) != crc32.Checksum(b[:atChecksum], table) {
		return 0, nil, ErrNoTransaction
	}
	n := le.Uint32(b[4:])
	if n > SlotsMost {
		return 0, nil, ErrNoTransaction
	}
	hot = make([]uint32, n)
	for i := range hot {
		hot[i] = le.Uint32(b[activityHeader+4*i:])
	}
	return le.Uint64(b[8:]), hot, nil
}

// latest finds the newest transaction of a ring. whole is false if what was hot
// isn't known: there is none, or one is missing that can't be explained by a
// write that was cut off, which is only the one behind the newest.
func latest(ring []byte, volume [16]byte) (sequence uint64, hot []uint32, whole bool) {
	n := uint64(len(ring) / Block)
	present := make([]bool, n)
	sequences := make([]uint64, n)
	for i := range n {
		s, h, err := DecodeActivity(ring[i*Block:(i+1)*Block], volume)
		if err != nil || s%n != i {
			continue
		}
		present[i], sequences[i] = true, s
		if s > sequence || hot == nil {
			sequence, hot = s, h
		}
	}
	if hot == nil {
		return 0, nil, false
	}
	for back := range n {
		if back > sequence || sequence-back < 1 {
			break // before the first one
		}
		want := sequence - back
		i := want % n
		if back == n-1 && !present[i] {
			continue // the place of the next one: it was being written
		}
		if !present[i] || sequences[i] != want {
			return sequence, hot, false
		}
	}
	return sequence, hot, true
}
