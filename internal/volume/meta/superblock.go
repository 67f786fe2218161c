package meta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

const (
	// Block is the unit of everything that is written here, in bytes.
	Block = 4096
	// Version is the format that this release writes.
	Version = 1
	// Copies is how many copies a volume can have.
	Copies = 8
	// NameLongest bounds the names of cluster and volume in bytes.
	NameLongest = 63
)

var magic = [8]byte{'P', 'E', 'R', 'D', 'U', 'V', 'O', 'L'}

var table = crc32.MakeTable(crc32.Castagnoli)

// Epoch is who may write: a forced start begins a new lineage, each source
// session has a counter of its own.
type Epoch struct{ Lineage, Counter uint64 }

// Superblock is what a copy knows of itself and the others.
type Superblock struct {
	// Sequence is raised by each writing; the higher of the two counts.
	Sequence uint64
	Volume   [16]byte
	// Name and Cluster are for people, and to refuse what is foreign.
	Name, Cluster string
	Node          uint64
	// Copy is this copy's number, 1 to Copies.
	Copy uint8

	// DataSize is the volume's size in bytes, DeviceSize the backing device's
	// when this was written.
	DataSize, DeviceSize int64
	// BlockSize is what the bitmap counts, ExtentSize what the activity log
	// counts; powers of two. Slots is how many extents can be hot.
	BlockSize, ExtentSize int64
	Slots                 uint32
	// Side: the area is in a side file.
	Side bool

	Epoch      Epoch
	SetVersion uint64
	// Members are the copies in sync, bit number-1 each.
	Members uint8
	// Source: this copy was source when it wrote this. Consistent: its content is
	// a state that the source once had. Clean: nothing is hot, all is flushed.
	Source, Consistent, Clean bool
	// Boot is the boot id of the machine that opened the copy.
	Boot [16]byte
	// Since says for each other copy from which set version on its marks are
	// complete; 0: there are none. Its bitmap is the one of its number.
	Since [Copies]uint64

	// UndoActive: the undo area holds the state that the copy had at UndoEpoch
	// and UndoVersion.
	UndoActive  bool
	UndoEpoch   Epoch
	UndoVersion uint64
}

const (
	flagConsistent = 1 << iota
	flagClean
	flagSource
	flagSide
	flagUndo
	flagsKnown = flagConsistent | flagClean | flagSource | flagSide | flagUndo
)

// Errors of decoding. They are wrapped with more words.
var (
	// ErrNone: there is no superblock.
	ErrNone = errors.New("there is no superblock")
	// ErrDamaged: it was one and isn't whole.
	ErrDamaged = errors.New("the superblock is damaged")
	// ErrNewer: a newer release has written it.
	ErrNewer = errors.New("a newer release has written the superblock")
)

const atChecksum = Block - 4

// Encode writes the superblock into b, which has Block bytes.
func (s *Superblock) Encode(b []byte) {
	_ = b[Block-1]
	clear(b[:Block])
	le := binary.LittleEndian
	copy(b, magic[:])
	le.PutUint16(b[8:], Version)
	le.PutUint16(b[10:], s.flags())
	le.PutUint32(b[12:], Block)
	le.PutUint64(b[16:], s.Sequence)
	copy(b[24:], s.Volume[:])
	le.PutUint64(b[40:], s.Node)
	b[48] = s.Copy
	b[49] = s.Members
	le.PutUint32(b[52:], s.Slots)
	le.PutUint64(b[56:], uint64(s.DataSize))
	le.PutUint64(b[64:], uint64(s.DeviceSize))
	le.PutUint64(b[72:], uint64(s.BlockSize))
	le.PutUint64(b[80:], uint64(s.ExtentSize))
	le.PutUint64(b[88:], s.Epoch.Lineage)
	le.PutUint64(b[96:], s.Epoch.Counter)
	le.PutUint64(b[104:], s.SetVersion)
	copy(b[112:], s.Boot[:])
	for i, v := range s.Since {
		le.PutUint64(b[128+8*i:], v)
	}
	le.PutUint64(b[192:], s.UndoEpoch.Lineage)
	le.PutUint64(b[200:], s.UndoEpoch.Counter)
	le.PutUint64(b[208:], s.UndoVersion)
	putName(b[216:], s.Cluster)
	putName(b[280:], s.Name)
	le.PutUint32(b[atChecksum:], crc32.Checksum(b[:atChecksum], table))
}

