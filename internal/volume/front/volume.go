package front

import "github.com/perdure-ha/perdure/internal/volume/block"

// Volume is what a frontend serves. Its methods may be called concurrently.
type Volume interface {
	// Name is what initiators ask for.
	Name() string
	// Geometry is what the disk looks like now.
	Geometry() block.Geometry
	// Open begins a session of an initiator. It fails if the volume may not be
	// used here: its role or lease has ended.
	Open(Initiator) (Session, error)
	// Watch has f called when the geometry has changed, until stop is called.
	// f must not block.
	Watch(f func(block.Geometry)) (stop func())
}

// Session is one initiator's use of a volume. Requests fail with
// [block.ErrReserved] while another initiator's reservation forbids them, and
// with [block.ErrRefused] when this node may not serve any more. Submit is
// called by one goroutine at a time. Changes of the same place are done in the order
// in which they came, through whichever sessions.
type Session interface {
	block.Submitter
	// Abort fails what waits for a lease, when the initiator is gone. Requests
	// that are on the disk end as they do.
	Abort()
	// Close ends the session. No request may be under way.
	Close()
}

// Initiator is who uses a volume.
type Initiator struct {
	// Protocol is "nbd" or "iscsi".
	Protocol string
	// Name stays the same when it connects again: the IQN, or where the
	// protocol has no names, what is known of the process.
	Name string
	// Port tells sessions of one name apart (iSCSI: the ISID), for reservations
	// are held by an initiator port, the I_T nexus.
	Port string
}

// Exports finds volumes by name.
type Exports interface {
	// Names lists what may be listed.
	Names() []string
	// Volume returns the volume of a name, or nil. The empty name is the only
	// volume, if there is one only.
	Volume(name string) Volume
}
