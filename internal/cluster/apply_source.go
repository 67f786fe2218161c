package cluster

// The commands that decide who serves a volume, and which copies may.

func (s *State) acquireVolume(index uint64, c *Command, a *AcquireVolume) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	n := s.Node(cp.Node)
	switch {
	case v.Epoch != a.Previous:
		return refuse(RefusedVoid, "acquire: epoch changed")
	case v.Unverified:
		return refuse(RefusedUnverified, v.Name)
	case n == nil || n.Presence != Present || n.Generation != a.Generation:
		return refuse(RefusedNotPresent, s.NodeName(cp.Node), presence(n))
	case v.Source != 0 && (v.Source != a.Copy || v.SourceGeneration != a.Generation):
		return refuse(RefusedVolumeServing, v.Name, s.sourceName(v))
	}
	if r := s.mayServe(v, cp, a.AcceptLoss); r.Refused() {
		return r
	}
	v.Epoch.Counter++
	v.Source, v.SourceGeneration = a.Copy, a.Generation
	s.narrow(v, cp)
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonVolumeAcquired, v.Name, n.Name, v.Epoch))
}

func presence(n *Node) Presence {
	if n == nil {
		return Evicted
	}
	return n.Presence
}

// mayServe refuses a copy that is older than another, unless that loss is
// accepted and no better copy is at hand.
func (s *State) mayServe(v *Volume, cp *VolumeCopy, acceptLoss bool) Result {
	rank := copyRank(cp)
	switch {
	case rank == 0:
		return refuse(RefusedNotInSync, v.Name, s.NodeName(cp.Node), cp.Standing)
	case rank == rankSure:
		return Result{}
	case !acceptLoss && cp.Suspect:
		return refuse(RefusedSuspect, v.Name, s.NodeName(cp.Node))
	case !acceptLoss:
		return refuse(RefusedNotInSync, v.Name, s.NodeName(cp.Node), cp.Standing)
	}
	for i := range v.Copies {
		o := &v.Copies[i]
		if n := s.Node(o.Node); n != nil && n.Presence == Present && copyRank(o) > rank {
			return refuse(RefusedBetterCopy, v.Name, n.Name, s.NodeName(cp.Node))
		}
	}
	return Result{}
}

// The ranks of copies as sources.
const (
	rankFollowing = 1 // has all but a queue
	rankSuspect   = 2 // has all that was flushed
	rankSure      = 3 // has every acknowledged write
)

// copyRank says how good a source the copy would be; 0: none without force.
func copyRank(c *VolumeCopy) int {
	switch {
	case c.Standing == InSync && !c.Suspect:
		return rankSure
	case c.Standing == InSync:
		return rankSuspect
	case c.Standing == Following && !c.Suspect:
		return rankFollowing
	}
	return 0
}

// ServesAll is what [State.CopyServes] says of a copy with every acknowledged
// write.
const ServesAll = rankSure

// CopyServes says whether the node's copy may become the source, and what would
// be lost: 0 not without force, 1 what was queued, 2 what was not flushed,
// 3 nothing. No copy counts as 0.
func (s *State) CopyServes(v *Volume, id NodeID) int {
	if c := v.CopyOn(id); c != nil && !v.Unverified {
		return copyRank(c)
	}
	return 0
}

// narrow takes out of the set what can't be equal to the new source's copy from
// here on: copies of absent nodes, copies in async mode, and all if the new
// source itself was not sure.
func (s *State) narrow(v *Volume, source *VolumeCopy) {
	rank, since := copyRank(source), source.Out
	next := v.Set + 1
	changed := false
	for i := range v.Copies {
		o := &v.Copies[i]
		if o.Number == source.Number {
			continue
		}
		n := s.Node(o.Node)
		here := n != nil && (n.Presence == Present || n.Presence == Unmanaged)
		switch {
		case rank == rankFollowing && (o.Standing == InSync || o.Standing == Following):
			// It has what the new source lacks, which the mode permits to lose.
			o.Standing, o.Out, o.Fork = Behind, next, since
		case o.Standing == InSync && o.Mode == Async:
			o.Standing, o.Out = Following, next
		case o.Standing == InSync && !here:
			o.Standing, o.Out = Behind, next
		case o.Standing == Following:
			// Following whom? The source that it followed is gone.
			o.Standing = Behind
			continue
		default:
			continue
		}
		changed = true
	}
	if source.Standing != InSync {
		source.Standing, source.In, source.Fork = InSync, next, 0
		changed = true
	}
	source.Suspect = false
	if changed {
		v.Set = next
	}
}

