package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// blockSize is what records are aligned to and padded to, so that writing
	// one never touches a block that holds an acknowledged one: a power loss
	// can harm only what is being written. Page caches and today's disks write
	// 4096 bytes at least, so smaller records would cost the same.
	blockSize = 4096
	// sectorSize is what a disk writes whole or not at all.
	sectorSize = 512

	recordHeaderSize = 32
	recordVersion    = 1
	// endMark follows the payload, so that the last sector of a record is
	// never all zero; see torn.
	endMark = 0xE5

	// maxPayload bounds one record, in bytes.
	maxPayload = 64 << 20

	recordUpdate     = 1 // one Save
	recordCheckpoint = 2 // the whole state; what was before doesn't count
)

// recordHeader stands before each payload.
type recordHeader struct {
	length   uint32
	kind     uint8
	version  uint8
	sequence uint64 // counts the records of the log, from 1
	durable  uint64 // all records up to this sequence number were synced before
	sum      uint32 // of the payload
}

// recordSize is the length on disk for a payload of n bytes.
func recordSize(n int) int64 {
	size := int64(recordHeaderSize) + int64(n) + 1
	return (size + blockSize - 1) / blockSize * blockSize
}

// place ties records to their segment and offset: one that is valid elsewhere
// (a stray write, a copied block) isn't valid here.
func place(segment uint32, off int64) uint32 {
	var b [12]byte
	binary.LittleEndian.PutUint32(b[:], segment)
	binary.LittleEndian.PutUint64(b[4:], uint64(off))
	return crc32.Checksum(b[:], castagnoli)
}

// beginRecord appends room for a header; the payload is appended after it.
func beginRecord(buf []byte) []byte { return append(buf, make([]byte, recordHeaderSize)...) }

// endRecord fills in the header of the record that begins at from, marks its
// end and pads it to whole blocks.
func endRecord(buf []byte, from int, h recordHeader) []byte {
	payload := buf[from+recordHeaderSize:]
	b := buf[from:]
	le := binary.LittleEndian
	le.PutUint32(b, uint32(len(payload)))
	b[4], b[5] = h.kind, recordVersion
	le.PutUint16(b[6:], 0)
	le.PutUint64(b[8:], h.sequence)
	le.PutUint64(b[16:], h.durable)
	le.PutUint32(b[24:], crc32.Checksum(payload, castagnoli))
	pad := int(recordSize(len(payload))) - recordHeaderSize - len(payload)
	buf = append(buf, endMark)
	return append(buf, zeros[:pad-1]...)
}

var zeros [blockSize]byte

// sealRecord sets the header's checksum, which depends on where the record
// will stand.
func sealRecord(b []byte, segment uint32, off int64) {
	sum := crc32.Update(place(segment, off), castagnoli, b[:28])
	binary.LittleEndian.PutUint32(b[28:], sum)
}

// decodeRecordHeader reports whether b begins with the header of a record that
// was written for this place.
func decodeRecordHeader(b []byte, segment uint32, off int64) (recordHeader, bool) {
	if len(b) < recordHeaderSize {
		return recordHeader{}, false
	}
	le := binary.LittleEndian
	if crc32.Update(place(segment, off), castagnoli, b[:28]) != le.Uint32(b[28:]) {
		return recordHeader{}, false
	}
	return recordHeader{
		length: le.Uint32(b), kind: b[4], version: b[5],
		sequence: le.Uint64(b[8:]), durable: le.Uint64(b[16:]), sum: le.Uint32(b[24:]),
	}, true
}

// tail is how a segment ends.
type tail struct {
	off  int64  // where the next record goes
	next uint64 // its sequence number
	// rewrite is the offset of the first record that may be in the page cache
	// alone; equal to off when all are known to be on disk.
	rewrite int64
	// torn says what was found at off: "" if only zeros follow.
	torn string
}

