package apitest

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// nodeVerbs are about nodes and the cluster.
var nodeVerbs = map[string]func(*World, []string) error{
	// wait 2s
	"wait": func(w *World, a []string) error {
		w.wall += duration(a[0]).Milliseconds()
		return nil
	},
	// evict n1 n2=2551ms n3=2560ms: who promised, after how much silence
	"evict": func(w *World, a []string) error {
		n := w.node(a[0])
		c := cluster.Command{Evict: &cluster.Evict{Node: n.ID, Generation: n.Generation, Conf: w.State.Conf}}
		for _, p := range a[1:] {
			voter, silent, _ := strings.Cut(p, "=")
			v := w.node(voter)
			c.Evict.Promises = append(c.Evict.Promises, v.ID)
			c.Evidence = append(c.Evidence, cluster.Evidence{Node: v.ID, Ago: duration(silent),
				Reason: cluster.Because("PD2002", n.Name, duration(silent))})
		}
		c.Reason = cluster.Because("PD2004", n.Name, len(c.Evict.Promises), len(w.State.Voters))
		return w.apply(c)
	},
	"admit": func(w *World, a []string) error {
		n := w.node(a[0])
		return w.apply(cluster.Command{By: n.Name, Admit: &cluster.Admit{Node: n.ID, Session: fmt.Sprint(w.index), Previous: n.Generation}})
	},
	"leave": func(w *World, a []string) error {
		n := w.node(a[0])
		return w.apply(cluster.Command{By: n.Name, Reason: cluster.Because("PD1013", n.Name), Leave: &cluster.Leave{Node: n.ID, Generation: n.Generation}})
	},
	"unmanaged": func(w *World, a []string) error {
		n := w.node(a[0])
		return w.apply(cluster.Command{SetUnmanaged: &cluster.SetUnmanaged{Node: n.ID, Generation: n.Generation, On: true}})
	},
	"fenced": func(w *World, a []string) error {
		n := w.node(a[0])
		why, _ := reason(a[1:])
		return w.apply(cluster.Command{Reason: why, Fenced: &cluster.Fenced{Node: n.ID, Generation: n.Generation, How: "watchdog"}})
	},
	"watchdog": func(w *World, a []string) error {
		s, err := strconv.Atoi(a[1])
		return errors.Join(err, w.apply(cluster.Command{SetNode: &cluster.SetNode{Node: w.node(a[0]).ID, WatchdogSeconds: &s}}))
	},
	// health n2 "disk /" PD7713 / 97 90
	"health": func(w *World, a []string) error {
		c := &cluster.SetHealth{Node: w.node(a[0]).ID}
		if len(a) > 2 {
			why, _ := reason(a[2:])
			c.Marks = []cluster.HealthMark{{What: a[1], Reason: why}}
		}
		return w.apply(cluster.Command{SetHealth: c})
	},
	"maintenance": func(w *World, a []string) error {
		on := true
		return w.apply(cluster.Command{SetNode: &cluster.SetNode{Node: w.node(a[0]).ID, Maintenance: &on}})
	},
	"member": func(w *World, a []string) error {
		return w.apply(cluster.Command{Member: &cluster.Member{Node: w.node(a[0]).ID, As: cluster.MemberAs(a[1])}})
	},
	"detection": func(w *World, a []string) error {
		return w.apply(cluster.Command{SetDetection: &cluster.SetDetection{Detection: duration(a[0])}})
	},
	// paths n1 lan=192.0.2.1:7400
	"paths": func(w *World, a []string) error {
		var out []cluster.Path
		for i, p := range a[1:] {
			network, address, _ := strings.Cut(p, "=")
			out = append(out, cluster.Path{Network: network, Address: address, Priority: i + 1})
		}
		n := w.node(a[0])
		w.Local.Paths = slices.DeleteFunc(w.Local.Paths, func(s api.PathState) bool {
			return (s.Peer == n.ID || n.ID == w.Local.Self) &&
				!slices.ContainsFunc(out, func(p cluster.Path) bool { return p.Network == s.Network })
		})
		return w.apply(cluster.Command{SetNode: &cluster.SetNode{Node: n.ID, Paths: out}})
	},
}

