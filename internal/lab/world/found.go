package world

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// found makes the cluster: the first node's disk holds it, the others are in it
// from the start.
func (w *World) found() {
	total := w.cfg.Nodes + w.cfg.Witnesses
	first := cluster.AddNode{Name: "n1", Role: cluster.RoleNode}
	s := cluster.New("sim", "sim", first, 0)
	s.Detection, s.Ceiling = w.cfg.Detection, w.cfg.Detection
	for i := range total {
		n := &node{w: w, idx: i, id: cluster.NodeID(i + 1), name: fmt.Sprintf("n%d", i+1), role: cluster.RoleNode}
		if i >= w.cfg.Nodes {
			n.role = cluster.RoleWitness
			n.name = fmt.Sprintf("w%d", i+1-w.cfg.Nodes)
		}
		n.clock.rate = 1 + (w.rand.Float64()-0.5)*0.0098 // within 1 % of each other
		n.disk.latency = time.Millisecond
		n.kits = newKits(w.cfg.Hierarchies)
		w.nodes = append(w.nodes, n)
		if i > 0 {
			s.Nodes = append(s.Nodes, cluster.Node{ID: n.id, Name: n.name, Role: n.role, Presence: cluster.Joining})
			if len(s.Voters) < cluster.MaxVoters {
				s.Voters = append(s.Voters, n.id)
			} else {
				s.Learners = append(s.Learners, n.id)
			}
		}
	}
	s.NextID = cluster.NodeID(total + 1)
	for range w.cfg.Stores {
		id := s.NextID
		s.NextID++
		name := fmt.Sprintf("s%d", int(id)-total)
		s.Nodes = append(s.Nodes, cluster.Node{ID: id, Name: name, Role: cluster.RoleStorage, Presence: cluster.Joining,
			Storage: &cluster.Storage{ID: name, Kind: cluster.StoreDisk, Location: "/dev/" + name}})
		if len(s.Voters)%2 == 0 {
			s.Voters = append(s.Voters, id)
		} else {
			s.Learners = append(s.Learners, id) // votes are odd
		}
		w.stores = append(w.stores, &store{w: w, voter: id, latency: storeLatency, reach: make([]reach, total)})
	}
	for h := range w.cfg.Hierarchies {
		var ids []cluster.NodeID
		for i := range w.cfg.Nodes {
			ids = append(ids, cluster.NodeID((i+h)%w.cfg.Nodes+1))
		}
		s.Hierarchies = append(s.Hierarchies, cluster.Hierarchy{
			Name: fmt.Sprintf("h%d", h+1), Nodes: ids, Want: cluster.WantInService, Class: cluster.SelfGuarding,
			Status: cluster.OutOfService,
			Resources: []cluster.Resource{
				{Name: "address", Kit: "ip", Status: cluster.OutOfService},
				{Name: "server", Kit: "process", DependsOn: []string{"address"}, Status: cluster.OutOfService},
			},
		})
	}
	snap := Genesis(s)
	for _, st := range w.stores {
		store := core.StoreID{Cluster: s.Cluster, Lineage: s.Lineage, Store: s.Node(st.voter).Name}
		st.versions = [][]byte{core.ObjectFor(store, st.voter, s)}
	}
	for _, n := range w.nodes {
		n.disk.hard = &raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(1)), Vote: new(uint64(0))}
		n.disk.snapshot = snap
		n.powerOn()
	}
}

// Genesis is the snapshot that a new cluster begins with.
func Genesis(s *cluster.State) *raftpb.Snapshot { return core.Genesis(s).Snapshot }
