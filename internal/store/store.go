package store

import (
	"errors"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// Version says which object was loaded. It compares with == and means nothing
// else.
type Version uint64

// Store holds one object. Its methods may block as long as the device does.
type Store interface {
	// Load reads the object. It may be one that isn't saved for certain yet, or
	// an older one.
	Load() (object []byte, v Version, err error)
	// Save replaces the object if it is still the version. It returns
	// [ErrConflict] if it isn't, and nothing was changed; after any other error
	// it isn't known whether the object was replaced.
	Save(v Version, object []byte) error
	Close() error
}

var (
	// ErrConflict: somebody else has saved, or is about to.
	ErrConflict = errors.New("the object was saved by another node meanwhile")
	// ErrUnsure: the save may have succeeded, or may yet.
	ErrUnsure = errors.New("it isn't known whether the object was saved")
	// ErrNoStore: there is no store of Perdure's at the place.
	ErrNoStore = errors.New("there is no store of a storage witness: see perdure quorum add")
	// ErrTaken: something else is at the place.
	ErrTaken = errors.New("it isn't empty: what is on it would be lost")
	// ErrTorn: a slot is damaged, so that nobody knows what it held.
	ErrTorn = errors.New("a slot is damaged")
	// ErrPlace: the node's slots are another node's.
	ErrPlace = errors.New("the node's slots are used by another node")
)

// Identity says whose store it must be.
type Identity = core.StoreID

// Lives gives the number of a use of a store by this node: higher than all
// before, at least the given one, and remembered on the node's own disk before it
// is returned.
type Lives func(atLeast uint64) (uint64, error)

// Open opens the store of a storage witness for a node.
func Open(s *cluster.Storage, id Identity, node cluster.NodeID, lives Lives) (Store, error) {
	switch s.Kind {
	case cluster.StoreDisk, cluster.StoreFile:
		d, err := openDevice(s.Location, s.Kind)
		if err != nil {
			return nil, err
		}
		return openDisk(d, id, node, mainRegister, lives)
	}
	return nil, errors.New("this software doesn't know stores of kind " + string(s.Kind) + ": upgrade this node")
}
