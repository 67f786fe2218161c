package cluster

// StoreKind is a kind of shared storage.
type StoreKind string

const (
	// StoreDisk is a block device that all nodes see.
	StoreDisk StoreKind = "disk"
	// StoreFile is a file on a share (NFS, SMB).
	StoreFile StoreKind = "file"
	// StoreS3 is an object of an S3-compatible service.
	StoreS3 StoreKind = "s3"
)

// Storage says where the object of a storage witness is, and what the nodes
// found when they tried the store.
type Storage struct {
	// ID is random, given when the store was made: another store in its place
	// is refused.
	ID   string    `json:"id"`
	Kind StoreKind `json:"kind"`
	// Location is a path (disk, file) or a URL (s3), the same on every node.
	Location string `json:"location"`
	// Asked are the nodes that must try the store before it gets a vote.
	Asked []NodeID `json:"asked,omitempty"`
	// Tried is what they said.
	Tried []StoreTrial `json:"tried,omitempty"`
}

// StoreTrial is what one node found when it tried the store together with the
// others.
type StoreTrial struct {
	Node NodeID `json:"node"`
	// Refusal says why the store can't be used; empty: it can.
	Refusal Reason `json:"refusal,omitzero"`
}

// Proven reports whether every node that was asked found that the store keeps
// its word.
func (s *Storage) Proven() bool {
	if s == nil {
		return false
	}
	for _, id := range s.Asked {
		if t := s.Trial(id); t == nil || t.Refusal.Code != "" {
			return false
		}
	}
	return true
}

// Trial is what the node found; nil: it hasn't said yet.
func (s *Storage) Trial(id NodeID) *StoreTrial {
	for i := range s.Tried {
		if s.Tried[i].Node == id {
			return &s.Tried[i]
		}
	}
	return nil
}

func (s *State) addStorage(index uint64, c *Command, a *AddStorage) Result {
	switch {
	case !ValidName(a.Name):
		return refuse(RefusedBadName, a.Name)
	case s.NodeByName(a.Name) != nil:
		return refuse(RefusedNameTaken, a.Name)
	}
	st := &Storage{ID: a.ID, Kind: a.Kind, Location: a.Location}
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Role == RoleNode && n.Presence == Present {
			st.Asked = append(st.Asked, n.ID)
		}
	}
	id := s.NextID
	s.NextID++
	s.Nodes = append(s.Nodes, Node{ID: id, Name: a.Name, Role: RoleStorage, Presence: Joining, Storage: st})
	return Result{Node: id, Entry: s.tell(index, c, Entry{Kind: KindNodeAdded, Node: id})}
}

func (s *State) storeTried(index uint64, c *Command, a *StoreTried) Result {
	n := s.Node(a.Storage)
	if n == nil || n.Storage == nil {
		return refuse(RefusedUnknownNode, a.Storage)
	}
	if n.Storage.Trial(a.Trial.Node) != nil {
		return Result{} // it was said already
	}
	n.Storage.Tried = append(n.Storage.Tried, a.Trial)
	return Result{Entry: s.tell(index, c, Entry{Kind: KindStoreTried, Node: a.Storage, Reason: a.Trial.Refusal})}
}
