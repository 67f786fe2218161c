package cluster

import "testing"

const testVolumeID = "00112233445566778899aabbccddeeff"

func createVolume() Command {
	return Command{CreateVolume: &CreateVolume{Name: "data", ID: testVolumeID, Size: 1 << 30, BlockSize: 4096, ExtentSize: 4 << 20,
		Copy: VolumeCopy{Node: 1, Device: "/dev/vdb"}}}
}

func extendVolume(n NodeID, mode Mode) Command {
	return Command{ExtendVolume: &ExtendVolume{Name: "data", Copy: VolumeCopy{Node: n, Device: "/dev/vdb", Mode: mode}}}
}

func acquire(c Copy, counter uint64, loss bool) Command {
	return Command{AcquireVolume: &AcquireVolume{Name: "data", Copy: c, Generation: 1, Previous: VolumeEpoch{1, counter}, AcceptLoss: loss}}
}

func addInSync(c Copy, counter, set uint64) Command {
	return Command{AddInSync: &AddInSync{Name: "data", Copy: c, Epoch: VolumeEpoch{1, counter}, Set: set}}
}

func removeInSync(c Copy, counter, set uint64) Command {
	return Command{RemoveInSync: &RemoveInSync{Name: "data", Copy: c, Epoch: VolumeEpoch{1, counter}, Set: set}}
}

// mirrored is a volume that node a serves under epoch 1.1 with b in-sync: set
// version 3.
func mirrored(more ...Command) []Command {
	return append([]Command{createVolume(), extendVolume(2, Sync), acquire(1, 0, false), addInSync(2, 1, 2)}, more...)
}

func standing(n Copy, want Standing, set uint64) func(*testing.T, *State, Result) {
	return func(t *testing.T, s *State, _ Result) {
		v := s.Volume("data")
		if got := v.Copy(n).Standing; got != want || v.Set != set {
			t.Errorf("copy %d is %s under set %d, want %s under %d", n, got, v.Set, want, set)
		}
	}
}

func TestVolumeLife(t *testing.T) {
	reportedStopped := Command{ReleaseVolume: &ReleaseVolume{Name: "data", Epoch: VolumeEpoch{1, 1}}}
	play(t, []step{
		{name: "created", cmd: createVolume(), check: standing(1, InSync, 1)},
		{name: "twice", given: []Command{createVolume()}, cmd: createVolume(), refused: RefusedVolumeExists},
		{name: "size that isn't blocks", cmd: Command{CreateVolume: &CreateVolume{Name: "data", ID: testVolumeID, Size: 1000, BlockSize: 4096, ExtentSize: 1 << 22,
			Copy: VolumeCopy{Node: 1, Device: "/dev/vdb"}}}, refused: RefusedVolumeForm},
		{name: "on a witness", given: []Command{createVolume()}, cmd: extendVolume(4, Sync), refused: RefusedWitness},
		{name: "a second copy on a node", given: []Command{createVolume()}, cmd: extendVolume(1, Sync), refused: RefusedHasCopy},
		{name: "two volumes on a device", given: []Command{createVolume()}, cmd: Command{CreateVolume: &CreateVolume{Name: "log",
			ID: "ff112233445566778899aabbccddeeff", Size: 1 << 20, BlockSize: 4096, ExtentSize: 1 << 20, Copy: VolumeCopy{Node: 1, Device: "/dev/vdb"}}}, refused: RefusedDeviceUsed},
		{name: "equal while it is served", given: []Command{createVolume(), acquire(1, 0, false)}, refused: RefusedVolumeServing,
			cmd: Command{ExtendVolume: &ExtendVolume{Name: "data", Copy: VolumeCopy{Node: 2, Device: "/dev/vdb"}, Equal: true}}},
		{name: "equal at rest", given: []Command{createVolume()}, cmd: Command{ExtendVolume: &ExtendVolume{Name: "data", Copy: VolumeCopy{Node: 2, Device: "/dev/vdb"}, Equal: true}},
			check: func(t *testing.T, s *State, _ Result) {
				if c := s.Volume("data").Copy(2); c.Standing != Behind || c.Out != 2 || c.Blank {
					t.Errorf("%+v", c)
				}
			}},
		{name: "the last in-sync copy stays", given: []Command{createVolume(), extendVolume(2, Sync)}, cmd: Command{UnextendVolume: &UnextendVolume{Name: "data", Copy: 1}}, refused: RefusedLastCopy},
		{name: "the source's copy stays", given: mirrored(), cmd: Command{UnextendVolume: &UnextendVolume{Name: "data", Copy: 1}}, refused: RefusedVolumeServing},
		{name: "a target leaves the volume", given: mirrored(), cmd: Command{UnextendVolume: &UnextendVolume{Name: "data", Copy: 2}}, check: standing(1, InSync, 4)},
		{name: "deleted while served", given: mirrored(), cmd: Command{DeleteVolume: &DeleteVolume{Name: "data", ID: testVolumeID}}, refused: RefusedVolumeServing},
		{name: "deleted while a resource needs it", given: []Command{createVolume(), {CreateResource: &CreateResource{Hierarchy: "web",
			Resource: Resource{Name: "disk", Kit: "volume", Claims: []string{VolumeClaim("data")}}}}},
			cmd: Command{DeleteVolume: &DeleteVolume{Name: "data", ID: testVolumeID}}, refused: RefusedVolumeNeeded},
		{name: "deleted", given: mirrored(reportedStopped), cmd: Command{DeleteVolume: &DeleteVolume{Name: "data", ID: testVolumeID}},
			check: func(t *testing.T, s *State, _ Result) {
				if s.Volume("data") != nil {
					t.Error("it is still there")
				}
			}},
		{name: "a node with a copy stays in the cluster", given: []Command{createVolume()}, cmd: acquire(1, 0, false), check: func(t *testing.T, s *State, _ Result) {
			if r := s.CheckMember(&Member{Node: 1, As: AsNothing}); r.Refusal.Code != RefusedHasCopy {
				t.Errorf("%+v", r)
			}
		}},
	})
}