func (s *State) releaseVolume(index uint64, c *Command, a *ReleaseVolume) Result {
	v := s.Volume(a.Name)
	if v == nil {
		return refuse(RefusedNoVolume, a.Name)
	}
	if v.Epoch != a.Epoch || v.Source == 0 {
		return refuse(RefusedVoid, "release: epoch changed")
	}
	node := v.Copy(v.Source).Node
	v.Source, v.SourceGeneration = 0, 0
	for i := range v.Copies {
		if o := &v.Copies[i]; o.Standing == Following && a.Drained.Has(o.Number) {
			v.Set++
			o.Standing, o.In, o.Fork = InSync, v.Set, 0
		}
	}
	return s.tellVolume(index, c, v, node, Because(ReasonVolumeReleased, v.Name, s.NodeName(node)))
}

// releaseSources ends the sources of a node whose generation is over.
func (s *State) releaseSources(id NodeID) {
	for i := range s.Volumes {
		v := &s.Volumes[i]
		if c := v.Copy(v.Source); c != nil && c.Node == id {
			v.Source, v.SourceGeneration = 0, 0
		}
	}
}

// ofSource refuses what names another epoch or set than the present source's.
func ofSource(v *Volume, e VolumeEpoch, set uint64) Result {
	if v.Source == 0 || v.Epoch != e || v.Set != set {
		return refuse(RefusedVoid, "in-sync set: epoch "+v.Epoch.String()+" or its set changed")
	}
	return Result{}
}

func (s *State) addInSync(index uint64, c *Command, a *AddInSync) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	if r := ofSource(v, a.Epoch, a.Set); r.Refused() {
		return r
	}
	if v.Source == a.Copy {
		return refuse(RefusedVoid, "in-sync set: the source's own copy")
	}
	if cp.Standing == Diverged {
		return refuse(RefusedNotInSync, v.Name, s.NodeName(cp.Node), cp.Standing)
	}
	v.Set++
	cp.Suspect, cp.Full, cp.Blank, cp.Fork = false, false, false, 0
	if cp.Mode == Async {
		cp.Standing = Following
		if cp.In == 0 {
			cp.In = v.Set
		}
	} else {
		cp.Standing, cp.In = InSync, v.Set
	}
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonCopyInSync, v.Name, s.NodeName(cp.Node), cp.Standing))
}

func (s *State) removeInSync(index uint64, c *Command, a *RemoveInSync) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	if r := ofSource(v, a.Epoch, a.Set); r.Refused() {
		return r
	}
	if v.Source == a.Copy {
		return refuse(RefusedVoid, "in-sync set: the source's own copy")
	}
	switch cp.Standing {
	case InSync:
		v.Set++
		cp.Standing, cp.Out = Behind, v.Set
	case Following:
		v.Set++
		cp.Standing = Behind // its marks go on since the same Out
	default:
		return refuse(RefusedVoid, "in-sync set: not in it")
	}
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonCopyBehind, v.Name, s.NodeName(cp.Node)))
}

func (s *State) suspectCopy(index uint64, c *Command, a *SuspectCopy) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	if v.Set != a.Set || v.Epoch != a.Epoch {
		return refuse(RefusedVoid, "suspect: the epoch or the set changed")
	}
	if cp.Suspect || cp.Standing != InSync && cp.Standing != Following {
		return Result{}
	}
	cp.Suspect = true
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonCopySuspect, v.Name, s.NodeName(cp.Node)))
}

