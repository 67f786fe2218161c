package store

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// The first block of a disk says whose it is. It is written once.
const (
	labelMagic   = "PERDUSTO"
	labelVersion = 1
)

type label struct {
	Cluster string `json:"cluster"`
	Lineage uint64 `json:"lineage"`
	Store   string `json:"store"`
}

func putLabel(b []byte, id Identity) error {
	text, err := json.Marshal(label(id))
	if err != nil || len(text) > block-32 {
		return fmt.Errorf("write the label: %d bytes: %w", len(text), err)
	}
	clear(b[:block])
	le := binary.LittleEndian
	copy(b, labelMagic)
	le.PutUint16(b[8:], labelVersion)
	le.PutUint32(b[12:], uint32(len(text)))
	copy(b[16:], text)
	le.PutUint32(b[block-4:], crc32.Checksum(b[:block-4], castagnoli))
	return nil
}

func labelOf(b []byte) (Identity, error) {
	le := binary.LittleEndian
	if string(b[:8]) != labelMagic {
		return Identity{}, ErrNoStore
	}
	if v := le.Uint16(b[8:]); v != labelVersion {
		return Identity{}, fmt.Errorf("store of version %d, this software reads %d: upgrade this node", v, labelVersion)
	}
	n := le.Uint32(b[12:])
	if n > block-32 || le.Uint32(b[block-4:]) != crc32.Checksum(b[:block-4], castagnoli) {
		return Identity{}, fmt.Errorf("label: %w", ErrTorn)
	}
	var l label
	if err := json.Unmarshal(b[16:16+n], &l); err != nil {
		return Identity{}, fmt.Errorf("label: %v: %w", err, ErrTorn)
	}
	return Identity(l), nil
}

// ForeignError: the store is another cluster's, or another one of this cluster.
type ForeignError struct{ Found, Want Identity }

func (e *ForeignError) Error() string {
	return fmt.Sprintf("it belongs to cluster %s, lineage %d (store %s), not to cluster %s, lineage %d (store %s)",
		e.Found.Cluster, e.Found.Lineage, e.Found.Store, e.Want.Cluster, e.Want.Lineage, e.Want.Store)
}

// disk is a store on a disk or in a file.
type disk struct {
	dev device
	reg *register
}

func openDisk(dev device, id Identity, node cluster.NodeID, at layout, lives Lives) (_ *disk, err error) {
	defer func() {
		if err != nil {
			_ = dev.close()
		}
	}()
	b := dev.buffer(block)
	if err := dev.readAt(b, 0); err != nil {
		return nil, err
	}
	found, err := labelOf(b)
	if err != nil {
		return nil, err
	}
	if found != id {
		return nil, &ForeignError{Found: found, Want: id}
	}
	reg, err := openRegister(dev, at, node, placeOf(node), lives)
	if err != nil {
		return nil, err
	}
	return &disk{dev: dev, reg: reg}, nil
}

func (d *disk) Load() ([]byte, Version, error)      { return d.reg.load() }
func (d *disk) Save(v Version, object []byte) error { return d.reg.save(v, object) }
func (d *disk) Close() error                        { return d.dev.close() }

// Make makes a store of a disk or file for a storage witness. It refuses a disk
// with anything on it, unless it is a store of the same cluster that is free.
func Make(kind cluster.StoreKind, location string, id Identity, object []byte) error {
	switch kind {
	case cluster.StoreDisk, cluster.StoreFile:
	default:
		return errors.New("this software doesn't know stores of kind " + string(kind))
	}
	if kind == cluster.StoreFile {
		if err := makeFile(location, SizeNeeded); err != nil {
			return err
		}
	}
	d, err := openDevice(location, kind)
	if err != nil {
		return err
	}
	defer d.close()
	return makeDisk(d, id, object)
}

func makeDisk(d device, id Identity, object []byte) error {
	size, err := d.size()
	if err != nil {
		return err
	}
	if size < SizeNeeded {
		return fmt.Errorf("it has %d MiB, at least %d are needed", size/mib, (SizeNeeded+mib-1)/mib)
	}
	b := d.buffer(mib)
	if err := d.readAt(b, 0); err != nil {
		return err
	}
	switch found, err := labelOf(b); {
	case err == nil && found.Cluster != id.Cluster:
		return &ForeignError{Found: found, Want: id}
	case err == nil: // this cluster's, which has removed it
	case !errors.Is(err, ErrNoStore):
		return err
	case !zero(b):
		return fmt.Errorf("%w: erase it with wipefs --all and blkdiscard or dd if you are sure", ErrTaken)
	}
	clear(b)
	// The label goes first, so that whoever still uses an old store of this place
	// finds another one, and the value last.
	if err := putLabel(b, id); err != nil {
		return err
	}
	if err := d.writeAt(b, 0); err != nil {
		return err
	}
	for _, at := range []layout{probeRegister, mainRegister} {
		value := object
		if at == probeRegister {
			value = []byte("{}")
		}
		clear(b)
		if err := d.writeAt(b, at.heads); err != nil {
			return err
		}
		v := d.buffer(round(len(value)))
		copy(v, value)
		if err := d.writeAt(v, at.values); err != nil {
			return err
		}
		first := ballot(0).next(0)
		h := head{seq: 2, promised: first, accepted: first, length: uint32(len(value)), sum: crc32.Checksum(value, castagnoli)}
		hb := d.buffer(block)
		h.put(hb)
		if err := d.writeAt(hb, at.heads); err != nil {
			return err
		}
	}
	return nil
}
