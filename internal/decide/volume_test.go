package decide

import (
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
)

func (th *theatre) volume(t *testing.T, name string, nodes []string) {
	for i, n := range nodes {
		c := cluster.VolumeCopy{Node: th.id(t, n), Device: "/dev/vdb"}
		if i == 0 {
			th.apply(cluster.Command{CreateVolume: &cluster.CreateVolume{Name: name, ID: "00112233445566778899aabbccddeeff", Size: 1 << 30, BlockSize: 4096, ExtentSize: 4 << 20, Copy: c}})
		} else {
			th.apply(cluster.Command{ExtendVolume: &cluster.ExtendVolume{Name: name, Copy: c}})
		}
	}
	th.apply(cluster.Command{SetResource: &cluster.SetResource{Hierarchy: "web", Name: "fs", Settings: map[string]string{"volume": name}, Claims: []string{cluster.VolumeClaim(name)}}})
}

func (th *theatre) acquire(_ *testing.T, name string, id cluster.NodeID) {
	v := th.s.Volume(name)
	th.apply(cluster.Command{AcquireVolume: &cluster.AcquireVolume{Name: name, Copy: v.CopyOn(id).Number, Generation: th.s.Node(id).Generation, Previous: v.Epoch}})
}

func (th *theatre) standing(_ *testing.T, what, name string, id cluster.NodeID) {
	v := th.s.Volume(name)
	c := v.CopyOn(id).Number
	if what == "in-sync" {
		th.apply(cluster.Command{AddInSync: &cluster.AddInSync{Name: name, Copy: c, Epoch: v.Epoch, Set: v.Set}})
	} else {
		th.apply(cluster.Command{RemoveInSync: &cluster.RemoveInSync{Name: name, Copy: c, Epoch: v.Epoch, Set: v.Set}})
	}
}
