package api

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/message"
)

func (a *assessor) hierarchies() {
	a.hosts()
	if a.st.Maintenance {
		a.find(SeverityWarning, "perdure maintenance end", message.ClusterMaintenance)
	}
	if len(a.st.Hierarchies) == 0 {
		a.find(SeverityInfo, "", message.NoHierarchies)
	}
	for i := range a.st.Hierarchies {
		h := &a.st.Hierarchies[i]
		r := a.hierarchy(h)
		a.report.Hierarchies = append(a.report.Hierarchies, r)
		a.service(h)
		a.standby(h, &r)
	}
}

func (a *assessor) names(ids []cluster.NodeID) []string {
	out := make([]string, 0, len(ids))
	for _, id := range ids {
		out = append(out, a.st.NodeName(id))
	}
	return out
}

func (a *assessor) hierarchy(h *cluster.Hierarchy) HierarchyReport {
	r := HierarchyReport{
		Name: h.Name, Status: h.Status, Want: h.Want, Reason: h.Reason, Class: h.Class, Policy: h.Policy,
		Nodes: a.names(h.Nodes), Standbys: a.names(standbys(a.st, a.l, h)),
		Outage: a.st.Timing().Promise(), StartTook: startTook(a.st, h.Name), Resources: h.Resources,
	}
	if h.Owner != 0 {
		r.Node = a.st.NodeName(h.Owner)
	}
	if h.Move != nil {
		r.MovingTo = a.st.NodeName(h.Move.To)
	}
	for i := range h.Failures {
		r.Failures = append(r.Failures, a.st.NodeName(h.Failures[i].Node))
	}
	for i := range a.st.Timeline {
		if a.st.Timeline[i].ID == h.Since {
			r.SinceMilli = a.st.Timeline[i].WallMilli
		}
	}
	switch h.Class {
	case cluster.SharedData:
		r.Endless = true
	case cluster.WatchdogOnly:
		id := h.Owner
		if id == 0 {
			id = h.Nodes[0]
		}
		if n := a.st.Node(id); n != nil && n.WatchdogSeconds > 0 {
			r.Fencing = decide.WatchdogWait(n.WatchdogSeconds)
		} else {
			r.Endless = true
		}
	}
	r.Outage += r.Fencing + r.StartTook
	return r
}

// startTook is how long the last start took, from its decision to service. Both
// ends are wall times, of the leader and of the node that started it.
func startTook(st *cluster.State, name string) time.Duration {
	var began, took int64
	for i := range st.Timeline {
		e := &st.Timeline[i]
		switch {
		case e.Hierarchy != name:
		case e.Kind == cluster.KindAssigned:
			began = e.WallMilli
		case e.Reason.Code == message.HierarchyStarted && began != 0:
			took, began = max(e.WallMilli-began, 1), 0
		}
	}
	return time.Duration(took) * time.Millisecond
}

// service looks whether it is where it should be.
func (a *assessor) service(h *cluster.Hierarchy) {
	why := "perdure why " + h.Name
	for i := range h.Resources {
		if name := h.Name + "/" + h.Resources[i].Name; h.Resources[i].Maintenance {
			a.find(SeverityWarning, "perdure maintenance end --resource "+name, message.ResourceMaintenance, name)
		}
	}
	switch {
	case h.Policy.Maintenance:
		a.find(SeverityWarning, "perdure maintenance end --hierarchy "+h.Name, message.HierarchyMaintenance, h.Name)
	case a.st.Maintenance: // said once for all
	case h.Want != cluster.WantInService:
		if h.Owner == 0 && h.Status == cluster.OutOfService {
			a.find(SeverityInfo, "perdure hierarchy start "+h.Name, message.HierarchyAskedOut, h.Name)
		}
	case h.Owner == 0 && h.Asks():
		a.find(SeverityDown, "perdure hierarchy confirm "+h.Name, message.HierarchyAsks, h.Name, a.st.NodeName(h.Failover.From))
	case h.FenceWait != 0:
		a.find(SeverityDown, why, message.HierarchyFenceWait, h.Name, a.st.NodeName(h.FenceWait))
	case h.Status == cluster.Failed:
		a.find(SeverityDown, why, message.HierarchyFailed, h.Name)
	case h.Status == cluster.Starting, h.Status == cluster.Stopping, h.Move != nil && !h.Status.Serving():
		a.find(SeverityDown, "", message.HierarchyOnItsWay, h.Name, statusWord(h.Status))
	case h.Status == cluster.Degraded:
		a.find(SeverityWarning, why, message.HierarchyDegraded, h.Name, reasonError(h.Reason))
	case h.Status != cluster.InService:
		a.find(SeverityDown, why, message.HierarchyNotServing, h.Name, statusWord(h.Status))
	}
}

// standby looks whether somebody could take it over.
func (a *assessor) standby(h *cluster.Hierarchy, r *HierarchyReport) {
	if h.Want != cluster.WantInService {
		return
	}
	if h.Policy.NotifyOnly {
		a.find(SeverityWarning, "perdure hierarchy set "+h.Name+" --no-notify-only", message.HierarchyNotifyOnly, h.Name)
	}
	if n := a.st.Node(h.Owner); h.Policy.FailoverBlocked || n != nil && n.OnFailure.FailoverBlocked {
		a.find(SeverityUnsafe, "perdure hierarchy show "+h.Name, message.FailoverIsBlocked, h.Name)
	}
	for _, f := range r.Failures {
		a.find(SeverityWarning, "perdure hierarchy clear "+h.Name, message.HierarchyMarked, h.Name, f)
	}
	switch {
	case !h.Status.Serving() || len(r.Standbys) > 0:
	case len(h.Nodes) < 2:
		a.find(SeverityUnsafe, "perdure hierarchy set "+h.Name+" --nodes "+strings.Join(r.Nodes, ",")+",OTHER",
			message.HierarchyAlone, h.Name, strings.Join(r.Nodes, ","))
	case len(r.Failures) > 0:
		a.find(SeverityUnsafe, "perdure hierarchy clear "+h.Name, message.HierarchyNoStandby, h.Name)
	default:
		a.find(SeverityUnsafe, "perdure node list", message.HierarchyNoStandby, h.Name)
	}
}

// statusWord is a status as an argument that is said in the reader's language.
func statusWord(s cluster.Status) string {
	switch s {
	case cluster.OutOfService:
		return message.WordOutOfService
	case cluster.Starting:
		return message.WordStarting
	case cluster.Stopping:
		return message.WordStopping
	case cluster.Failed:
		return message.WordFailed
	case cluster.Unknown:
		return message.WordUnknown
	}
	return string(s)
}

// hosts looks for nodes that would be lost together with a machine under them.
func (a *assessor) hosts() {
	on := make(map[string][]string)
	for i := range a.st.Nodes {
		if n := &a.st.Nodes[i]; n.Host != "" && n.Presence != cluster.Left {
			on[n.Host] = append(on[n.Host], n.Name)
		}
	}
	for _, host := range slices.Sorted(maps.Keys(on)) {
		if len(on[host]) > 1 {
			a.find(SeverityWarning, "", message.OneHost, strings.Join(on[host], ", "), host)
		}
	}
}
