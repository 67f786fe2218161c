package wal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// The layouts in this file, record.go and item.go are described in
// docs/formats.md. All numbers are little-endian.
const (
	formatVersion = 1
	headerSize    = 512 // of a segment or snapshot file: one sector
	maxCluster    = 255 // bytes of a cluster id

	flagCheckpoint = 1 << 0 // the segment begins with the whole state
)

var (
	segmentMagic  = [8]byte([]byte("PERDUWAL"))
	snapshotMagic = [8]byte([]byte("PERDUSNP"))
	castagnoli    = crc32.MakeTable(crc32.Castagnoli)
)

// Identity is whose log it is. A log found under another one is refused.
type Identity struct {
	Cluster string // 1 to 255 bytes
	Node    uint64 // raft id, not zero
}

func (id Identity) check() error {
	if id.Cluster == "" || len(id.Cluster) > maxCluster || id.Node == 0 {
		return fmt.Errorf("%w: cluster id of %d bytes (1 to %d), node id %d (not 0)",
			ErrInvalid, len(id.Cluster), maxCluster, id.Node)
	}
	return nil
}

// fileHeader begins each file. What sum, a, b and c mean differs:
//
//	segment:  sum 0, a segment number, b first sequence number, c 0
//	snapshot: sum of the data, a index, b term, c size of the data
type fileHeader struct {
	magic   [8]byte
	flags   uint16
	sum     uint32
	a, b, c uint64
	id      Identity
}

func (h fileHeader) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, h.magic[:])
	le := binary.LittleEndian
	le.PutUint16(b[8:], formatVersion)
	le.PutUint16(b[10:], h.flags)
	le.PutUint32(b[12:], h.sum)
	le.PutUint64(b[16:], h.id.Node)
	le.PutUint64(b[24:], h.a)
	le.PutUint64(b[32:], h.b)
	le.PutUint64(b[40:], h.c)
	le.PutUint16(b[48:], uint16(len(h.id.Cluster)))
	copy(b[50:], h.id.Cluster)
	le.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
	return b
}

// decodeFileHeader reads the header of a file that must be of this kind and
// belong to id.
func decodeFileHeader(file string, b []byte, magic [8]byte, id Identity) (fileHeader, error) {
	corrupt := func(reason string) (fileHeader, error) {
		return fileHeader{}, &CorruptError{File: file, Reason: reason}
	}
	if len(b) < headerSize {
		return corrupt(fmt.Sprintf("the file has %d bytes, its header %d", len(b), headerSize))
	}
	b = b[:headerSize]
	le := binary.LittleEndian
	if crc32.Checksum(b[:headerSize-4], castagnoli) != le.Uint32(b[headerSize-4:]) {
		return corrupt("the checksum of the file's header is wrong")
	}
	if !bytes.Equal(b[:8], magic[:]) {
		return corrupt(fmt.Sprintf("the file begins with %q, not %q", b[:8], magic[:]))
	}
	if v := le.Uint16(b[8:]); v != formatVersion {
		return fileHeader{}, fmt.Errorf("log file %s has format %d, this release knows up to %d: start the release that wrote it: %w",
			file, v, formatVersion, ErrNewer)
	}
	if flags := le.Uint16(b[10:]); flags&^flagCheckpoint != 0 {
		return fileHeader{}, fmt.Errorf("log file %s has unknown flags %#x: start the release that wrote it: %w", file, flags, ErrNewer)
	}
	n := int(le.Uint16(b[48:]))
	if n > maxCluster {
		return corrupt(fmt.Sprintf("a cluster id of %d bytes", n))
	}
	h := fileHeader{
		magic: magic, flags: le.Uint16(b[10:]), sum: le.Uint32(b[12:]),
		a: le.Uint64(b[24:]), b: le.Uint64(b[32:]), c: le.Uint64(b[40:]),
		id: Identity{Cluster: string(b[50 : 50+n]), Node: le.Uint64(b[16:])},
	}
	if h.id != id {
		return fileHeader{}, fmt.Errorf("log file %s belongs to node %d of cluster %q, this is node %d of cluster %q: "+
			"name the right state directory: %w", file, h.id.Node, h.id.Cluster, id.Node, id.Cluster, ErrForeign)
	}
	return h, nil
}