// hierarchyVerbs are about hierarchies.
var hierarchyVerbs = map[string]func(*World, []string) error{
	// hierarchy app n1,n2 class=shared-data
	"hierarchy": func(w *World, a []string) error {
		c := &cluster.CreateHierarchy{Name: a[0]}
		for _, n := range strings.Split(a[1], ",") {
			c.Nodes = append(c.Nodes, w.node(n).ID)
		}
		_, kv := pairs(a[2:])
		c.Class = cluster.Class(kv["class"])
		return w.apply(cluster.Command{By: "root", Reason: cluster.Because("PD7025", a[0]), CreateHierarchy: c})
	},
	// resource app web process on=vip key=value
	"resource": func(w *World, a []string) error {
		_, kv := pairs(a[3:])
		r := cluster.Resource{Name: a[1], Kit: a[2], Settings: kv}
		if on := kv["on"]; on != "" {
			r.DependsOn = strings.Split(on, ",")
			delete(kv, "on")
		}
		if address := kv["address"]; address != "" {
			address, _, _ = strings.Cut(address, "/")
			r.Claims = []string{"address " + address}
		}
		return w.apply(cluster.Command{By: "root", Reason: cluster.Because("PD7025", a[0]+"/"+a[1]),
			CreateResource: &cluster.CreateResource{Hierarchy: a[0], Resource: r}})
	},
	"want": func(w *World, a []string) error {
		want, code := cluster.WantInService, "PD7021"
		if a[1] == "out" {
			want, code = cluster.WantOutOfService, "PD7022"
		}
		return w.apply(cluster.Command{By: "root", Reason: cluster.Because(code, a[0]), SetWant: &cluster.SetWant{Hierarchy: a[0], Want: want}})
	},
	// assign app n2 PD3124 app n1 n2 +PD3106:n1
	"assign": func(w *World, a []string) error {
		h, n := w.hierarchy(a[0]), w.node(a[1])
		why, more := reason(a[2:])
		return w.apply(cluster.Command{Reason: why, Causes: w.causes(h), Evidence: w.evidence(w.Local.Leader, more),
			Assign: &cluster.Assign{Hierarchy: h.Name, Node: n.ID, Generation: n.Generation, Previous: h.Epoch}})
	},
	// report app "in service" PD3911 app n2 +PD3203:app:12ms@300ms
	"report": func(w *World, a []string) error {
		h := w.hierarchy(a[0])
		why, more := reason(a[2:])
		resource := ""
		if len(more) > 0 && strings.HasPrefix(more[0], "+resource:") {
			resource, more = strings.TrimPrefix(more[0], "+resource:"), more[1:]
		}
		r := &cluster.Report{Hierarchy: h.Name, Node: h.Owner, Generation: h.Generation, Epoch: h.Epoch,
			Status: cluster.Status(a[1]), Resource: resource}
		for i := range h.Resources {
			st := cluster.ResourceStatus{Name: h.Resources[i].Name, Status: r.Status}
			if resource != "" && resource != st.Name && r.Status != cluster.Stopping {
				st.Status = cluster.InService
			} else if resource == st.Name {
				st.Reason = why
			}
			r.Resources = append(r.Resources, st)
		}
		return w.apply(cluster.Command{By: w.State.NodeName(h.Owner), Reason: why, Causes: w.causes(h), Evidence: w.evidence(h.Owner, more), Report: r})
	},
	"move": func(w *World, a []string) error {
		return w.apply(cluster.Command{By: "root", Reason: cluster.Because("PD7023", a[0], a[1]),
			StartMove: &cluster.StartMove{Hierarchy: a[0], To: w.node(a[1]).ID}})
	},
	"cancel": func(w *World, a []string) error {
		why, more := reason(a[1:])
		return w.apply(cluster.Command{Reason: why, Evidence: w.evidence(w.Local.Leader, more), CancelMove: &cluster.CancelMove{Hierarchy: a[0]}})
	},
	"retry": func(w *World, a []string) error {
		h := w.hierarchy(a[0])
		why, more := reason(a[1:])
		return w.apply(cluster.Command{Reason: why, Causes: w.causes(h), Evidence: w.evidence(w.Local.Leader, more),
			Retry: &cluster.Retry{Hierarchy: h.Name, Previous: h.Epoch}})
	},
	"clear": func(w *World, a []string) error {
		return w.apply(cluster.Command{By: "root", Reason: cluster.Because("PD7028", a[0]), ClearFailures: &cluster.ClearFailures{Hierarchy: a[0]}})
	},
	// note app PD3137 app +PD3106:n1
	"note": func(w *World, a []string) error {
		why, more := reason(a[1:])
		return w.apply(cluster.Command{Reason: why, Causes: w.causes(w.hierarchy(a[0])), Evidence: w.evidence(w.Local.Leader, more),
			Note: &cluster.Note{Kind: cluster.KindStatus, Hierarchy: a[0]}})
	},
	"policy": func(w *World, a []string) error {
		p := w.hierarchy(a[0]).Policy
		p.Maintenance = slices.Contains(a, "maintenance")
		p.Switchback = slices.Contains(a, "switchback")
		return w.apply(cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: a[0], Policy: &p}})
	},
}

