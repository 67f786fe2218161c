package cluster

import "strconv"

// NodeID is the raft id of a voter or learner. An id is given once by the
// cluster and never again: a node whose local state was lost or went back
// returns under a new one. Zero is no node.
type NodeID uint64

func (id NodeID) String() string { return "n" + strconv.FormatUint(uint64(id), 10) }

// Generation counts the boots of a node, as given by its committed Admit.
// A lease, and everything done under it, belongs to one generation.
// Zero is no generation: the node was never admitted.
type Generation uint64

// Epoch counts the assignments of a hierarchy to a node. Whoever acts for a
// hierarchy names the epoch under which it does.
type Epoch uint64
