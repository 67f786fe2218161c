package api

import (
	"context"
	"net/http"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Health is the thresholds, and what is wrong with each node's machine.
type Health struct {
	Limits cluster.Limits `json:"limits"` // defaults filled in
	Nodes  []NodeHealth   `json:"nodes"`
	// Vitals is what this node measured last; none: it has not yet.
	Vitals *Vitals `json:"vitals,omitempty"`
}

// NodeHealth is what is wrong with one machine.
type NodeHealth struct {
	Node  string               `json:"node"`
	Marks []cluster.HealthMark `json:"marks"`
}

// Vitals is a measurement of a machine, in percent; -1: not known.
type Vitals struct {
	CPU    float64            `json:"cpu"`
	Memory float64            `json:"memory"`
	Disks  map[string]float64 `json:"disks,omitempty"`
	Links  map[string]bool    `json:"links,omitempty" doc:"whether each link is up"`
	// Gateways says whether each answered.
	Gateways map[string]bool `json:"gateways,omitempty"`
}

func (s *Server) routesHealth() {
	get(s, "/v1/health", "health", "What is wrong with the machines under the nodes", func(st *cluster.State) Health {
		h := Health{Limits: st.Limits.Filled(), Nodes: []NodeHealth{}, Vitals: s.backend.Local().Vitals}
		for i := range st.Nodes {
			h.Nodes = append(h.Nodes, NodeHealth{Node: st.Nodes[i].Name, Marks: some(st.Nodes[i].Health)})
		}
		return h
	}, "nodes")
	do(s, op(http.MethodPut, "/v1/health/limits", "limits-set", "Set the thresholds of health; 0: the default, 101: never", "nodes"),
		func(ctx context.Context, in *struct{ Body cluster.Limits }) (Done, error) {
			l := in.Body.Filled()
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedLimits, l.CPU, l.Memory, l.Disk),
				SetLimits: &cluster.SetLimits{Limits: in.Body}})
		})
}

// health says what is wrong with the machines: a standby that can't take over is
// found before it has to.
func (a *assessor) health() {
	for i := range a.st.Nodes {
		n := &a.st.Nodes[i]
		if n.Presence == cluster.Left {
			continue
		}
		for _, m := range n.Health {
			a.find(SeverityWarning, "perdure node health", message.HealthBad, n.Name, message.Reason{Code: m.Reason.Code, Args: m.Reason.Args}.Text(message.English))
		}
	}
}
