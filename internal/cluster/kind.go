package cluster

import "strings"

// Kind says what an entry of the timeline is about.
type Kind string

const (
	KindClusterCreated  Kind = "cluster created"
	KindNodeAdded       Kind = "node added"
	KindRejoined        Kind = "rejoined"
	KindStoreTried      Kind = "store tried"
	KindNodeRemoved     Kind = "node removed"
	KindVoter           Kind = "voter"
	KindAdmitted        Kind = "admitted"
	KindEvicted         Kind = "evicted"
	KindLeft            Kind = "left"
	KindUnmanaged       Kind = "unmanaged"
	KindManaged         Kind = "managed"
	KindFenced          Kind = "fenced"
	KindDetection       Kind = "detection"
	KindAssigned        Kind = "assigned"
	KindStatus          Kind = "status"
	KindRetry           Kind = "retry"
	KindMove            Kind = "move"
	KindMoveCancelled   Kind = "move cancelled"
	KindWant            Kind = "want"
	KindCleared         Kind = "cleared"
	KindConfigured      Kind = "configured"
	KindLocalRecovery   Kind = "local recovery"
	KindResourceFailed  Kind = "resource failed"
	KindPath            Kind = "comm path"
	KindLease           Kind = "lease"
	KindSilence         Kind = "silence"
	KindAccess          Kind = "access"
	KindHealth          Kind = "health"
	KindDaemonRestarted Kind = "daemon restarted"
	KindConfirmed       Kind = "confirmed"
	KindForgotten       Kind = "forgotten"
	KindExtending       Kind = "extending"
	KindExtended        Kind = "extended"
	KindUnextended      Kind = "unextended"
	KindVolume          Kind = "volume"
)

// Kinds lists all of them but [KindSilence], which is no entry of its own.
func Kinds() []Kind {
	return []Kind{
		KindClusterCreated, KindNodeAdded, KindRejoined, KindNodeRemoved, KindVoter, KindAdmitted, KindEvicted,
		KindLeft, KindUnmanaged, KindManaged, KindFenced, KindDetection, KindAssigned, KindStatus, KindRetry,
		KindMove, KindMoveCancelled, KindWant, KindCleared, KindConfigured, KindLocalRecovery, KindResourceFailed,
		KindPath, KindLease, KindAccess, KindHealth, KindDaemonRestarted, KindStoreTried,
		KindConfirmed, KindForgotten, KindExtending, KindExtended, KindUnextended, KindVolume,
	}
}

// Event is the kind as one word, as hooks know it: "node-added".
func (k Kind) Event() string { return strings.ReplaceAll(string(k), " ", "-") }