func (s *Superblock) flags() uint16 {
	var f uint16
	for _, c := range []struct {
		set bool
		bit uint16
	}{{s.Consistent, flagConsistent}, {s.Clean, flagClean}, {s.Source, flagSource}, {s.Side, flagSide}, {s.UndoActive, flagUndo}} {
		if c.set {
			f |= c.bit
		}
	}
	return f
}

func putName(b []byte, name string) {
	b[0] = byte(copy(b[1:1+NameLongest], name))
}

// DecodeSuperblock reads Block bytes. The checksum is verified first, then the
// version, so that a damaged one isn't taken for a newer one.
func DecodeSuperblock(b []byte) (Superblock, error) {
	var s Superblock
	if len(b) < Block || !bytes.Equal(b[:8], magic[:]) {
		return s, ErrNone
	}
	le := binary.LittleEndian
	if le.Uint32(b[atChecksum:]) != crc32.Checksum(b[:atChecksum], table) {
		return s, ErrDamaged
	}
	if v := le.Uint16(b[8:]); v > Version {
		return s, fmt.Errorf("%w: format %d, this one reads up to %d", ErrNewer, v, Version)
	} else if v == 0 {
		return s, fmt.Errorf("%w: format 0", ErrDamaged)
	}
	f := le.Uint16(b[10:])
	if f&^flagsKnown != 0 {
		return s, fmt.Errorf("%w: unknown flags %#x", ErrNewer, f&^flagsKnown)
	}
	s.Consistent, s.Clean, s.Source, s.Side, s.UndoActive = f&flagConsistent != 0, f&flagClean != 0, f&flagSource != 0, f&flagSide != 0, f&flagUndo != 0
	s.Sequence = le.Uint64(b[16:])
	copy(s.Volume[:], b[24:])
	s.Node = le.Uint64(b[40:])
	s.Copy, s.Members = b[48], b[49]
	s.Slots = le.Uint32(b[52:])
	s.DataSize, s.DeviceSize = int64(le.Uint64(b[56:])), int64(le.Uint64(b[64:]))
	s.BlockSize, s.ExtentSize = int64(le.Uint64(b[72:])), int64(le.Uint64(b[80:]))
	s.Epoch = Epoch{le.Uint64(b[88:]), le.Uint64(b[96:])}
	s.SetVersion = le.Uint64(b[104:])
	copy(s.Boot[:], b[112:])
	for i := range s.Since {
		s.Since[i] = le.Uint64(b[128+8*i:])
	}
	s.UndoEpoch, s.UndoVersion = Epoch{le.Uint64(b[192:]), le.Uint64(b[200:])}, le.Uint64(b[208:])
	var err error
	if s.Cluster, err = name(b[216:]); err != nil {
		return s, err
	}
	if s.Name, err = name(b[280:]); err != nil {
		return s, err
	}
	return s, s.Check()
}

func name(b []byte) (string, error) {
	if b[0] > NameLongest {
		return "", fmt.Errorf("%w: a name of %d bytes", ErrDamaged, b[0])
	}
	return string(b[1 : 1+b[0]]), nil
}

// Check says what no superblock can have.
func (s *Superblock) Check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
	}
	switch {
	case s.Copy < 1 || s.Copy > Copies:
		return bad("copy %d", s.Copy)
	case len(s.Name) == 0 || len(s.Name) > NameLongest || len(s.Cluster) > NameLongest:
		return bad("names of %d and %d bytes", len(s.Name), len(s.Cluster))
	case !powerOfTwo(s.BlockSize, 4096, 1<<20):
		return bad("blocks of %d bytes", s.BlockSize)
	case !powerOfTwo(s.ExtentSize, s.BlockSize, 1<<30):
		return bad("extents of %d bytes", s.ExtentSize)
	case s.Slots < 1 || s.Slots > SlotsMost:
		return bad("%d slots", s.Slots)
	case s.DataSize < s.BlockSize || s.DataSize%s.BlockSize != 0 || s.DataSize > sizeMost:
		return bad("%d bytes of data", s.DataSize)
	case s.DataSize/s.ExtentSize >= noExtent:
		return bad("more extents of %d bytes than can be counted in %d", s.ExtentSize, s.DataSize)
	case s.DeviceSize < s.DataSize || s.DeviceSize > sizeMost:
		return bad("a device of %d bytes with %d of data", s.DeviceSize, s.DataSize)
	}
	return nil
}

// sizeMost is 1 EiB: offsets don't overflow.
const sizeMost = 1 << 60

func powerOfTwo(n, least, most int64) bool { return n >= least && n <= most && n&(n-1) == 0 }