func TestVolumeSource(t *testing.T) {
	play(t, []step{
		{name: "two sources", given: mirrored(), cmd: acquire(2, 1, false), refused: RefusedVolumeServing},
		{name: "the same again gets a new epoch", given: mirrored(), cmd: acquire(1, 1, false), check: func(t *testing.T, s *State, _ Result) {
			if v := s.Volume("data"); v.Epoch != (VolumeEpoch{1, 2}) || v.Source != 1 {
				t.Errorf("%+v", v)
			}
		}},
		{name: "after the eviction, without the evicted copy", given: mirrored(evict(1)), cmd: acquire(2, 1, false), check: func(t *testing.T, s *State, _ Result) {
			if v := s.Volume("data"); v.Source != 2 || v.Members() != CopiesOf(2) || v.Copy(1).Out != 4 {
				t.Errorf("%+v", v)
			}
		}},
		{name: "behind", given: []Command{createVolume(), extendVolume(2, Sync)}, cmd: acquire(2, 0, true), refused: RefusedNotInSync},
		{name: "an old epoch", given: mirrored(evict(1)), cmd: acquire(2, 0, false), refused: RefusedVoid},
		{name: "an old generation", given: mirrored(evict(1)), cmd: acquire(1, 1, false), refused: RefusedNotPresent},
		{name: "a late add", given: mirrored(acquire(1, 1, false)), cmd: addInSync(2, 1, 3), refused: RefusedVoid},
		{name: "a late removal by an evicted source", given: mirrored(evict(1)), cmd: removeInSync(2, 1, 3), refused: RefusedVoid},
		{name: "removed", given: mirrored(), cmd: removeInSync(2, 1, 3), check: standing(2, Behind, 4)},
		{name: "the source itself", given: mirrored(), cmd: removeInSync(1, 1, 3), refused: RefusedVoid},
		{name: "suspect", given: mirrored(Command{SuspectCopy: &SuspectCopy{Name: "data", Copy: 2, Epoch: VolumeEpoch{1, 1}, Set: 3}}, evict(1)), cmd: acquire(2, 1, false), refused: RefusedSuspect},
		{name: "suspect, while the other one is here", given: mirrored(Command{SuspectCopy: &SuspectCopy{Name: "data", Copy: 2, Epoch: VolumeEpoch{1, 1}, Set: 3}},
			Command{ReleaseVolume: &ReleaseVolume{Name: "data", Epoch: VolumeEpoch{1, 1}}}), cmd: acquire(2, 1, true), refused: RefusedBetterCopy},
		{name: "suspect, accepted", given: mirrored(Command{SuspectCopy: &SuspectCopy{Name: "data", Copy: 2, Epoch: VolumeEpoch{1, 1}, Set: 3}}, evict(1)), cmd: acquire(2, 1, true), check: standing(2, InSync, 4)},
		{name: "async doesn't take over by itself", given: []Command{createVolume(), extendVolume(2, Async), acquire(1, 0, false), addInSync(2, 1, 2), evict(1)},
			cmd: acquire(2, 1, false), refused: RefusedNotInSync},
		{name: "async, accepted: the old source forked", given: []Command{createVolume(), extendVolume(2, Async), acquire(1, 0, false), addInSync(2, 1, 2), evict(1)},
			cmd: acquire(2, 1, true), check: func(t *testing.T, s *State, _ Result) {
				if a := s.Volume("data").Copy(1); a.Standing != Behind || a.Fork != 2 {
					t.Errorf("%+v", a)
				}
			}},
		{name: "async, drained by a release, is equal", given: []Command{createVolume(), extendVolume(2, Async), acquire(1, 0, false), addInSync(2, 1, 2),
			{ReleaseVolume: &ReleaseVolume{Name: "data", Epoch: VolumeEpoch{1, 1}, Drained: CopiesOf(2)}}},
			cmd: acquire(2, 1, false), check: standing(1, InSync, 4)},
	})
}

