package cluster

// CreateVolume makes a volume with its first copy, which is in-sync by
// definition.
type CreateVolume struct {
	Name       string     `json:"name"`
	ID         string     `json:"id"` // 32 hex digits, drawn by the proposer
	Size       int64      `json:"size"`
	BlockSize  int        `json:"block_size"`
	ExtentSize int        `json:"extent_size"`
	Copy       VolumeCopy `json:"copy"` // Node, Device, Meta, Mode, FullQueue
}

// DeleteVolume forgets a volume that has no source and that no resource names.
// The data on its devices stay.
type DeleteVolume struct {
	Name string `json:"name"`
	ID   string `json:"id"`
}

// ExtendVolume adds a copy, which is behind. Equal: a person states that the
// device already holds the same data; only while the volume has no source.
type ExtendVolume struct {
	Name  string     `json:"name"`
	Copy  VolumeCopy `json:"copy"` // Node, Device, Meta, Mode, FullQueue
	Equal bool       `json:"equal,omitempty"`
}

// UnextendVolume takes a copy out of the volume.
type UnextendVolume struct {
	Name string `json:"name"`
	Copy Copy   `json:"copy"`
}

// AcquireVolume makes a copy the source under a new epoch. Void unless Previous
// is the volume's epoch and the node is present under the generation. Copies on
// nodes that are not present leave the set with it.
type AcquireVolume struct {
	Name       string      `json:"name"`
	Copy       Copy        `json:"copy"`
	Generation Generation  `json:"generation"`
	Previous   VolumeEpoch `json:"previous"`
	// AcceptLoss permits a copy that is following, or suspect, when no better
	// one is present: acknowledged writes may be lost.
	AcceptLoss bool `json:"accept_loss,omitempty"`
}

// ReleaseVolume gives up the source role: nothing is served and nothing is
// under way. Drained are the async copies whose queues are empty: they are
// equal.
type ReleaseVolume struct {
	Name    string      `json:"name"`
	Epoch   VolumeEpoch `json:"epoch"`
	Drained CopySet     `json:"drained,omitempty"`
}

// AddInSync says that a copy has everything. Void unless Epoch and Set are the
// volume's and its source still lives.
type AddInSync struct {
	Name  string      `json:"name"`
	Copy  Copy        `json:"copy"`
	Epoch VolumeEpoch `json:"epoch"`
	Set   uint64      `json:"set"`
}

// RemoveInSync lets the source go on without a copy. The same conditions.
type RemoveInSync struct {
	Name  string      `json:"name"`
	Copy  Copy        `json:"copy"`
	Epoch VolumeEpoch `json:"epoch"`
	Set   uint64      `json:"set"`
}

// SuspectCopy says of an in-sync copy that it may have lost unflushed writes.
// Void if Epoch or Set moved on.
type SuspectCopy struct {
	Name  string      `json:"name"`
	Copy  Copy        `json:"copy"`
	Epoch VolumeEpoch `json:"epoch"`
	Set   uint64      `json:"set"`
}

// ForceVolume begins a new lineage with a copy that is not known to have every
// acknowledged write. Void unless Previous is the volume's epoch; refused while
// a source lives.
type ForceVolume struct {
	Name     string      `json:"name"`
	Copy     Copy        `json:"copy"`
	Previous VolumeEpoch `json:"previous"`
	// Knows is the epoch in the copy's superblock: later than the document's
	// if that came from a backup.
	Knows VolumeEpoch `json:"knows,omitzero"`
}

// ResolveVolume gives up what only a diverged copy has.
type ResolveVolume struct {
	Name string `json:"name"`
	Copy Copy   `json:"copy"`
}

// SetCopy changes what is set and leaves the rest.
type SetCopy struct {
	Name      string     `json:"name"`
	Copy      Copy       `json:"copy"`
	Mode      *Mode      `json:"mode,omitempty"`
	FullQueue *FullQueue `json:"full_queue,omitempty"`
	Paused    *bool      `json:"paused,omitempty"`
	// Full asks for a copy of every block.
	Full *bool `json:"full,omitempty"`
}

// DoubtVolumes says that the document came from a backup: volumes may have
// gone on since.
type DoubtVolumes struct{}

// SawCopy says what the superblock of a copy of an unverified volume knows.
type SawCopy struct {
	Name string   `json:"name"`
	Saw  SeenCopy `json:"saw"`
}
