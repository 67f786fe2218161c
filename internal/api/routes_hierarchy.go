package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// NewHierarchy asks for a hierarchy.
type NewHierarchy struct {
	Name      string         `json:"name" maxLength:"63"`
	Nodes     []string       `json:"nodes" doc:"names, preferred first; empty: all nodes that host resources" required:"false" maxItems:"64"`
	Class     string         `json:"class,omitempty" enum:"self-guarding,shared-data,watchdog-only,unfenced"`
	Policy    cluster.Policy `json:"policy,omitempty"`
	InService bool           `json:"in_service,omitempty" doc:"bring it in service at once"`
	Resources []NewResource  `json:"resources,omitempty" maxItems:"64"`
}

// HierarchyChange changes what is set and leaves the rest.
type HierarchyChange struct {
	Nodes           []string `json:"nodes,omitempty" maxItems:"64"`
	Class           string   `json:"class,omitempty" enum:"self-guarding,shared-data,watchdog-only,unfenced"`
	NotifyOnly      *bool    `json:"notify_only,omitempty"`
	Switchback      *bool    `json:"switchback,omitempty"`
	Maintenance     *bool    `json:"maintenance,omitempty"`
	ConfirmFailover *bool    `json:"confirm_failover,omitempty"`
	ConfirmSeconds  *int     `json:"confirm_seconds,omitempty" minimum:"0" maximum:"86400"`
	ConfirmDefault  *string  `json:"confirm_default,omitempty" enum:"proceed,block"`
	FailoverBlocked *bool    `json:"failover_blocked,omitempty"`
	// Targets are names; an empty list lifts the restriction.
	Targets      *[]string `json:"targets,omitempty" maxItems:"64"`
	MovesPerHour *int      `json:"moves_per_hour,omitempty" minimum:"-1" maximum:"100" doc:"0: the default; -1: no bound"`
	// Seen, if given, is the hierarchy's "changed" that the caller had read.
	Seen uint64 `json:"seen,omitempty"`
}

// Switchover asks for one.
type Switchover struct {
	To string `json:"to,omitempty" maxLength:"63" doc:"the node's name; empty: the next eligible one of the hierarchy"`
}

// SwitchoverDone says where it goes.
type SwitchoverDone struct {
	Done
	From string `json:"from,omitempty"`
	To   string `json:"to"`
}

// onHierarchy is a command about one hierarchy without more to say.
func (s *Server) onHierarchy(path, id, summary string, f func(name string) cluster.Command) {
	do(s, op(http.MethodPost, "/v1/hierarchies/{hierarchy}/"+path, id, summary, "hierarchies"),
		func(ctx context.Context, in *Named) (Done, error) { return s.propose(ctx, f(in.Hierarchy)) })
}

func (s *Server) routesHierarchy() {
	do(s, op(http.MethodPost, "/v1/hierarchies", "hierarchy-create", "Create a hierarchy", "hierarchies"), s.createHierarchy)
	do(s, op(http.MethodPatch, "/v1/hierarchies/{hierarchy}", "hierarchy-set", "Change a hierarchy", "hierarchies"), s.setHierarchy)
	do(s, op(http.MethodDelete, "/v1/hierarchies/{hierarchy}", "hierarchy-delete", "Delete a hierarchy that is out of service", "hierarchies"),
		func(ctx context.Context, in *Named) (Done, error) {
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedDelete, in.Hierarchy),
				DeleteHierarchy: &cluster.DeleteHierarchy{Name: in.Hierarchy}})
		})
	s.onHierarchy("in-service", "hierarchy-in-service", "Bring a hierarchy in service", func(name string) cluster.Command {
		return cluster.Command{Reason: cluster.Because(message.AskedInService, name),
			SetWant: &cluster.SetWant{Hierarchy: name, Want: cluster.WantInService}}
	})
	s.onHierarchy("out-of-service", "hierarchy-out-of-service", "Take a hierarchy out of service", func(name string) cluster.Command {
		return cluster.Command{Reason: cluster.Because(message.AskedOutOfService, name),
			SetWant: &cluster.SetWant{Hierarchy: name, Want: cluster.WantOutOfService}}
	})
	s.onHierarchy("cancel", "switchover-cancel", "Cancel a switchover that isn't over", func(name string) cluster.Command {
		return cluster.Command{Reason: cluster.Because(message.AskedCancel, name), CancelMove: &cluster.CancelMove{Hierarchy: name}}
	})
	do(s, op(http.MethodPost, "/v1/hierarchies/{hierarchy}/switchover", "switchover", "Move a hierarchy to another node", "hierarchies"), s.switchover)
	do(s, op(http.MethodPost, "/v1/hierarchies/{hierarchy}/clear", "hierarchy-clear", "Clear failure marks", "hierarchies"), s.clearFailures)
}

// nodeIDs turns names into ids.
func nodeIDs(st *cluster.State, names []string) ([]cluster.NodeID, error) {
	var out []cluster.NodeID
	for _, name := range names {
		n := st.NodeByName(name)
		if n == nil {
			return nil, refusal(cluster.Because(message.RefusedUnknownNode, name))
		}
		out = append(out, n.ID)
	}
	return out, nil
}

