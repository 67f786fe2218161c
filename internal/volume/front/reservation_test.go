package front

import (
	"testing"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

func TestReservationsAllow(t *testing.T) {
	holder := Initiator{Protocol: "iscsi", Name: "iqn.a", Port: "1"}
	otherPort := Initiator{Protocol: "iscsi", Name: "iqn.a", Port: "2"}
	member := Initiator{Protocol: "iscsi", Name: "iqn.b"}
	stranger := Initiator{Protocol: "nbd", Name: "uid 0"}
	for _, c := range []struct {
		t                            ReservationType
		memberReads, memberWrites    bool
		strangerReads, strangerFlush bool
	}{
		{NoReservation, true, true, true, true},
		{WriteExclusive, true, false, true, false},
		{ExclusiveAccess, false, false, false, false},
		{WriteExclusiveMembers, true, true, true, false},
		{ExclusiveAccessMembers, true, true, false, false},
		{WriteExclusiveAllHold, true, true, true, false},
		{ExclusiveAccessAllHold, true, true, false, false},
	} {
		if !c.t.Valid() {
			t.Errorf("type %d is valid", c.t)
		}
		r := Reservations{Type: c.t, Holder: holder, Registered: []Registration{{holder, 1}, {member, 2}}}
		if !r.Allows(holder, block.Write) {
			t.Errorf("type %d: the holder may write", c.t)
		}
		if got := r.Allows(member, block.Read); got != c.memberReads {
			t.Errorf("type %d: a registrant reads: %v", c.t, got)
		}
		if got := r.Allows(member, block.Zero); got != c.memberWrites {
			t.Errorf("type %d: a registrant writes: %v", c.t, got)
		}
		for _, i := range []Initiator{stranger, otherPort} {
			if got := r.Allows(i, block.Read); got != c.strangerReads {
				t.Errorf("type %d: %v reads: %v", c.t, i, got)
			}
			if got := r.Allows(i, block.Flush); got != c.strangerFlush {
				t.Errorf("type %d: %v flushes: %v", c.t, i, got)
			}
		}
	}
	for _, bad := range []ReservationType{2, 4, 9} {
		if bad.Valid() {
			t.Errorf("type %d isn't valid", bad)
		}
	}
}