func TestVolumeForced(t *testing.T) {
	force := Command{ForceVolume: &ForceVolume{Name: "data", Copy: 2, Previous: VolumeEpoch{1, 1}}}
	alone := mirrored(removeInSync(2, 1, 3), evict(1))
	play(t, []step{
		{name: "while a source lives", given: mirrored(removeInSync(2, 1, 3)), cmd: force, refused: RefusedVolumeServing},
		{name: "not needed", given: mirrored(evict(1)), cmd: force, refused: RefusedForceNotNeeded},
		{name: "a new lineage, and the other one diverged", given: alone, cmd: force, check: func(t *testing.T, s *State, _ Result) {
			v := s.Volume("data")
			if a := v.Copy(1); v.Epoch != (VolumeEpoch{2, 0}) || a.Standing != Diverged || a.Fork != 4 || v.Members() != CopiesOf(2) {
				t.Errorf("%+v", v)
			}
		}},
		{name: "the old source can't come back", given: append(alone, force, Command{Admit: &Admit{Node: 1, Session: "a2", Previous: 1}}),
			cmd:     Command{AcquireVolume: &AcquireVolume{Name: "data", Copy: 1, Generation: 2, Previous: VolumeEpoch{2, 0}, AcceptLoss: true}},
			refused: RefusedNotInSync},
		{name: "resolved", given: append(alone, force), cmd: Command{ResolveVolume: &ResolveVolume{Name: "data", Copy: 1}}, check: standing(1, Behind, 5)},
		{name: "nothing to resolve", given: alone, cmd: Command{ResolveVolume: &ResolveVolume{Name: "data", Copy: 2}}, refused: RefusedNotDiverged},
	})
}

func TestVolumeRestored(t *testing.T) {
	saw := func(c Copy, e VolumeEpoch, set uint64, m CopySet) Command {
		return Command{SawCopy: &SawCopy{Name: "data", Saw: SeenCopy{Copy: c, Epoch: e, Set: set, Members: m}}}
	}
	doubt := Command{DoubtVolumes: &DoubtVolumes{}}
	play(t, []step{
		{name: "nobody serves", given: mirrored(doubt), cmd: acquire(1, 1, true), refused: RefusedUnverified},
		{name: "one copy seen isn't enough", given: mirrored(doubt, saw(1, VolumeEpoch{1, 1}, 2, CopiesOf(1, 2))), cmd: acquire(1, 1, true), refused: RefusedUnverified},
		{name: "the newest superblock knows the set", given: mirrored(doubt, saw(1, VolumeEpoch{1, 1}, 2, CopiesOf(1, 2))), cmd: saw(2, VolumeEpoch{1, 7}, 9, CopiesOf(2)),
			check: func(t *testing.T, s *State, _ Result) {
				v := s.Volume("data")
				if v.Unverified || v.Members() != CopiesOf(2) || v.Epoch != (VolumeEpoch{2, 0}) || v.Set != 11 {
					t.Errorf("%+v", v)
				}
			}},
	})
}
