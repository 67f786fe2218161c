package cluster

import "fmt"

// MaxCopies bounds the copies of a volume: a set of copies is a byte on disk
// and on the wire.
const MaxCopies = 8

// VolumeEpoch names one session of one source of a volume. Lineage counts the
// forced starts, Counter the acquisitions within a lineage. Whoever stores a
// write refuses an older epoch than the one that it knows.
type VolumeEpoch struct {
	Lineage uint64 `json:"lineage"`
	Counter uint64 `json:"counter"`
}

// Less reports whether e is older than o.
func (e VolumeEpoch) Less(o VolumeEpoch) bool {
	if e.Lineage != o.Lineage {
		return e.Lineage < o.Lineage
	}
	return e.Counter < o.Counter
}

func (e VolumeEpoch) String() string { return fmt.Sprintf("%d.%d", e.Lineage, e.Counter) }

// Copy is the number of a copy within its volume, 1 to [MaxCopies]. 0: none.
type Copy uint8

// CopySet is a set of copies: bit n−1 is copy n.
type CopySet uint8

// Has reports whether the copy is in the set.
func (s CopySet) Has(c Copy) bool { return c != 0 && s&(1<<(c-1)) != 0 }

// With is the set and the copy.
func (s CopySet) With(c Copy) CopySet { return s | 1<<(c-1) }

// Without is the set less the copy.
func (s CopySet) Without(c Copy) CopySet { return s &^ (1 << (c - 1)) }

// CopiesOf makes a set.
func CopiesOf(cs ...Copy) (s CopySet) {
	for _, c := range cs {
		s = s.With(c)
	}
	return s
}

// Mode is when a write counts as done with regard to one copy.
type Mode string

const (
	// Sync: the copy's disk has it.
	Sync Mode = "sync"
	// Async: it is in the queue to the copy.
	Async Mode = "async"
)

// Standing is what the cluster has agreed on about a copy.
type Standing string

const (
	// InSync: it has every acknowledged write.
	InSync Standing = "in-sync"
	// Following: an async copy that is a past state of the source, the queue
	// behind it.
	Following Standing = "following"
	// Behind: it lacks writes.
	Behind Standing = "behind"
	// Diverged: it holds acknowledged writes that a forced start threw away.
	// Nothing overwrites it before it is resolved.
	Diverged Standing = "diverged"
)

// FullQueue is what is done when the queue of an async copy is full.
type FullQueue string

const (
	// PauseWhenFull: the queue becomes marks, which are copied later.
	PauseWhenFull FullQueue = "pause"
	// HoldWhenFull: the writer waits.
	HoldWhenFull FullQueue = "hold"
)

// Volume is a replicated block device. See docs/design/volumes.md.
type Volume struct {
	Name string `json:"name"`
	// ID is random, 32 hex digits, for life: superblocks carry it.
	ID string `json:"id"`
	// Size of the data in bytes, a multiple of BlockSize.
	Size int64 `json:"size"`
	// BlockSize is what a mark stands for, in bytes; a power of two.
	BlockSize int `json:"block_size"`
	// ExtentSize is what an entry of the activity log stands for, in bytes; a
	// power of two.
	ExtentSize int         `json:"extent_size"`
	Epoch      VolumeEpoch `json:"epoch"`
	// Set is the version of the in-sync set: raised by each of its changes.
	Set uint64 `json:"set"`
	// Source is the copy that serves, by the generation of its node; 0: none.
	Source           Copy         `json:"source,omitempty"`
	SourceGeneration Generation   `json:"source_generation,omitempty"`
	Copies           []VolumeCopy `json:"copies"` // by number
	// WaitPrevious is how long a start that would lose unflushed or queued
	// writes waits for a copy that has them; 0: the default.
	WaitPrevious int `json:"wait_previous_seconds,omitempty"`
	// Unverified: the document came from a backup, and nobody knows which copy
	// is newest before all were seen.
	Unverified bool       `json:"unverified,omitempty"`
	Seen       []SeenCopy `json:"seen,omitempty"`
	// Since is the timeline entry of its last change.
	Since uint64 `json:"since,omitempty"`
}

// VolumeCopy is what one node holds of a volume.
type VolumeCopy struct {
	Number Copy   `json:"number"`
	Node   NodeID `json:"node"`
	// Device holds the data: a path on the node.
	Device string `json:"device"`
	// Meta holds the metadata; empty: the end of Device.
	Meta      string    `json:"meta,omitempty"`
	Mode      Mode      `json:"mode"`
	FullQueue FullQueue `json:"full_queue,omitempty"`
	Standing  Standing  `json:"standing"`
	// Blank: it was never equal to the others.
	Blank bool `json:"blank,omitempty"`
	// In and Out are the set versions at which it last entered and left the
	// set, or was added outside it. Marks for the copy mean something only if
	// they were kept since Out.
	In  uint64 `json:"in,omitempty"`
	Out uint64 `json:"out,omitempty"`
	// Fork is what the present source's copy had as Out when it was started in
	// spite of this one: this copy's own marks since then are what only it has.
	Fork uint64 `json:"fork,omitempty"`
	// Paused: a person stopped replication to it.
	Paused bool `json:"paused,omitempty"`
	// Full: a person asked for a copy of every block.
	Full bool `json:"full,omitempty"`
	// Suspect: it lost power with writes unflushed.
	Suspect bool `json:"suspect,omitempty"`
}

// SeenCopy is what the superblock of a copy said after a restore.
type SeenCopy struct {
	Copy    Copy        `json:"copy"`
	Epoch   VolumeEpoch `json:"epoch"`
	Set     uint64      `json:"set"`
	Members CopySet     `json:"members"`
}

// Volume finds a volume; nil if there is none.
func (s *State) Volume(name string) *Volume {
	for i := range s.Volumes {
		if s.Volumes[i].Name == name {
			return &s.Volumes[i]
		}
	}
	return nil
}

// VolumeByID finds a volume; nil if there is none.
func (s *State) VolumeByID(id string) *Volume {
	for i := range s.Volumes {
		if s.Volumes[i].ID == id {
			return &s.Volumes[i]
		}
	}
	return nil
}

// Copy finds a copy by its number; nil if there is none.
func (v *Volume) Copy(n Copy) *VolumeCopy {
	for i := range v.Copies {
		if v.Copies[i].Number == n {
			return &v.Copies[i]
		}
	}
	return nil
}

// CopyOn finds the copy of a node; nil if there is none.
func (v *Volume) CopyOn(id NodeID) *VolumeCopy {
	for i := range v.Copies {
		if v.Copies[i].Node == id {
			return &v.Copies[i]
		}
	}
	return nil
}

// Members is the in-sync set.
func (v *Volume) Members() (s CopySet) {
	for i := range v.Copies {
		if v.Copies[i].Standing == InSync {
			s = s.With(v.Copies[i].Number)
		}
	}
	return s
}

// Clone copies the volume deeply.
func (v *Volume) Clone() *Volume {
	c := *v
	c.Copies = append([]VolumeCopy(nil), v.Copies...)
	c.Seen = append([]SeenCopy(nil), v.Seen...)
	return &c
}
