package cluster

import (
	"cmp"
	"slices"
)

// Codes of volumes. Their texts are in the message catalogue.
const (
	RefusedNoVolume       = "PD8301" // volume {0}
	RefusedVolumeExists   = "PD8302" // volume {0}
	RefusedVolumeForm     = "PD8303" // volume {0}: {1}
	RefusedNoCopy         = "PD8304" // volume {0} has no copy on {1}
	RefusedHasCopy        = "PD8305" // node {0} has a copy of {1}
	RefusedDeviceUsed     = "PD8306" // {0} on node {1} is used by volume {2}
	RefusedVolumeServing  = "PD8307" // volume {0} is served by node {1}
	RefusedVolumeNeeded   = "PD8308" // volume {0} is used by resource {1}
	RefusedLastCopy       = "PD8309" // node {0} has the last in-sync copy of {1}
	RefusedNotInSync      = "PD8310" // the copy of {0} on node {1} is {2}
	RefusedSuspect        = "PD8311" // the copy of {0} on node {1} lost power with unflushed writes
	RefusedBetterCopy     = "PD8312" // volume {0}: node {1} has a better copy than node {2}
	RefusedUnverified     = "PD8313" // volume {0} is unverified
	RefusedNotDiverged    = "PD8314" // the copy of {0} on node {1} is {2}
	RefusedTooManyCopies  = "PD8315" // volume {0}: {1} copies at most
	RefusedForceNotNeeded = "PD8316" // volume {0}: node {1} can start without force
	ReasonVolumeCreated   = "PD8317" // volume {0} created on node {1}
	ReasonVolumeDeleted   = "PD8318" // volume {0} deleted
	ReasonVolumeExtended  = "PD8319" // volume {0} extended to node {1}
	ReasonVolumeReduced   = "PD8320" // volume {0} no longer on node {1}
	ReasonVolumeAcquired  = "PD8321" // node {1} serves volume {0} under epoch {2}
	ReasonVolumeReleased  = "PD8322" // node {1} stopped serving volume {0}
	ReasonCopyInSync      = "PD8323" // the copy of {0} on node {1} is {2}
	ReasonCopyBehind      = "PD8324" // the copy of {0} on node {1} left the in-sync set
	ReasonCopySuspect     = "PD8325" // the copy of {0} on node {1} lost power
	ReasonVolumeForced    = "PD8326" // volume {0}: node {1} starts lineage {2}
	ReasonVolumeResolved  = "PD8327" // volume {0}: changes of node {1} given up
	ReasonCopySet         = "PD8328" // the copy of {0} on node {1}: {2}
	ReasonVolumesDoubted  = "PD8329" // the document is from a backup
	ReasonVolumeVerified  = "PD8330" // volume {0}: all copies were seen
)

// applyVolume carries out the commands about volumes; done is false for others.
func (s *State) applyVolume(index uint64, c *Command) (r Result, done bool) {
	switch {
	case c.CreateVolume != nil:
		return s.createVolume(index, c, c.CreateVolume), true
	case c.DeleteVolume != nil:
		return s.deleteVolume(index, c, c.DeleteVolume), true
	case c.ExtendVolume != nil:
		return s.extendVolume(index, c, c.ExtendVolume), true
	case c.UnextendVolume != nil:
		return s.unextendVolume(index, c, c.UnextendVolume), true
	case c.AcquireVolume != nil:
		return s.acquireVolume(index, c, c.AcquireVolume), true
	case c.ReleaseVolume != nil:
		return s.releaseVolume(index, c, c.ReleaseVolume), true
	case c.AddInSync != nil:
		return s.addInSync(index, c, c.AddInSync), true
	case c.RemoveInSync != nil:
		return s.removeInSync(index, c, c.RemoveInSync), true
	case c.SuspectCopy != nil:
		return s.suspectCopy(index, c, c.SuspectCopy), true
	case c.ForceVolume != nil:
		return s.forceVolume(index, c, c.ForceVolume), true
	case c.ResolveVolume != nil:
		return s.resolveVolume(index, c, c.ResolveVolume), true
	case c.SetCopy != nil:
		return s.setCopy(index, c, c.SetCopy), true
	case c.DoubtVolumes != nil:
		return s.doubtVolumes(index, c), true
	case c.SawCopy != nil:
		return s.sawCopy(index, c, c.SawCopy), true
	}
	return Result{}, false
}