// readRecords calls each record of a segment in order. b is the whole file,
// header.b the first sequence number. It tells three ends apart:
//
//   - zeros: the end.
//   - a record that a power loss during its own write explains: a torn tail.
//     The caller decides whether a tail is allowed there.
//   - anything else, above all a bad record that a later one knows to have
//     been synced: *CorruptError.
func readRecords(file string, b []byte, header fileHeader, each func(off int64, h recordHeader, payload []byte) error) (tail, error) {
	segment := headerMark(b)
	t := tail{off: blockSize, next: header.b, rewrite: blockSize}
	starts := []int64{}
	durable := header.b - 1
	for {
		if t.off >= int64(len(b)) || allZero(b[t.off:]) {
			break
		}
		h, reason := checkRecord(b[t.off:], segment, t.off)
		if reason != "" {
			if ack := acknowledged(b, segment, t.off, t.next); ack != "" {
				return t, &CorruptError{file, t.off, reason + ack}
			}
			if !explainedByTear(b[t.off:], h) {
				return t, &CorruptError{file, t.off, reason + ", and no interrupted write explains it"}
			}
			t.torn = reason
			break
		}
		if h.version != recordVersion || (h.kind != recordUpdate && h.kind != recordCheckpoint) {
			return t, fmt.Errorf("log file %s: record at offset %d has type %d version %d: start the release that wrote it: %w",
				file, t.off, h.kind, h.version, ErrNewer)
		}
		if h.sequence != t.next || h.durable >= h.sequence {
			return t, &CorruptError{file, t.off, fmt.Sprintf("record %d (synced up to %d) stands where %d belongs", h.sequence, h.durable, t.next)}
		}
		payload := b[t.off+recordHeaderSize:][:h.length:h.length]
		if err := each(t.off, h, payload); err != nil {
			return t, err
		}
		starts = append(starts, t.off)
		durable = max(durable, h.durable)
		t.off += recordSize(int(h.length))
		t.next++
	}
	t.rewrite = t.off
	if known := durable + 1 - header.b; known < uint64(len(starts)) {
		t.rewrite = starts[known]
	}
	return t, nil
}

// checkRecord returns the header of the record at the start of b and what is
// wrong with it, "" if nothing is. The header is zero if it can't be read.
func checkRecord(b []byte, segment uint32, off int64) (recordHeader, string) {
	h, ok := decodeRecordHeader(b, segment, off)
	switch {
	case !ok:
		return recordHeader{}, "the record's header has a wrong checksum"
	case h.length > maxPayload:
		return recordHeader{}, fmt.Sprintf("a record of %d bytes", h.length)
	case recordHeaderSize+int64(h.length)+1 > int64(len(b)):
		return h, fmt.Sprintf("record %d ends beyond the file", h.sequence)
	case crc32.Checksum(b[recordHeaderSize:][:h.length], castagnoli) != h.sum:
		return h, fmt.Sprintf("the payload of record %d has a wrong checksum", h.sequence)
	case b[recordHeaderSize+h.length] != endMark:
		return h, fmt.Sprintf("record %d has no end mark", h.sequence)
	}
	return h, ""
}

// acknowledged looks behind a bad record for a later one that was begun only
// after the bad one had been synced; it says so, or "".
func acknowledged(b []byte, segment uint32, off int64, bad uint64) string {
	for at := off + blockSize; at < int64(len(b)); at += blockSize {
		if h, ok := decodeRecordHeader(b[at:], segment, at); ok && h.durable >= bad {
			return fmt.Sprintf("; record %d at offset %d shows that record %d was on disk", h.sequence, at, bad)
		}
	}
	return ""
}

// explainedByTear reports whether the bad record at the start of b can be the
// remainder of an interrupted write. Its blocks were zero before and a sector
// is written whole or not at all, so one of its sectors must still be zero, or
// the file end inside it. A bad record without such a sector was complete once
// and has changed since: it may have been acknowledged.
func explainedByTear(b []byte, h recordHeader) bool {
	if h == (recordHeader{}) { // the first sector alone tells
		return len(b) < recordHeaderSize || allZero(b[:min(sectorSize, len(b))])
	}
	end := recordHeaderSize + int(h.length) + 1
	for at := 0; at < end; at += sectorSize {
		if at+sectorSize > len(b) || allZero(b[at:min(at+sectorSize, end)]) {
			return true
		}
	}
	return false
}

func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if string(b[:len(zeros)]) != string(zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return string(b) == string(zeros[:len(b)])
}
