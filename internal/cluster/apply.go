package cluster

import (
	"cmp"
	"slices"
	"strings"
)

// Result is what became of a command.
type Result struct {
	// Refusal says why the command changed nothing; empty if it did.
	Refusal Reason
	// Node is the id that AddNode gave.
	Node NodeID
	// Entry is the timeline entry that it made (0: none).
	Entry uint64
	// Repeated: the command had been applied before; nothing was done now, and
	// Refusal and Node say what became of it then.
	Repeated bool
}

// Refused reports whether the command changed nothing.
func (r Result) Refused() bool { return r.Refusal.Code != "" }

// Codes of refusals. Their texts are in the message catalogue.
const (
	RefusedVoid            = "PD1001" // the state moved on: {0}
	RefusedUnknownNode     = "PD1002" // {0}
	RefusedNameTaken       = "PD1003" // node name {0}
	RefusedToken           = "PD1004" // token unknown, used or expired
	RefusedLastVoter       = "PD1005" // {0} is the last voter
	RefusedTooManyVoters   = "PD1006" // {0} voters at most
	RefusedOwns            = "PD1007" // node {0} owns {1}
	RefusedSettling        = "PD1008" // a detection time is settling
	RefusedWitness         = "PD1009" // {0} is a witness and hosts nothing
	RefusedAddressTaken    = "PD1010" // {0} is used by node {1}
	RefusedNotFound        = "PD3001" // hierarchy {0}
	RefusedExists          = "PD3002" // {0} exists
	RefusedCycle           = "PD3003" // dependencies of {0} form a cycle
	RefusedNoResource      = "PD3004" // resource {0} in hierarchy {1}
	RefusedClaim           = "PD3005" // {0} is claimed by {1}
	RefusedInService       = "PD3006" // hierarchy {0} is not out of service
	RefusedDependedOn      = "PD3007" // {0} depends on {1}
	RefusedNotExtended     = "PD3008" // hierarchy {0} isn't extended to node {1}
	RefusedFailedThere     = "PD3009" // hierarchy {0} failed on node {1}
	RefusedNotPresent      = "PD3010" // node {0} is not present: {1}
	RefusedBadName         = "PD3011" // name {0}
	RefusedNoNodes         = "PD3012" // hierarchy {0} has no nodes
	RefusedAlreadyThere    = "PD3013" // hierarchy {0} is on node {1}
	RefusedWantsOut        = "PD3014" // hierarchy {0} is wanted out of service
	RefusedNodeMaintenance = "PD3015" // node {0} is in maintenance
	RefusedNoMove          = "PD3017" // hierarchy {0} isn't being moved
	RefusedMaintenance     = "PD3018" // hierarchy {0} is in maintenance
	RefusedDrained         = "PD3019" // node {0} is drained
	RefusedClusterMaint    = "PD3020" // the cluster is in maintenance
	RefusedNoQuestion      = "PD3021" // hierarchy {0} waits for no decision
	RefusedExtended        = "PD3022" // hierarchy {0} is extended to node {1}
	RefusedLastNode        = "PD3023" // hierarchy {0} has only node {1}
	RefusedChanged         = "PD3024" // hierarchy {0} was changed meanwhile
	RefusedMoving          = "PD3025" // hierarchy {0} is being moved to node {1}
	RefusedWanted          = "PD3026" // hierarchy {0} is wanted in service
	RefusedNoDependency    = "PD3027" // {0} doesn't depend on {1}
	RefusedPolicy          = "PD3029" // a policy forbids that hierarchy {0} fails over to node {1}
)

func refuse(code string, args ...any) Result { return Result{Refusal: Because(code, args...)} }

// Apply carries out the command of the raft log at index, or refuses it. It is
// deterministic: the same commands in the same order give the same state on
// every node.
func (s *State) Apply(index uint64, c *Command) Result {
	s.Applied = index
	if c.ID == 0 {
		return s.apply(index, c)
	}
	if slices.Contains(s.Recent, c.ID) {
		return s.outcome(c.ID)
	}
	res := s.apply(index, c)
	s.remember(c.ID, res)
	return res
}

