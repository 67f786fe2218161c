package wal

import (
	"encoding/binary"
	"fmt"
)

// segment is the content of a segment file that is being made.
type segment struct {
	number uint64
	b      []byte
	mark   uint32 // checksum of the header; see place
	off    int64  // where the next record goes
	next   uint64 // its sequence number
}

// newSegment returns a segment without records. The header has the first block
// for itself.
func (l *Log) newSegment(number uint64, flags uint16) *segment {
	h := fileHeader{magic: segmentMagic, flags: flags, a: number, b: l.next, id: l.id}
	b := append(h.encode(), make([]byte, blockSize-headerSize)...)
	return &segment{number: number, b: b, mark: headerMark(b), off: blockSize, next: l.next}
}

// headerMark is the checksum that a file's header carries.
func headerMark(b []byte) uint32 { return binary.LittleEndian.Uint32(b[headerSize-4:]) }

// add appends a record. The file becomes visible only when it is durable as a
// whole, so each of its records counts as synced.
func (g *segment) add(kind uint8, s state) {
	from := len(g.b)
	g.b = endRecord(s.append(beginRecord(g.b)), from, recordHeader{kind: kind, sequence: g.next, durable: g.next - 1})
	sealRecord(g.b[from:], g.mark, g.off)
	g.off = int64(len(g.b))
	g.next++
}

// grow adds zeros up to size. Written out once, they make each later record
// overwrite blocks that the file system has given already: no length, no block
// map to write with it, and room that a full disk can't take away. (Reserved
// but unwritten blocks, as fallocate gives, still cost a journal commit each.)
func (g *segment) grow(size int64) *segment {
	if n := size - int64(len(g.b)); n > 0 {
		g.b = append(g.b, make([]byte, n)...)
	}
	return g
}

// checkpoint returns a segment that begins with the whole state s.
func (l *Log) checkpoint(number uint64, s state) (*segment, error) {
	g := l.newSegment(number, flagCheckpoint)
	kind := uint8(recordCheckpoint)
	for _, part := range s.parts(checkpointPart) {
		g.add(kind, part)
		kind = recordUpdate
		if len(g.b) > maxSegment/2 {
			return nil, fmt.Errorf("compact log in %s: %w: %d entries after the snapshot are too many: save a later snapshot first",
				l.dir, ErrInvalid, len(s.entries))
		}
	}
	return g.grow(max(l.segmentSize, g.off+l.segmentSize/2)), nil
}

// checkpointPart is how many bytes of entries go in one record of a checkpoint.
const checkpointPart = 1 << 20

// parts divides s so that each part holds about limit bytes of entries, and
// each fits when the ones before it were applied: the snapshot first, the
// commit index last.
func (s state) parts(limit int64) []state {
	parts := []state{{snapshot: s.snapshot, local: s.local, hasLocal: s.hasLocal}}
	var size int64
	for _, e := range s.entries {
		if size >= limit {
			parts = append(parts, state{})
			size = 0
		}
		last := &parts[len(parts)-1]
		last.entries = append(last.entries, e)
		size += entrySize(e)
	}
	parts[len(parts)-1].hard = s.hard
	return parts
}

// start makes g the active segment.
func (l *Log) start(g *segment) error {
	if err := l.newFile(segmentName(g.number), g.b); err != nil {
		return err
	}
	path := l.path(segmentName(g.number))
	f, err := l.fs.Open(path)
	if err != nil {
		// It is the last segment on disk, so no other one may take records.
		return l.fail("open", path, err)
	}
	if l.active != nil {
		l.active.Close() // all in it is durable, or repeated in g
	}
	l.active, l.mark, l.off, l.size = f, g.mark, g.off, int64(len(g.b))
	l.next, l.durable = g.next, g.next-1
	l.segments = append(l.segments, g.number)
	return nil
}

func (l *Log) lastSegment() uint64 { return l.segments[len(l.segments)-1] }
