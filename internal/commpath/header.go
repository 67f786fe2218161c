package commpath

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// A heartbeat packet, all numbers big endian:
//
//	 0  magic     "PDHB"
//	 4  version   u8 = 1
//	 5  zero      3 bytes
//	 8  cluster   8 bytes, see clusterHash
//	16  sender    u64
//	24  receiver  u64
//	32  session   16 bytes, the sender's
//	48  network   u32, see networkTag
//	52  seq       u64, counts the sender's packets to the receiver on all paths; the nonce
//	60  pathSeq   u64, counts those on this path
//	68  sealed    the body (body.go) and 16 bytes of AES-256-GCM tag
//
// The header is in the clear so that strangers are told from friends without
// any cryptography, and authenticated with the rest.
const (
	headerSize = 68
	bodySize   = 68
	tagSize    = 16

	// MaxPacket is the largest heartbeat packet: what passes every IPv6 path
	// (1280 bytes with headers) unfragmented, with room for a tunnel.
	MaxPacket = 1200
	// MaxHeartbeat is the largest payload of a heartbeat.
	MaxHeartbeat = MaxPacket - headerSize - bodySize - tagSize

	packetVersion = 1
)

var packetMagic = [4]byte{'P', 'D', 'H', 'B'}

// header is the part of a packet in the clear.
type header struct {
	cluster  [8]byte
	sender   cluster.NodeID
	receiver cluster.NodeID
	session  session
	network  uint32
	seq      uint64
	pathSeq  uint64
}

// put writes the header to the first headerSize bytes of b.
func (h *header) put(b []byte) {
	_ = b[headerSize-1]
	copy(b, packetMagic[:])
	b[4], b[5], b[6], b[7] = packetVersion, 0, 0, 0
	copy(b[8:], h.cluster[:])
	binary.BigEndian.PutUint64(b[16:], uint64(h.sender))
	binary.BigEndian.PutUint64(b[24:], uint64(h.receiver))
	copy(b[32:], h.session[:])
	binary.BigEndian.PutUint32(b[48:], h.network)
	binary.BigEndian.PutUint64(b[52:], h.seq)
	binary.BigEndian.PutUint64(b[60:], h.pathSeq)
}

// parse reads the header of a packet, and says why it can't be one of ours.
func (h *header) parse(packet []byte) (dropReason, bool) {
	switch {
	case len(packet) > MaxPacket:
		return dropOversized, false
	case len(packet) < headerSize+bodySize+tagSize:
		return dropGarbage, false
	case [4]byte(packet) != packetMagic:
		return dropGarbage, false
	case packet[4] != packetVersion:
		return dropVersion, false
	case packet[5] != 0 || packet[6] != 0 || packet[7] != 0:
		return dropGarbage, false
	}
	h.cluster = [8]byte(packet[8:])
	h.sender = cluster.NodeID(binary.BigEndian.Uint64(packet[16:]))
	h.receiver = cluster.NodeID(binary.BigEndian.Uint64(packet[24:]))
	h.session = session(packet[32:])
	h.network = binary.BigEndian.Uint32(packet[48:])
	h.seq = binary.BigEndian.Uint64(packet[52:])
	h.pathSeq = binary.BigEndian.Uint64(packet[60:])
	if h.session.isZero() || h.seq == 0 || h.pathSeq == 0 {
		return dropGarbage, false
	}
	return 0, true
}

// clusterHash tells the clusters at one socket apart.
func clusterHash(id string) [8]byte {
	sum := sha256.Sum256([]byte("perdure cluster " + id))
	return [8]byte(sum[:])
}

// networkTag stands for a network's name in packets. It is not an index: two
// nodes that learn of a changed list of paths at different times must not take
// one path for another.
func networkTag(name string) uint32 {
	sum := sha256.Sum256([]byte("perdure network " + name))
	return binary.BigEndian.Uint32(sum[:])
}