func (s *State) apply(index uint64, c *Command) Result {
	switch {
	case c.AddToken != nil:
		return s.addToken(c.AddToken)
	case c.AddNode != nil:
		return s.addNode(index, c, c.AddNode)
	case c.Rejoin != nil:
		return s.rejoin(index, c, c.Rejoin)
	case c.AddStorage != nil:
		return s.addStorage(index, c, c.AddStorage)
	case c.StoreTried != nil:
		return s.storeTried(index, c, c.StoreTried)
	case c.Member != nil:
		return s.member(index, c, c.Member)
	case c.SetCluster != nil:
		return s.setCluster(index, c, c.SetCluster)
	case c.SetNode != nil:
		return s.setNode(index, c, c.SetNode)
	case c.Admit != nil:
		return s.admit(index, c, c.Admit)
	case c.Evict != nil:
		return s.evict(index, c, c.Evict)
	case c.Leave != nil:
		return s.leave(index, c, c.Leave)
	case c.SetUnmanaged != nil:
		return s.setUnmanaged(index, c, c.SetUnmanaged)
	case c.Fenced != nil:
		return s.fenced(index, c, c.Fenced)
	case c.SetDetection != nil:
		return s.setDetection(index, c, c.SetDetection)
	case c.SettleDetection != nil:
		return s.settleDetection(c.SettleDetection)
	case c.Assign != nil:
		return s.assign(index, c, c.Assign)
	case c.Report != nil:
		return s.report(index, c, c.Report)
	case c.Retry != nil:
		return s.retry(index, c, c.Retry)
	case c.StartMove != nil:
		return s.startMove(index, c, c.StartMove)
	case c.CancelMove != nil:
		return s.cancelMove(index, c, c.CancelMove)
	case c.Confirm != nil:
		return s.confirm(index, c, c.Confirm)
	case c.Forget != nil:
		return s.forget(index, c, c.Forget)
	case c.Extend != nil:
		return s.extend(index, c, c.Extend)
	case c.Extended != nil:
		return s.extended(index, c, c.Extended)
	case c.Unextend != nil:
		return s.unextend(index, c, c.Unextend)
	case c.SetDependency != nil:
		return s.setDependency(index, c, c.SetDependency)
	case c.SetWant != nil:
		return s.setWant(index, c, c.SetWant)
	case c.ClearFailures != nil:
		return s.clearFailures(index, c, c.ClearFailures)
	case c.CreateHierarchy != nil:
		return s.createHierarchy(index, c, c.CreateHierarchy)
	case c.DeleteHierarchy != nil:
		return s.deleteHierarchy(index, c, c.DeleteHierarchy)
	case c.SetHierarchy != nil:
		return s.setHierarchy(index, c, c.SetHierarchy)
	case c.CreateResource != nil:
		return s.createResource(index, c, c.CreateResource)
	case c.DeleteResource != nil:
		return s.deleteResource(index, c, c.DeleteResource)
	case c.SetResource != nil:
		return s.setResource(index, c, c.SetResource)
	case c.Note != nil:
		return s.note(index, c, c.Note)
	case c.SetHook != nil:
		return s.setHook(index, c, c.SetHook)
	case c.DeleteHook != nil:
		return s.deleteHook(index, c, c.DeleteHook)
	case c.SetHealth != nil:
		return s.setHealth(index, c, c.SetHealth)
	case c.SetLimits != nil:
		return s.setLimits(index, c, c.SetLimits)
	case c.SetUser != nil:
		return s.setUser(index, c, c.SetUser)
	case c.DeleteUser != nil:
		return s.deleteUser(index, c, c.DeleteUser)
	case c.AddKey != nil:
		return s.addKey(index, c, c.AddKey)
	case c.DeleteKey != nil:
		return s.deleteKey(index, c, c.DeleteKey)
	}
	if r, done := s.applyVolume(index, c); done {
		return r
	}
	return Result{} // an empty command: used to learn that the log moves
}

// tell appends to the timeline and returns the entry's id.
func (s *State) tell(index uint64, c *Command, e Entry) uint64 {
	e.ID = index
	e.WallMilli = c.WallMilli
	if e.Reason.Code == "" {
		e.Reason = c.Reason
	}
	if e.By == "" {
		e.By = c.By
	}
	e.Causes = append(e.Causes, c.Causes...)
	e.Evidence = c.Evidence
	s.Timeline = append(s.Timeline, e)
	if over := len(s.Timeline) - timelineMax; over > 0 {
		s.Timeline = slices.Delete(s.Timeline, 0, over)
	}
	return index
}

// ValidName reports whether a name may be given to a node, hierarchy, resource
// or network: 1 to 63 of a–z, A–Z, 0–9, "-", "_", ".", not starting with
// punctuation, so that it is safe as a file name and an argument.
func ValidName(name string) bool {
	if len(name) == 0 || len(name) > 63 || strings.ContainsRune("-_.", rune(name[0])) {
		return false
	}
	for _, r := range name {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		default:
			return false
		}
	}
	return true
}

func sortedNames(names []string) []string {
	names = slices.Clone(names)
	slices.Sort(names)
	return slices.Compact(names)
}

func sortResources(rs []Resource) {
	slices.SortFunc(rs, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
}
