package meta

import (
	"errors"
	"fmt"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// Create writes a new area at the end of a device or side file for s, whose
// DataSize and DeviceSize are given. Data are not touched. It refuses, without a
// change, what would overwrite something: a volume, the end of a file system that
// reaches into the area, anything else that isn't zero. overwrite allows all but
// the file system.
func Create(d Device, path string, s Superblock, overwrite bool) (*Area, error) {
	a, err := newArea(d, path)
	if err != nil {
		return nil, err
	}
	if err := a.create(s, overwrite); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

func (a *Area) create(s Superblock, overwrite bool) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("create a volume on %s: %w", a.path, err)
	}
	a.layout = LayoutFor(s.DataSize, s.BlockSize)
	a.base = end(a.d) - a.layout.Size
	if a.base < 0 || !s.Side && a.base < s.DataSize {
		return message.New(message.VolumeDeviceShrunk, a.path, a.d.Geometry().Size, s.DataSize+a.layout.Size)
	}
	if err := a.refuse(s, overwrite); err != nil {
		return err
	}
	a.now = s
	a.now.Sequence = 0
	if err := a.WriteActivity(1, make([]uint32, 0)); err != nil {
		return err
	}
	for range 2 {
		if err := a.WriteSuperblock(a.now); err != nil {
			return err
		}
	}
	return nil
}

// refuse looks for what would be lost.
func (a *Area) refuse(s Superblock, overwrite bool) error {
	old, err := a.find()
	switch {
	case err == nil && old.Volume == s.Volume && old.Cluster == s.Cluster:
		return message.New(message.VolumeDeviceHolds, a.path, fmt.Sprintf("volume %s, this one, already", old.Name))
	case overwrite:
	case err == nil:
		return message.New(message.VolumeDeviceHolds, a.path, fmt.Sprintf("volume %s of cluster %s", old.Name, old.Cluster))
	case message.Has(err, message.VolumeMetaNone):
	default:
		return err
	}
	if !s.Side {
		if err := a.read(0, a.buf[:signatureSize]); err != nil {
			return err
		}
		if kind, size := fileSystem(a.buf[:signatureSize]); size > s.DataSize {
			return message.New(message.VolumeNoRoom, a.path, kind, size, s.DataSize)
		}
	}
	if overwrite {
		return nil
	}
	for at := int64(0); at < a.layout.Size; at += bufSize {
		n := min(bufSize, a.layout.Size-at)
		if err := a.read(a.base+at, a.buf[:n]); err != nil {
			return err
		}
		if !allZero(a.buf[:n]) {
			return message.New(message.VolumeDeviceHolds, a.path, fmt.Sprintf("data in its last %d bytes, where the metadata go", a.layout.Size))
		}
	}
	return nil
}

func allZero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}

// Erase removes the superblocks, so that the device is free for another use. Data
// stay.
func (a *Area) Erase() error {
	clear(a.buf[:2*Block])
	return a.write(a.base+a.layout.Superblocks[1], a.buf[:2*Block], block.FUA)
}
