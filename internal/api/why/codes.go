package why

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// What entries of kind status mean is in their codes: the timeline keeps the
// reason, not the status.
var (
	servingCodes = []string{message.HierarchyStarted, message.ResourceRecovered, message.ServesFullyAgain,
		message.ServesDegraded, message.KeptByPolicy}
	stoppingCodes = []string{message.StoppingByRequest, message.StoppingForSwitchover, message.StoppingForDrain}
	failedCodes   = []string{message.BringUpFailed, message.RecoveriesUsedUp, message.RecoveryIsOff, message.GuardFailed}
	waitingCodes  = []string{message.WaitsForFencing, message.WaitsWithoutWatchdog, message.WaitsForWatchdog,
		message.WaitsAfterFailures, message.NobodyEligible, message.HeldByMaintenance}
	ruledOutCodes = []string{message.NodeGone, message.NodeIsWitness, message.NodeIsJoining, message.NodeHasLeft,
		message.NodeIsUnmanaged, message.NodeIsEvicted, message.NodeInMaintenance, message.NodeNotHeard,
		message.NodeMarkedFailed, message.NodeNotReady, message.HeldByMaintenance}
	tookCodes = []string{message.StartTook, message.StopTook, message.GuardTook}
)

func is(e *cluster.Entry, codes []string) bool { return slices.Contains(codes, e.Reason.Code) }

func serving(e *cluster.Entry) bool {
	return e.Kind == cluster.KindStatus && is(e, servingCodes)
}

// settled are kinds that change nothing about where the hierarchy runs.
func settled(e *cluster.Entry) bool {
	return e.Kind == cluster.KindConfigured || e.Kind == cluster.KindCleared
}

// key reports whether the rule behind an entry is worth its words: decisions
// and failures, not each step.
func key(e *cluster.Entry) bool {
	switch e.Kind {
	case cluster.KindEvicted, cluster.KindAssigned, cluster.KindRetry, cluster.KindFenced, cluster.KindMoveCancelled,
		cluster.KindUnmanaged, cluster.KindLeft:
		return true
	case cluster.KindStatus:
		return is(e, failedCodes) || is(e, waitingCodes) || e.Reason.Code == message.LocalRecovery
	}
	return false
}
