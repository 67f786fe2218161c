package meta

import (
	"encoding/binary"
	"hash/crc32"
	"testing"
)

func seal(b []byte) {
	binary.LittleEndian.PutUint32(b[atChecksum:], crc32.Checksum(b[:atChecksum], table))
}

// FuzzSuperblock decodes anything, also with a right checksum: what is accepted is
// sound and is written again as it was read.
func FuzzSuperblock(f *testing.F) {
	var b [Block]byte
	s := example()
	s.Encode(b[:])
	f.Add(b[:600], true)
	f.Add([]byte("PERDUVOL"), true)
	f.Fuzz(func(t *testing.T, in []byte, sealed bool) {
		var b, again [Block]byte
		copy(b[:], in)
		if sealed {
			seal(b[:])
		}
		s, err := DecodeSuperblock(b[:])
		if err != nil {
			return
		}
		if err := s.Check(); err != nil {
			t.Fatal(err)
		}
		if l := LayoutFor(s.DataSize, s.BlockSize); l.Size <= 0 || l.BitmapOf(Copies)+l.Pages*Block > l.Superblocks[1] {
			t.Fatalf("no layout for %+v: %+v", s, l)
		}
		s.Encode(again[:])
		if s2, err := DecodeSuperblock(again[:]); err != nil || s2 != s {
			t.Fatalf("%+v is written as %+v: %v", s, s2, err)
		}
	})
}

func FuzzActivity(f *testing.F) {
	var b [Block]byte
	EncodeActivity(b[:], example().Volume, 66, []uint32{1, 2})
	f.Add(b[:100], true)
	f.Fuzz(func(t *testing.T, in []byte, sealed bool) {
		ring := make([]byte, 4*Block)
		copy(ring, in)
		if sealed {
			seal(ring[:Block])
		}
		if _, hot, err := DecodeActivity(ring, example().Volume); err == nil && len(hot) > SlotsMost {
			t.Fatal("more slots than there can be")
		}
		latest(ring, example().Volume)
	})
}

func FuzzPage(f *testing.F) {
	var b [Block]byte
	EncodePage(b[:], 3, make([]byte, PageBits/8))
	f.Add(b[:], uint64(3))
	f.Fuzz(func(t *testing.T, in []byte, n uint64) {
		bits := make([]byte, PageBits/8)
		if !DecodePage(in, n, bits) && bits[0] != 0xff {
			t.Fatal("what isn't whole isn't marked")
		}
	})
}

func FuzzFileSystem(f *testing.F) {
	f.Add([]byte("XFSB"), 0)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		b := make([]byte, signatureSize)
		if at >= 0 && at < len(b) {
			copy(b[at:], in)
		}
		if _, size := fileSystem(b); size < 0 {
			t.Fatal("a negative size")
		}
	})
}