// localVerbs are about what node 1 knows by itself.
var localVerbs = map[string]func(*World, []string) error{
	"local": func(w *World, a []string) error {
		_, kv := pairs(a)
		for k, v := range kv {
			switch k {
			case "leader":
				w.Local.Leader = 0
				if v != "" {
					w.Local.Leader = w.node(v).ID
				}
			case "quorum":
				w.Local.Quorum = v == "yes"
			case "lease":
				w.Local.LeaseAlive = v == "yes"
			case "rtt":
				w.Local.WorstRTT = duration(v)
			case "gate":
				w.Local.Guarded.Gate = v
			case "watchdog":
				w.Local.Guarded.Watchdog = v
			case "stopping":
				w.Local.Stopping = v
			default:
				return fmt.Errorf("unknown key %q", k)
			}
		}
		return nil
	},
	"heard": func(w *World, a []string) error {
		id, ago := w.node(a[0]).ID, -time.Nanosecond
		if a[1] != "never" {
			ago = duration(a[1])
		}
		for i := range w.Local.Nodes {
			if w.Local.Nodes[i].Node == id {
				w.Local.Nodes[i].Ago = ago
			}
		}
		if ago < 0 || ago > time.Second {
			for i := range w.Local.Paths {
				if w.Local.Paths[i].Peer == id {
					w.Local.Paths[i].State = "down"
				}
			}
		}
		return nil
	},
	// path n2 lan down
	"path": func(w *World, a []string) error {
		for i := range w.Local.Paths {
			if p := &w.Local.Paths[i]; p.Peer == w.node(a[0]).ID && p.Network == a[1] {
				p.State = a[2]
			}
		}
		return nil
	},
	"alarm": func(w *World, a []string) error {
		why, _ := reason(a)
		w.Local.Alarms = append(w.Local.Alarms, why)
		return nil
	},
}

// causes are those that the planner would name.
func (w *World) causes(h *cluster.Hierarchy) []uint64 {
	ids := []uint64{h.Since}
	if h.Move != nil {
		ids = append(ids, h.Move.Entry)
	}
	for _, f := range h.Failures {
		ids = append(ids, f.Entry)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id uint64) bool { return id == 0 })
}

// evidence reads +CODE:ARG:ARG@AGO words.
func (w *World) evidence(by cluster.NodeID, words []string) []cluster.Evidence {
	var out []cluster.Evidence
	for _, word := range words {
		text, ago, timed := strings.Cut(strings.TrimPrefix(word, "+"), "@")
		parts := strings.Split(text, ":")
		e := cluster.Evidence{Node: by, Reason: cluster.Reason{Code: parts[0], Args: parts[1:]}}
		if timed {
			e.Ago = duration(ago)
		}
		out = append(out, e)
	}
	return out
}
