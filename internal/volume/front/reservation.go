package front

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

// ReservationType says what a reservation forbids to others. The numbers are
// those of SCSI.
// Source: SPC-4, table 148, persistent reservation type codes.
type ReservationType uint8

// The types of SPC-4; 0 is none.
const (
	NoReservation           ReservationType = 0
	WriteExclusive          ReservationType = 1
	ExclusiveAccess         ReservationType = 3
	WriteExclusiveMembers   ReservationType = 5 // registrants only
	ExclusiveAccessMembers  ReservationType = 6
	WriteExclusiveAllHold   ReservationType = 7 // all registrants hold it
	ExclusiveAccessAllHold  ReservationType = 8
	reservationTypesHighest                 = ExclusiveAccessAllHold
)

// Valid reports whether the type is one of SPC-4 that isn't obsolete.
func (t ReservationType) Valid() bool {
	return t <= reservationTypesHighest && t != 2 && t != 4
}

// Registration is one initiator port's key.
type Registration struct {
	Initiator Initiator
	Key       uint64
}

// Reservations is the state of a volume's persistent reservations. It is part
// of the cluster's state, so that it moves with the volume.
type Reservations struct {
	// Generation counts changes of the registrations.
	Generation uint32
	Registered []Registration
	// Type is the present reservation's, and Holder whose it is (with the types
	// that all registrants hold: of nobody in particular).
	Type   ReservationType
	Holder Initiator
}

// Allows reports whether an initiator may do an operation.
// Source: SPC-4, 5.13.1, and SBC-3, table 13, commands allowed in the presence of
// persistent reservations.
func (r Reservations) Allows(i Initiator, op block.Op) bool {
	if r.Type == NoReservation || r.Holder == i {
		return true
	}
	member := slices.ContainsFunc(r.Registered, func(g Registration) bool { return g.Initiator == i })
	switch r.Type {
	case WriteExclusive:
		return op == block.Read
	case ExclusiveAccess:
		return false
	case WriteExclusiveMembers, WriteExclusiveAllHold:
		return member || op == block.Read
	}
	return member
}