// targets turns a list of names into ids; nil stays nil.
func targets(st *cluster.State, names *[]string) (*[]cluster.NodeID, error) {
	if names == nil {
		return nil, nil
	}
	ids, err := nodeIDs(st, *names)
	if err != nil {
		return nil, err
	}
	if ids == nil {
		ids = []cluster.NodeID{} // nil would mean: leave the list
	}
	return &ids, nil
}

func (s *Server) createHierarchy(ctx context.Context, in *struct{ Body NewHierarchy }) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	c := &cluster.CreateHierarchy{Name: in.Body.Name, Class: cluster.Class(in.Body.Class), Policy: in.Body.Policy,
		Want: cluster.WantOutOfService}
	if in.Body.InService {
		c.Want = cluster.WantInService
	}
	if c.Nodes, err = nodeIDs(st, in.Body.Nodes); err != nil {
		return Done{}, err
	}
	if len(c.Nodes) == 0 {
		for i := range st.Nodes {
			if st.Nodes[i].Role == cluster.RoleNode {
				c.Nodes = append(c.Nodes, st.Nodes[i].ID)
			}
		}
	}
	for i := range in.Body.Resources {
		r, err := s.resource(&in.Body.Resources[i])
		if err != nil {
			return Done{}, err
		}
		c.Resources = append(c.Resources, r)
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedCreate, c.Name), CreateHierarchy: c})
}

func (s *Server) setHierarchy(ctx context.Context, in *struct {
	Named
	Body HierarchyChange
}) (Done, error) {
	if _, err := s.hierarchy(in.Hierarchy); err != nil {
		return Done{}, err
	}
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	c := &cluster.SetHierarchy{Name: in.Hierarchy, Seen: in.Body.Seen}
	if c.Nodes, err = nodeIDs(st, in.Body.Nodes); err != nil {
		return Done{}, err
	}
	if in.Body.Class != "" {
		class := cluster.Class(in.Body.Class)
		c.Class = &class
	}
	b := &in.Body
	c.Change = &cluster.PolicyChange{NotifyOnly: b.NotifyOnly, Switchback: b.Switchback, Maintenance: b.Maintenance,
		ConfirmFailover: b.ConfirmFailover, ConfirmSeconds: b.ConfirmSeconds, ConfirmDefault: b.ConfirmDefault,
		FailoverBlocked: b.FailoverBlocked, MovesPerHour: b.MovesPerHour}
	if c.Change.Targets, err = targets(st, b.Targets); err != nil {
		return Done{}, err
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedChange, c.Name), SetHierarchy: c})
}

func (s *Server) switchover(ctx context.Context, in *struct {
	Named
	Body Switchover `required:"false"`
}) (SwitchoverDone, error) {
	h, err := s.hierarchy(in.Hierarchy)
	if err != nil {
		return SwitchoverDone{}, err
	}
	st, err := s.state()
	if err != nil {
		return SwitchoverDone{}, err
	}
	out := SwitchoverDone{}
	if h.Owner != 0 {
		out.From = st.NodeName(h.Owner)
	}
	var to cluster.NodeID
	if in.Body.To != "" {
		ids, err := nodeIDs(st, []string{in.Body.To})
		if err != nil {
			return out, err
		}
		to = ids[0]
	} else {
		next := standbys(st, s.backend.Local(), h)
		if len(next) == 0 {
			return out, newProblem(http.StatusConflict, message.New(message.NoStandby, in.Hierarchy))
		}
		to = next[0]
	}
	out.To = st.NodeName(to)
	out.Done, err = s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedSwitchover, in.Hierarchy, out.To),
		StartMove: &cluster.StartMove{Hierarchy: in.Hierarchy, To: to}})
	return out, err
}

func (s *Server) clearFailures(ctx context.Context, in *struct {
	Named
	Node string `query:"node" maxLength:"63" doc:"only the mark of this node"`
}) (Done, error) {
	c := &cluster.ClearFailures{Hierarchy: in.Hierarchy}
	if in.Node != "" {
		st, err := s.state()
		if err != nil {
			return Done{}, err
		}
		ids, err := nodeIDs(st, []string{in.Node})
		if err != nil {
			return Done{}, err
		}
		c.Node = ids[0]
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedClear, in.Hierarchy), ClearFailures: c})
}

// standbys are the nodes that could take the hierarchy over now, best first.
func standbys(st *cluster.State, l Local, h *cluster.Hierarchy) []cluster.NodeID {
	return slices.DeleteFunc(slices.Clone(h.Nodes), func(id cluster.NodeID) bool {
		n := st.Node(id)
		return id == h.Owner || n == nil || !n.Takes() || h.FailedOn(id) || !heard(st, l, id)
	})
}

// heard reports whether a node is heard: for longer than this silence others
// forget a leader, see cluster.Timing.
func heard(st *cluster.State, l Local, id cluster.NodeID) bool {
	if id == l.Self {
		return true
	}
	for _, n := range l.Nodes {
		if n.Node == id {
			return n.Ago >= 0 && n.Ago <= st.Timing().LeaderSilence
		}
	}
	return false
}
