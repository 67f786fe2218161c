package api

import (
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Assess says whether the cluster would survive any single failure, as far as
// this node can tell, and why not. It is a pure function.
func Assess(st *cluster.State, l Local, _ time.Time) Report {
	a := &assessor{st: st, l: l}
	r := &a.report
	t := st.Timing()
	*r = Report{
		Cluster: st.Cluster, Name: st.Name, Self: l.Self, Leader: l.Leader, Applied: st.Applied,
		Detection: DetectionReport{
			Detection: st.Detection, Profile: ProfileOf(st.Detection), Heartbeat: t.Heartbeat,
			Gate: t.Gate(), Eviction: t.Promise(), WorstRTT: l.WorstRTT, Arithmetic: t.String(),
		},
		Findings: []Finding{}, Nodes: []NodeReport{}, Hierarchies: []HierarchyReport{}, Networks: []NetworkReport{},
	}
	a.votes()
	a.nodes()
	a.networks()
	a.hierarchies()
	a.settings()
	a.health()
	a.hooks()
	a.order()
	return *r
}

// assessor collects the findings of one assessment.
type assessor struct {
	st     *cluster.State
	l      Local
	report Report
}

// find adds a finding. fix is the one command that helps; empty: none.
func (a *assessor) find(sev Severity, fix, code string, args ...any) {
	a.report.Findings = append(a.report.Findings, finding(sev, fix, message.New(code, args...)))
}

func finding(sev Severity, fix string, m *message.Error) Finding {
	r := m.Reason()
	return Finding{
		Severity: sev, Fix: fix, Reason: cluster.Reason{Code: r.Code, Args: r.Args},
		Text: Words{m.Localize(message.English).Text, m.Localize(message.Japanese).Text},
	}
}

// order puts the worst first and keeps the order in which they were found
// otherwise: causes are looked for before what follows from them.
func (a *assessor) order() {
	rank := func(f Finding) int {
		return slices.Index([]Severity{SeverityDown, SeverityUnsafe, SeverityWarning, SeverityInfo}, f.Severity)
	}
	slices.SortStableFunc(a.report.Findings, func(x, y Finding) int { return rank(x) - rank(y) })
	a.report.Safe = len(a.report.Findings) == 0 || !a.report.Findings[0].Severity.unsafe()
}

func (s Severity) unsafe() bool { return s == SeverityDown || s == SeverityUnsafe }

// votes looks at the majority.
func (a *assessor) votes() {
	st := a.st
	q := &a.report.Quorum
	q.Voters, q.Majority, q.Held = len(st.Voters), st.Majority(), a.l.Quorum
	for _, v := range st.Voters {
		if a.answers(v) {
			q.Answering++
		}
	}
	q.Spare = q.Answering - q.Majority
	switch {
	case !a.l.Quorum || q.Spare < 0:
		a.find(SeverityDown, "perdure path list", message.QuorumGone, q.Answering, q.Voters, q.Majority)
	case a.l.Leader == 0:
		a.find(SeverityDown, "perdure path list", message.NoLeaderNow)
	}
	if q.Voters < 3 {
		// Votes are kept odd, so that two nodes have one between them: what is
		// missing then is a third machine, whatever votes there are.
		fix := "perdure token create --role witness"
		if len(st.Nodes) < 2 {
			fix = "perdure token create"
		}
		a.find(SeverityUnsafe, fix, message.FewVotes, q.Voters)
	}
	if n := st.Node(a.l.Self); n != nil && n.Role == cluster.RoleNode && n.Presence == cluster.Present && !a.l.LeaseAlive {
		a.find(SeverityDown, "perdure path list", message.NoLeaseHere, n.Name)
	}
}

// answers reports whether a voter could take part in a decision now.
func (a *assessor) answers(id cluster.NodeID) bool {
	n := a.st.Node(id)
	return n != nil && heard(a.st, a.l, id) && n.Presence != cluster.Left
}

func (a *assessor) nodes() {
	for i := range a.st.Nodes {
		n := &a.st.Nodes[i]
		r := NodeReport{
			ID: n.ID, Name: n.Name, Role: n.Role, Presence: n.Presence, Voter: a.st.IsVoter(n.ID),
			Leader: n.ID == a.l.Leader, Self: n.ID == a.l.Self, Heard: heard(a.st, a.l, n.ID), Ago: a.ago(n.ID),
			Maintenance: n.Maintenance, Drain: n.Drain, Quarantine: n.Quarantine != 0, Software: n.Software,
		}
		for j := range a.st.Hierarchies {
			if h := &a.st.Hierarchies[j]; h.Owner == n.ID {
				r.Hierarchies = append(r.Hierarchies, h.Name)
			}
		}
		a.report.Nodes = append(a.report.Nodes, r)
		a.node(n, &r)
	}
}

// storage looks at the store of a storage witness.
func (a *assessor) storage(n *cluster.Node) {
	if n.Storage == nil || n.Storage.Proven() {
		return
	}
	for _, t := range n.Storage.Tried {
		if t.Refusal.Code != "" {
			a.find(SeverityWarning, "perdure quorum remove "+n.Name, t.Refusal.Code, anys(t.Refusal.Args)...)
			return
		}
	}
	a.find(SeverityInfo, "", message.StoreTrying, n.Name)
}

func (a *assessor) ago(id cluster.NodeID) time.Duration {
	if id == a.l.Self {
		return 0
	}
	for _, h := range a.l.Nodes {
		if h.Node == id {
			return h.Ago
		}
	}
	return -1
}

// node looks at one node that isn't as it should be.
func (a *assessor) node(n *cluster.Node, r *NodeReport) {
	start := "systemctl start perdure  (on " + n.Name + ")"
	if n.Role == cluster.RoleStorage {
		start = "perdure quorum status"
		a.storage(n)
		if !r.Voter {
			return
		}
	}
	spare := a.report.Quorum.Spare
	sev := SeverityWarning
	if spare <= 0 {
		sev = SeverityUnsafe
	}
	// A voter of a cluster of one or two is a finding of its own.
	counts := r.Voter && a.report.Quorum.Voters > 2
	switch {
	case n.Presence == cluster.Unmanaged:
		sev := SeverityWarning
		if len(r.Hierarchies) > 0 {
			sev = SeverityUnsafe
		}
		a.find(sev, start, message.NodeIsUnmanagedNow, n.Name)
	case !there(n) && n.Role == cluster.RoleNode && !(counts && !r.Heard && spare <= 0):
		a.find(SeverityWarning, start, message.NodeNotPresent, n.Name, presence(n.Presence))
	case !there(n) && counts && !a.answers(n.ID):
		a.find(sev, start, message.VoterNotPresent, n.Name, presence(n.Presence))
	case !r.Heard && r.Voter && spare < 0:
		a.find(SeverityUnsafe, start, message.NodeNotHeard, n.Name)
	case !r.Heard && counts && spare > 0:
		a.find(sev, start, message.VoterAwaySpare, n.Name, spare)
	case !r.Heard && (counts || r.Voter):
		a.find(SeverityUnsafe, start, message.VoterAway, n.Name)
	case !r.Heard:
		a.find(SeverityWarning, start, message.NodeNotHeard, n.Name)
	}
	if n.Maintenance {
		a.find(SeverityInfo, "perdure maintenance end --node "+n.Name, message.NodeMaintenance, n.Name)
	}
	if n.Quarantine != 0 {
		a.find(SeverityWarning, "perdure node clear "+n.Name, message.QuarantinedNow, n.Name, len(n.Falls))
	}
	switch {
	case n.Drain && len(r.Hierarchies) > 0:
		a.find(SeverityInfo, "perdure node drain "+n.Name+" off", message.NodeDraining, n.Name, r.Hierarchies)
	case n.Drain:
		a.find(SeverityInfo, "perdure node drain "+n.Name+" off", message.NodeDrained, n.Name)
	}
}

// there reports whether a node is meant to be up. A witness is never admitted:
// it has no lease, because it serves nothing.
func there(n *cluster.Node) bool {
	return n.Presence == cluster.Present || n.Role != cluster.RoleNode && n.Presence == cluster.Joining
}

// presence is the word for a presence in findings; the code lets it be said in
// the reader's language.
func presence(p cluster.Presence) string {
	switch p {
	case cluster.Joining:
		return message.WordJoining
	case cluster.Left:
		return message.WordLeft
	case cluster.Unmanaged:
		return message.WordUnmanaged
	case cluster.Evicted:
		return message.WordEvicted
	}
	return string(p)
}

// settings looks at detection time, gate, watchdog and alarms.
func (a *assessor) settings() {
	if cluster.CheckDetection(a.st.Detection, a.l.WorstRTT) != nil {
		better := saferDetection(a.l.WorstRTT)
		a.find(SeverityUnsafe, "perdure quorum detection "+better, message.DetectionUnsafe, a.st.Detection, a.l.WorstRTT, better)
	}
	if a.st.Settling != 0 {
		a.find(SeverityInfo, "", message.DetectionSettling)
	}
	a.guard()
	if a.l.Stopping != "" {
		a.find(SeverityWarning, "", message.StoppingNow, a.l.Stopping)
	}
	for _, r := range a.l.Alarms {
		if a.found(r) {
			continue
		}
		sev := SeverityWarning
		switch {
		case slices.Contains(weaker, r.Code):
			sev = SeverityInfo
		case r.Code == message.AlarmDisk:
			sev = SeverityUnsafe // it can't promise, so it doesn't vote
		}
		a.find(sev, "", r.Code, anys(r.Args)...)
	}
}

// weaker are the alarms of a guardian that lacks something but does its work.
var weaker = []string{message.GuardianWeaker, message.GateUnavailable, message.GateReduced, message.WatchdogMissing}

// guard says what doesn't enforce the end of the lease here, unless the
// guardian says it itself with the reason.
func (a *assessor) guard() {
	if n := a.st.Node(a.l.Self); n == nil || n.Role != cluster.RoleNode ||
		slices.ContainsFunc(a.l.Alarms, func(r cluster.Reason) bool { return slices.Contains(weaker, r.Code) }) {
		return
	}
	if g := a.l.Guarded.Gate; g != "" && !strings.HasPrefix(g, "nftables") {
		a.find(SeverityInfo, "perdure install --dry-run", message.NoGate, g)
	}
	if w := a.l.Guarded.Watchdog; w != "" && !strings.Contains(w, "armed") && !strings.HasPrefix(w, "off until") {
		a.find(SeverityInfo, "perdure install --dry-run", message.NoWatchdog, w)
	}
}

func (a *assessor) found(r cluster.Reason) bool {
	return slices.ContainsFunc(a.report.Findings, func(f Finding) bool {
		return f.Reason.Code == r.Code && slices.Equal(f.Reason.Args, r.Args)
	})
}

func anys(args []string) []any {
	out := make([]any, len(args))
	for i, s := range args {
		out[i] = s
	}
	return out
}

// saferDetection proposes a detection time for round trips: the next profile,
// or whole seconds.
func saferDetection(rtt time.Duration) string {
	need := 20 * rtt
	switch {
	case need <= cluster.DetectionBalanced:
		return "balanced"
	case need <= cluster.DetectionWide:
		return "wide"
	}
	return (need + time.Second - 1).Truncate(time.Second).String()
}
