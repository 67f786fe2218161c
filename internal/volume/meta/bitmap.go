package meta

import (
	"encoding/binary"
	"hash/crc32"
)

const pageMagic = 0x31504d42 // "BMP1"

// EncodePage writes a page of a bitmap into b, which has Block bytes: bits are
// PageBits/8 bytes, and number is the page's in its bitmap.
func EncodePage(b []byte, number uint64, bits []byte) {
	_ = b[Block-1]
	le := binary.LittleEndian
	le.PutUint32(b, pageMagic)
	le.PutUint64(b[8:], number)
	copy(b[pageHeader:Block], bits[:PageBits/8])
	le.PutUint32(b[4:], pageSum(b))
}

// pageSum covers all but itself.
func pageSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], table), table, b[8:Block])
}

// DecodePage reads a page into bits, which has PageBits/8 bytes. A page that isn't
// whole has every bit set: what may be missing is copied again. It reports whether
// it was whole.
func DecodePage(b []byte, number uint64, bits []byte) (whole bool) {
	le := binary.LittleEndian
	if len(b) >= Block && le.Uint32(b) == pageMagic && le.Uint64(b[8:]) == number && le.Uint32(b[4:]) == pageSum(b) {
		copy(bits, b[pageHeader:Block])
		return true
	}
	for i := range bits {
		bits[i] = 0xff
	}
	return false
}
