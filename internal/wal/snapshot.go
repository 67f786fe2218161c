package wal

import (
	"fmt"
	"hash/crc32"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// maxSnapshot bounds the data of one snapshot, in bytes. The cluster's state is
// a small document; the bound is there to refuse nonsense.
const maxSnapshot = 256 << 20

// writeSnapshot puts the data of a snapshot in a file of its own, complete and
// durable before any record names it.
func (l *Log) writeSnapshot(s *raftpb.Snapshot, r *snapshotRef) error {
	header := fileHeader{
		magic: snapshotMagic, sum: crc32.Checksum(s.GetData(), castagnoli),
		a: r.index, b: r.term, c: r.size, id: l.id,
	}
	content := append(header.encode(), s.GetData()...)
	return l.newFile(snapshotName(r.file), content)
}

// readSnapshot reads the data that r names. They were durable before r was
// written, so a file that is missing or different is damage.
func readSnapshot(fs FS, path string, r *snapshotRef, id Identity) (*raftpb.Snapshot, error) {
	b, err := readFile(fs, path, headerSize+maxSnapshot)
	if err != nil {
		return nil, err
	}
	h, err := decodeFileHeader(path, b, snapshotMagic, id)
	if err != nil {
		return nil, err
	}
	data := b[headerSize:]
	if h.a != r.index || h.b != r.term || h.c != r.size || uint64(len(data)) != r.size {
		return nil, &CorruptError{path, 0, fmt.Sprintf("it holds a snapshot of index %d term %d with %d of %d bytes, the log names index %d term %d with %d",
			h.a, h.b, len(data), h.c, r.index, r.term, r.size)}
	}
	if crc32.Checksum(data, castagnoli) != h.sum {
		return nil, &CorruptError{path, headerSize, "the data have a wrong checksum"}
	}
	if len(data) == 0 {
		data = nil
	}
	index, term := r.index, r.term // the log keeps r
	meta := &raftpb.SnapshotMetadata{Index: &index, Term: &term, ConfState: proto.Clone(r.conf).(*raftpb.ConfState)}
	return &raftpb.Snapshot{Data: data, Metadata: meta}, nil
}
