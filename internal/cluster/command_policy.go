package cluster

// Confirm answers whether the failover that Entry took a hierarchy to may go on.
// A person does, or the leader when the time is over.
type Confirm struct {
	Hierarchy string `json:"hierarchy"`
	Entry     uint64 `json:"entry"`
	Answer    Answer `json:"answer"`
}

// Forget drops what is long past: the falls of a node or the moves of a
// hierarchy that Entries name. Release ends the quarantine that began with it;
// All is a person's word that the past of a node doesn't count any more.
type Forget struct {
	Node      NodeID   `json:"node,omitempty"`
	Hierarchy string   `json:"hierarchy,omitempty"`
	Entries   []uint64 `json:"entries,omitempty"`
	Release   uint64   `json:"release,omitempty"`
	All       bool     `json:"all,omitempty"`
}

// Extend asks for a node to be added to those of a hierarchy, at a place of its
// order (negative: the last), if everything could be brought in service there.
type Extend struct {
	Hierarchy string `json:"hierarchy"`
	Node      NodeID `json:"node"`
	At        int    `json:"at"`
}

// Extended says what came of it: the node looked at the resources as they were
// when the hierarchy's Changed was Seen.
type Extended struct {
	Hierarchy string `json:"hierarchy"`
	Node      NodeID `json:"node"`
	Entry     uint64 `json:"entry"` // that asked for it
	OK        bool   `json:"ok"`
	Seen      uint64 `json:"seen,omitempty"`
}

// Unextend takes a node from those of a hierarchy.
type Unextend struct {
	Hierarchy string `json:"hierarchy"`
	Node      NodeID `json:"node"`
}

// SetDependency makes Parent depend on Child, or ends that.
type SetDependency struct {
	Hierarchy string `json:"hierarchy"`
	Parent    string `json:"parent"`
	Child     string `json:"child"`
	On        bool   `json:"on"`
}