func (s *State) forceVolume(index uint64, c *Command, a *ForceVolume) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	switch {
	case v.Epoch != a.Previous:
		return refuse(RefusedVoid, "force: epoch changed")
	case v.Source != 0:
		return refuse(RefusedVolumeServing, v.Name, s.sourceName(v))
	case cp.Blank:
		return refuse(RefusedNotInSync, v.Name, s.NodeName(cp.Node), "empty")
	case !v.Unverified && copyRank(cp) == rankSure:
		return refuse(RefusedForceNotNeeded, v.Name, s.NodeName(cp.Node))
	}
	since := cp.Out
	lineage := max(v.Epoch.Lineage, a.Knows.Lineage)
	if v.Unverified {
		// Copies that were not seen may know later lineages.
		lineage += unseenLineages
	}
	v.Set++
	for i := range v.Copies {
		o := &v.Copies[i]
		if o.Number == cp.Number || o.Blank {
			continue
		}
		if o.Standing == InSync || o.Standing == Following || v.Unverified {
			o.Standing, o.Fork, o.Out = Diverged, since, v.Set
		}
	}
	cp.Standing, cp.In, cp.Fork, cp.Suspect = InSync, v.Set, 0, false
	v.Epoch = VolumeEpoch{Lineage: lineage + 1}
	v.Unverified, v.Seen = false, nil
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonVolumeForced, v.Name, s.NodeName(cp.Node), v.Epoch.Lineage))
}

// unseenLineages is more than the forced starts that a backup can lack.
const unseenLineages = 1000

func (s *State) resolveVolume(index uint64, c *Command, a *ResolveVolume) Result {
	v, cp, r := s.volumeCopy(a.Name, a.Copy)
	if r.Refused() {
		return r
	}
	if cp.Standing != Diverged {
		return refuse(RefusedNotDiverged, v.Name, s.NodeName(cp.Node), cp.Standing)
	}
	cp.Standing = Behind
	return s.tellVolume(index, c, v, cp.Node, Because(ReasonVolumeResolved, v.Name, s.NodeName(cp.Node)))
}

// doubtVolumes: whatever the document says of copies may be old. Nobody serves
// before all copies were asked, or a person chose one.
func (s *State) doubtVolumes(index uint64, c *Command) Result {
	for i := range s.Volumes {
		v := &s.Volumes[i]
		v.Unverified, v.Seen = true, nil
		v.Source, v.SourceGeneration = 0, 0
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindVolume, Reason: Because(ReasonVolumesDoubted)})}
}

func (s *State) sawCopy(index uint64, c *Command, a *SawCopy) Result {
	v, _, r := s.volumeCopy(a.Name, a.Saw.Copy)
	if r.Refused() {
		return r
	}
	if !v.Unverified {
		return refuse(RefusedVoid, "saw: the volume is verified")
	}
	for i := range v.Seen {
		if v.Seen[i].Copy == a.Saw.Copy {
			v.Seen[i] = a.Saw
			return Result{}
		}
	}
	v.Seen = append(v.Seen, a.Saw)
	if !s.verify(v) {
		return Result{}
	}
	return s.tellVolume(index, c, v, 0, Because(ReasonVolumeVerified, v.Name))
}

// verify ends the doubt when every copy was seen: the newest superblock knows
// the set, because a source writes a new set there before it acts on it. A new
// lineage keeps out whatever still believes in the old document. It reports
// whether it ended the doubt.
func (s *State) verify(v *Volume) bool {
	if !v.Unverified || len(v.Seen) < len(v.Copies) {
		return false
	}
	newest := v.Seen[0]
	for _, o := range v.Seen[1:] {
		if newest.Epoch.Less(o.Epoch) || newest.Epoch == o.Epoch && newest.Set < o.Set {
			newest = o
		}
	}
	lineage := max(v.Epoch.Lineage, newest.Epoch.Lineage) + 1
	v.Set = max(v.Set, newest.Set) + 2
	for i := range v.Copies {
		o := &v.Copies[i]
		switch in := newest.Members.Has(o.Number); {
		case newest.Members == 0: // nobody ever served
		case in:
			o.Standing, o.In, o.Fork = InSync, v.Set, 0
		case o.Standing != Diverged:
			// Since when it is out nobody can tell: all marks are void.
			o.Standing, o.Out, o.Fork = Behind, v.Set-1, 0
		}
	}
	v.Epoch = VolumeEpoch{Lineage: lineage}
	v.Unverified, v.Seen = false, nil
	return true
}