// tellVolume puts a change of a volume into the timeline.
func (s *State) tellVolume(index uint64, c *Command, v *Volume, node NodeID, why Reason) Result {
	if c.Reason.Code != "" {
		why = c.Reason
	}
	v.Since = s.tell(index, c, Entry{Kind: KindVolume, Volume: v.Name, Node: node, Reason: why})
	return Result{Entry: v.Since}
}

func powerOfTwo(n int) bool { return n > 0 && n&(n-1) == 0 }

func (s *State) createVolume(index uint64, c *Command, a *CreateVolume) Result {
	switch {
	case !ValidName(a.Name):
		return refuse(RefusedBadName, a.Name)
	case s.Volume(a.Name) != nil:
		return refuse(RefusedVolumeExists, a.Name)
	case len(a.ID) != 32 || s.VolumeByID(a.ID) != nil:
		return refuse(RefusedVolumeForm, a.Name, "id")
	case !powerOfTwo(a.BlockSize) || a.BlockSize < 512 || a.BlockSize > 1<<20:
		return refuse(RefusedVolumeForm, a.Name, "block size")
	case !powerOfTwo(a.ExtentSize) || a.ExtentSize < a.BlockSize || a.ExtentSize > 1<<30:
		return refuse(RefusedVolumeForm, a.Name, "extent size")
	case a.Size <= 0 || a.Size%int64(a.BlockSize) != 0:
		return refuse(RefusedVolumeForm, a.Name, "size")
	}
	if r := s.newCopy(a.Name, &a.Copy); r.Refused() {
		return r
	}
	first := a.Copy.bare(1)
	first.Standing, first.In = InSync, 1
	s.Volumes = append(s.Volumes, Volume{
		Name: a.Name, ID: a.ID, Size: a.Size, BlockSize: a.BlockSize, ExtentSize: a.ExtentSize,
		Epoch: VolumeEpoch{Lineage: 1}, Set: 1, Copies: []VolumeCopy{first},
	})
	slices.SortFunc(s.Volumes, func(x, y Volume) int { return cmp.Compare(x.Name, y.Name) })
	v := s.Volume(a.Name)
	return s.tellVolume(index, c, v, first.Node, Because(ReasonVolumeCreated, v.Name, s.NodeName(first.Node)))
}

// bare is a new copy as a command may describe it.
func (c *VolumeCopy) bare(n Copy) VolumeCopy {
	b := VolumeCopy{Number: n, Node: c.Node, Device: c.Device, Meta: c.Meta, Mode: c.Mode, FullQueue: c.FullQueue, Standing: Behind}
	if b.Mode == "" {
		b.Mode = Sync
	}
	if b.FullQueue == "" {
		b.FullQueue = PauseWhenFull
	}
	return b
}

// newCopy says whether a node may get such a copy.
func (s *State) newCopy(volume string, c *VolumeCopy) Result {
	n := s.Node(c.Node)
	switch {
	case n == nil:
		return refuse(RefusedUnknownNode, c.Node)
	case n.Role != RoleNode:
		return refuse(RefusedWitness, n.Name)
	case c.Device == "" || c.Device == c.Meta:
		return refuse(RefusedVolumeForm, volume, "device")
	case c.Mode != "" && c.Mode != Sync && c.Mode != Async:
		return refuse(RefusedVolumeForm, volume, "mode")
	case c.FullQueue != "" && c.FullQueue != PauseWhenFull && c.FullQueue != HoldWhenFull:
		return refuse(RefusedVolumeForm, volume, "full queue")
	}
	for i := range s.Volumes {
		for _, o := range s.Volumes[i].Copies {
			if o.Node != c.Node {
				continue
			}
			for _, mine := range []string{c.Device, c.Meta} {
				if mine != "" && (mine == o.Device || mine == o.Meta) {
					return refuse(RefusedDeviceUsed, mine, n.Name, s.Volumes[i].Name)
				}
			}
		}
	}
	return Result{}
}

func (s *State) deleteVolume(index uint64, c *Command, a *DeleteVolume) Result {
	v := s.Volume(a.Name)
	if v == nil || v.ID != a.ID {
		return refuse(RefusedNoVolume, a.Name)
	}
	if v.Source != 0 {
		return refuse(RefusedVolumeServing, v.Name, s.sourceName(v))
	}
	if user := s.volumeUser(v.Name); user != "" {
		return refuse(RefusedVolumeNeeded, v.Name, user)
	}
	s.Volumes = slices.DeleteFunc(s.Volumes, func(o Volume) bool { return o.Name == a.Name })
	e := s.tell(index, c, Entry{Kind: KindVolume, Volume: a.Name, Reason: Because(ReasonVolumeDeleted, a.Name)})
	return Result{Entry: e}
}

