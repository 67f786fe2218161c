package meta

import (
	"errors"
	"fmt"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// Device is where an area is: a backing device, or a side file.
type Device interface {
	block.Submitter
	Geometry() block.Geometry
}

// Area is the metadata of a copy, open for reading and writing.
type Area struct {
	d      Device
	path   string
	base   int64
	layout Layout
	now    Superblock
	pool   *block.Pool
	buf    []byte
}

// Want is who an area must belong to.
type Want struct {
	Volume  [16]byte
	Name    string
	Cluster string
}

const bufSize = transactions * Block

func newArea(d Device, path string) (*Area, error) {
	pool, err := block.NewPool(bufSize, bufSize)
	if err != nil {
		return nil, err
	}
	return &Area{d: d, path: path, pool: pool, buf: pool.Get(bufSize)}, nil
}

// Close gives memory back. The device stays open.
func (a *Area) Close() error {
	a.pool.Put(a.buf)
	return a.pool.Close()
}

// end is where areas end on a device: its last whole Block.
func end(d Device) int64 { return d.Geometry().Size / Block * Block }

// Open reads the area at the end of a device or side file. path names it in
// messages. It changes nothing.
func Open(d Device, path string, want Want) (*Area, error) {
	a, err := newArea(d, path)
	if err != nil {
		return nil, err
	}
	if err := a.open(want); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Area) open(want Want) error {
	s, err := a.find()
	if err != nil {
		return err
	}
	if s.Volume != want.Volume || s.Cluster != want.Cluster {
		return message.New(message.VolumeForeign, a.path, s.Name, s.Cluster, want.Name)
	}
	a.now, a.layout = s, LayoutFor(s.DataSize, s.BlockSize)
	a.base = end(a.d) - a.layout.Size
	switch {
	case a.base < 0 || !s.Side && a.base < s.DataSize:
		return message.New(message.VolumeDeviceShrunk, a.path, a.d.Geometry().Size, s.DataSize+a.layout.Size)
	case s.Side && s.DataSize > s.DeviceSize:
		return message.New(message.VolumeMetaDamaged, a.path)
	}
	return nil
}

// find reads both superblocks and returns the newer one that is whole.
func (a *Area) find() (Superblock, error) {
	last := end(a.d)
	if last < 2*Block {
		return Superblock{}, message.New(message.VolumeMetaNone, a.path)
	}
	if err := a.read(last-2*Block, a.buf[:2*Block]); err != nil {
		return Superblock{}, err
	}
	var best Superblock
	var damage error
	found, none := false, 0
	for _, b := range [][]byte{a.buf[Block : 2*Block], a.buf[:Block]} {
		s, err := DecodeSuperblock(b)
		switch {
		case err == nil && (!found || s.Sequence > best.Sequence):
			best, found = s, true
		case errors.Is(err, ErrNewer):
			return s, message.New(message.VolumeMetaNewer, a.path, err).Wrap(err)
		case errors.Is(err, ErrNone):
			none++
		case err != nil:
			damage = err
		}
	}
	switch {
	case found:
		return best, nil
	case none == 2:
		return best, message.New(message.VolumeMetaNone, a.path)
	}
	return best, message.New(message.VolumeMetaDamaged, a.path).Wrap(damage)
}

// Superblock is the present one.
func (a *Area) Superblock() Superblock { return a.now }

// Layout says where the parts are; their offsets on the device count from Base.
func (a *Area) Layout() Layout { return a.layout }

// Base is the offset of the area on its device.
func (a *Area) Base() int64 { return a.base }

// WriteSuperblock makes s durable with the next sequence number, over the older
// of the two. After an error it is unknown which of the two counts; the next
// writing goes to the same place.
func (a *Area) WriteSuperblock(s Superblock) error {
	s.Sequence = a.now.Sequence + 1
	if err := s.Check(); err != nil {
		return fmt.Errorf("write the superblock of %s: %w", a.path, err)
	}
	s.Encode(a.buf)
	at := a.base + a.layout.Superblocks[s.Sequence%2]
	if err := a.write(at, a.buf[:Block], block.FUA); err != nil {
		return err
	}
	a.now = s
	return nil
}

// Activity reads the activity log. whole is false if what was hot isn't known;
// then everything must count as hot.
func (a *Area) Activity() (sequence uint64, hot []uint32, whole bool, err error) {
	if err := a.read(a.base+a.layout.Activity, a.buf); err != nil {
		return 0, nil, false, err
	}
	sequence, hot, whole = latest(a.buf, a.now.Volume)
	return sequence, hot, whole, nil
}

// ActivityAt is where a transaction is on the device.
func (a *Area) ActivityAt(sequence uint64) int64 {
	return a.base + a.layout.Activity + int64(sequence%uint64(a.layout.Transactions))*Block
}

// WriteActivity makes a transaction durable. The next may be written only when
// this one is.
func (a *Area) WriteActivity(sequence uint64, hot []uint32) error {
	EncodeActivity(a.buf, a.now.Volume, sequence, hot)
	return a.write(a.ActivityAt(sequence), a.buf[:Block], block.FUA)
}

// PageAt is where a page of a copy's bitmap is on the device.
func (a *Area) PageAt(number uint8, page int64) int64 {
	return a.base + a.layout.BitmapOf(number) + page*Block
}

// Bitmap reads the marks of a copy. damaged is how many pages weren't whole;
// their bits are all set.
func (a *Area) Bitmap(number uint8) (bits []byte, damaged int, err error) {
	bits = make([]byte, a.layout.Pages*PageBits/8)
	const step = bufSize / Block
	for page := int64(0); page < a.layout.Pages; page += step {
		n := min(step, a.layout.Pages-page)
		if err := a.read(a.PageAt(number, page), a.buf[:n*Block]); err != nil {
			return nil, 0, err
		}
		for i := range n {
			at := (page + i) * PageBits / 8
			if !DecodePage(a.buf[i*Block:], uint64(page+i), bits[at:at+PageBits/8]) {
				damaged++
			}
		}
	}
	return bits, damaged, nil
}

// WriteBitmap writes all marks of a copy and makes them durable.
func (a *Area) WriteBitmap(number uint8, bits []byte) error {
	const step = bufSize / Block
	for page := int64(0); page < a.layout.Pages; page += step {
		n := min(step, a.layout.Pages-page)
		for i := range n {
			EncodePage(a.buf[i*Block:(i+1)*Block], uint64(page+i), bits[(page+i)*PageBits/8:])
		}
		if err := a.write(a.PageAt(number, page), a.buf[:n*Block], 0); err != nil {
			return err
		}
	}
	return a.do(&block.Request{Op: block.Flush}, "flush")
}

func (a *Area) read(at int64, b []byte) error {
	return a.do(&block.Request{Op: block.Read, Offset: at, Data: b}, "read")
}

func (a *Area) write(at int64, b []byte, f block.Flags) error {
	return a.do(&block.Request{Op: block.Write, Flags: f, Offset: at, Data: b}, "write")
}

func (a *Area) do(r *block.Request, what string) error {
	if err := block.Do(a.d, r); err != nil {
		return fmt.Errorf("%s metadata of %s: %w", what, a.path, err)
	}
	return nil
}
