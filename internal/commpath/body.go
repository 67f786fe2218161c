package commpath

import (
	"encoding/binary"
	"math"
	"time"
)

// The body is the sealed part in front of the payload: what the sender knows of
// the receiver's packets.
//
//	 0  echo session   16 bytes, the receiver's session that the sender believes; zero: none
//	16  echo seq       u64, highest seq heard in that session on any path
//	24  echo path seq  u64, highest pathSeq heard in it on this path
//	32  hold           u32, µs from hearing that one to sending this packet
//	36  received       u32, packets heard in it on this path, modulo 2³²
//	40  lost           u32, packets missed in it on this path, modulo 2³²
//	44  probe session  16 bytes, another session that says to be the receiver's; zero: none
//	60  probe seq      u64, highest seq heard in that session on any path
//	68  payload
//
// The probe lets a session prove itself to someone who still believes in the
// one before. Without it two nodes that begin anew at the same moment would
// wait for each other's echo for ever.
type body struct {
	echoSession session
	echoSeq     uint64
	echoPathSeq uint64
	// hold is maxHold when it was longer.
	hold         time.Duration
	received     uint32
	lost         uint32
	probeSession session
	probeSeq     uint64
}

// answers returns the number that the sender heard in session s, and whether it
// heard that session at all.
func (c *body) answers(s session) (seq uint64, ok bool) {
	switch s {
	case c.echoSession:
		return c.echoSeq, true
	case c.probeSession:
		return c.probeSeq, true
	}
	return 0, false
}

// maxHold is the longest hold that fits: 71 minutes. It says nothing.
const maxHold = math.MaxUint32 * time.Microsecond

func (c *body) put(b []byte) {
	_ = b[bodySize-1]
	copy(b, c.echoSession[:])
	binary.BigEndian.PutUint64(b[16:], c.echoSeq)
	binary.BigEndian.PutUint64(b[24:], c.echoPathSeq)
	binary.BigEndian.PutUint32(b[32:], uint32(min(max(c.hold, 0), maxHold)/time.Microsecond))
	binary.BigEndian.PutUint32(b[36:], c.received)
	binary.BigEndian.PutUint32(b[40:], c.lost)
	copy(b[44:], c.probeSession[:])
	binary.BigEndian.PutUint64(b[60:], c.probeSeq)
}

// parse reads the body from an authentic plaintext of at least bodySize bytes.
func (c *body) parse(b []byte) {
	_ = b[bodySize-1]
	c.echoSession = session(b)
	c.echoSeq = binary.BigEndian.Uint64(b[16:])
	c.echoPathSeq = binary.BigEndian.Uint64(b[24:])
	c.hold = time.Duration(binary.BigEndian.Uint32(b[32:])) * time.Microsecond
	c.received = binary.BigEndian.Uint32(b[36:])
	c.lost = binary.BigEndian.Uint32(b[40:])
	c.probeSession = session(b[44:])
	c.probeSeq = binary.BigEndian.Uint64(b[60:])
}