// VolumeClaim is the claim of the one resource that may use a volume.
func VolumeClaim(name string) string { return "volume " + name }

// volumeUser is the resource that uses the volume, or "".
func (s *State) volumeUser(name string) string {
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		for j := range h.Resources {
			if slices.Contains(h.Resources[j].Claims, VolumeClaim(name)) {
				return h.Name + "/" + h.Resources[j].Name
			}
		}
	}
	return ""
}

func (s *State) sourceName(v *Volume) string {
	if c := v.Copy(v.Source); c != nil {
		return s.NodeName(c.Node)
	}
	return ""
}

func (s *State) extendVolume(index uint64, c *Command, a *ExtendVolume) Result {
	v := s.Volume(a.Name)
	if v == nil {
		return refuse(RefusedNoVolume, a.Name)
	}
	if v.CopyOn(a.Copy.Node) != nil {
		return refuse(RefusedHasCopy, s.NodeName(a.Copy.Node), v.Name)
	}
	if r := s.newCopy(a.Name, &a.Copy); r.Refused() {
		return r
	}
	if a.Equal && v.Source != 0 {
		return refuse(RefusedVolumeServing, v.Name, s.sourceName(v))
	}
	number := Copy(1)
	for v.Copy(number) != nil {
		number++
	}
	if number > MaxCopies {
		return refuse(RefusedTooManyCopies, v.Name, MaxCopies)
	}
	n := a.Copy.bare(number)
	v.Set++
	n.Out, n.Blank = v.Set, !a.Equal
	v.Copies = append(v.Copies, n)
	slices.SortFunc(v.Copies, func(x, y VolumeCopy) int { return cmp.Compare(x.Number, y.Number) })
	return s.tellVolume(index, c, v, n.Node, Because(ReasonVolumeExtended, v.Name, s.NodeName(n.Node)))
}

func (s *State) unextendVolume(index uint64, c *Command, a *UnextendVolume) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	if v.Source == a.Copy {
		return refuse(RefusedVolumeServing, v.Name, s.sourceName(v))
	}
	if v.Members().Without(a.Copy) == 0 {
		return refuse(RefusedLastCopy, s.NodeName(cp.Node), v.Name)
	}
	node := cp.Node
	if cp.Standing == InSync {
		v.Set++
	}
	v.Copies = slices.DeleteFunc(v.Copies, func(o VolumeCopy) bool { return o.Number == a.Copy })
	v.Seen = slices.DeleteFunc(v.Seen, func(o SeenCopy) bool { return o.Copy == a.Copy })
	res := s.tellVolume(index, c, v, node, Because(ReasonVolumeReduced, v.Name, s.NodeName(node)))
	s.verify(v)
	return res
}

func (s *State) volumeCopy(name string, n Copy) (*Volume, *VolumeCopy, Result) {
	v := s.Volume(name)
	if v == nil {
		return nil, nil, refuse(RefusedNoVolume, name)
	}
	cp := v.Copy(n)
	if cp == nil {
		return nil, nil, refuse(RefusedNoCopy, name, n)
	}
	return v, cp, Result{}
}

func (s *State) setCopy(index uint64, c *Command, a *SetCopy) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	if a.Mode != nil && *a.Mode != Sync && *a.Mode != Async {
		return refuse(RefusedVolumeForm, a.Name, "mode")
	}
	if a.FullQueue != nil && *a.FullQueue != PauseWhenFull && *a.FullQueue != HoldWhenFull {
		return refuse(RefusedVolumeForm, a.Name, "full queue")
	}
	what := "settings"
	if a.Mode != nil && cp.Mode != *a.Mode {
		cp.Mode = *a.Mode
		what = string(cp.Mode)
		if cp.Mode == Async && cp.Standing == InSync && v.Source != 0 && v.Source != cp.Number {
			v.Set++
			cp.Standing, cp.Out = Following, v.Set
		}
	}
	if a.FullQueue != nil {
		cp.FullQueue = *a.FullQueue
	}
	if a.Paused != nil {
		cp.Paused = *a.Paused
		what = map[bool]string{true: "paused", false: "resumed"}[cp.Paused]
	}
	if a.Full != nil {
		if *a.Full && (cp.Standing == InSync || cp.Standing == Diverged) {
			return refuse(RefusedNotDiverged, v.Name, s.NodeName(cp.Node), cp.Standing)
		}
		cp.Full = *a.Full
		what = "full resync"
	}
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonCopySet, v.Name, s.NodeName(cp.Node), what))
}
