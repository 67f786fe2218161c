package store

import (
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// device is a disk or a file. Offsets and lengths are multiples of block; a
// write is durable and seen by every node when it returns. After an error
// nobody knows what is there.
type device interface {
	readAt(b []byte, off int64) error
	writeAt(b []byte, off int64) error
	// buffer is memory that the device can read into and write from.
	buffer(n int) []byte
	size() (int64, error)
	close() error
}

// register is a value that is replaced only if it is still the one that was
// read, built from slots of which each has one writer. It is Disk Paxos with
// one disk (Gafni, Lamport: Disk Paxos, 2003) for a register that changes by a
// function of its value (Rystsov: CASPaxos, 2018).
type register struct {
	dev  device
	at   layout
	slot int
	own  head
	// broken: a write of this slot failed, so that nobody knows what is in it;
	// it isn't written again.
	broken error
	heads  []byte
	block  []byte
	// rules that are off, for negative controls only.
	rules struct{ noPrepare, noLook bool }
}

// placeOf is the group of slots of a node.
func placeOf(node cluster.NodeID) int { return 1 + int((uint64(node)-1)%(places-1)) }

// openRegister takes the next slot of the node: a write of its last process
// that is still under way then can't land on what this one writes. What the slot
// holds from an earlier process stays, because it may be the newest value.
func openRegister(dev device, at layout, node cluster.NodeID, place int, lifeFor Lives) (*register, error) {
	r := &register{dev: dev, at: at, heads: dev.buffer(2 * slots * block), block: dev.buffer(block)}
	hs, err := r.readHeads()
	if err != nil {
		return nil, err
	}
	own := hs[place*lives:][:lives]
	var life uint64
	for _, h := range own {
		if h.seq > 0 && h.node != uint64(node) {
			return nil, fmt.Errorf("%w: n%d: make the store anew with perdure quorum remove and add", ErrPlace, h.node)
		}
		life = max(life, h.life)
	}
	// The disk alone can't tell: the first write of the last life may still be
	// under way.
	life, err = lifeFor(life + 1)
	if err != nil {
		return nil, fmt.Errorf("count the uses of the store: %w", err)
	}
	r.slot = place*lives + int(life%lives)
	r.own = hs[r.slot]
	r.own.node, r.own.life = uint64(node), life
	return r, r.writeHead()
}

func (r *register) readHeads() ([slots]head, error) {
	if err := r.dev.readAt(r.heads, r.at.heads); err != nil {
		return [slots]head{}, err
	}
	return headsOf(r.heads)
}

func (r *register) writeHead() error {
	if r.broken != nil {
		return r.broken
	}
	r.own.seq++
	r.own.put(r.block)
	if err := r.dev.writeAt(r.block, r.at.heads+int64(2*r.slot+int(r.own.seq%2))*block); err != nil {
		r.broken = err
		return err
	}
	return nil
}

func (r *register) valueAt(slot int, which uint8) int64 {
	return r.at.values + int64(2*slot+int(which))*r.at.size
}

// newest is the slot with the value that was accepted under the highest ballot.
func newest(hs *[slots]head) int {
	best := 0
	for i := range hs {
		if hs[i].accepted > hs[best].accepted {
			best = i
		}
	}
	return best
}

// loadTries is how often a value is read that is being replaced meanwhile.
const loadTries = 4

// load reads the value that was accepted under the highest ballot. Its save may
// still fail.
func (r *register) load() ([]byte, Version, error) {
	for range loadTries {
		hs, err := r.readHeads()
		if err != nil {
			return nil, 0, err
		}
		i := newest(&hs)
		h := &hs[i]
		if h.accepted == 0 {
			return nil, 0, ErrNoStore
		}
		if int64(h.length) > r.at.size {
			return nil, 0, fmt.Errorf("slot %d: value of %d bytes: %w", i, h.length, ErrTorn)
		}
		v := r.dev.buffer(round(int(h.length)))
		if err := r.dev.readAt(v, r.valueAt(i, h.which)); err != nil {
			return nil, 0, err
		}
		if v = v[:h.length]; crc32.Checksum(v, castagnoli) == h.sum {
			return v, Version(h.accepted), nil
		}
	}
	return nil, 0, fmt.Errorf("value: %w", ErrTorn)
}

// save replaces the value if it is still the version.
func (r *register) save(v Version, value []byte) error {
	if r.broken != nil {
		return fmt.Errorf("%w: an earlier write failed: %v", ErrConflict, r.broken)
	}
	if int64(len(value)) > r.at.size {
		return fmt.Errorf("%w: %d bytes, at most %d fit", ErrConflict, len(value), r.at.size)
	}
	hs, err := r.readHeads()
	if err != nil {
		return fmt.Errorf("%w: %v", ErrConflict, err)
	}
	b := highest(&hs).next(r.slot)
	// Prepare: who has a lower ballot is stopped by this, or is seen.
	r.own.promised = b
	if !r.rules.noPrepare {
		if err := r.writeHead(); err != nil {
			return fmt.Errorf("%w: %v", ErrConflict, err)
		}
	}
	if hs, err = r.readHeads(); err != nil {
		return fmt.Errorf("%w: %v", ErrConflict, err)
	}
	if highest(&hs) > b || Version(hs[newest(&hs)].accepted) != v {
		return ErrConflict
	}
	// Accept: the value first, where nothing points to it yet.
	own := r.own
	own.which ^= 1
	own.accepted, own.length, own.sum = b, uint32(len(value)), crc32.Checksum(value, castagnoli)
	buf := r.dev.buffer(round(len(value)))
	copy(buf, value)
	if err := r.dev.writeAt(buf, r.valueAt(r.slot, own.which)); err != nil {
		r.broken = err
		return fmt.Errorf("%w: %v", ErrConflict, err)
	}
	r.own = own
	if err := r.writeHead(); err != nil {
		return fmt.Errorf("%w: %v", ErrUnsure, err)
	}
	if hs, err = r.readHeads(); err != nil {
		return fmt.Errorf("%w: %v", ErrUnsure, err)
	}
	if highest(&hs) > b && !r.rules.noLook {
		return ErrUnsure // its owner may have read before or after
	}
	return nil
}

// highest is the highest ballot that anybody speaks of.
func highest(hs *[slots]head) ballot {
	h := slices.MaxFunc(hs[:], func(a, b head) int {
		switch {
		case a.promised < b.promised:
			return -1
		case a.promised > b.promised:
			return 1
		}
		return 0
	})
	return h.promised
}

func sumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

func round(n int) int { return (n + block - 1) / block * block }
