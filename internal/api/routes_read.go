package api

import (
	"context"
	"net/http"
	"slices"

	"github.com/perdure-ha/perdure/internal/api/why"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// View is the replicated state with what this node knows by itself: all that a
// client needs to show a cluster.
type View struct {
	State  *cluster.State `json:"state"`
	Local  Local          `json:"local"`
	Report Report         `json:"report"`
}

func (s *Server) routesRead() {
	get(s, "/v1/status", "status", "The cluster assessed: safe or not, and why", s.report, "status")
	get(s, "/v1/view", "view", "The replicated state, this node's own view and the report", func(st *cluster.State) View {
		return View{State: st.Shown(), Local: s.backend.Local(), Report: s.report(st)}
	}, "status")
	get(s, "/v1/state", "state", "The replicated state", (*cluster.State).Shown, "status")
	get(s, "/v1/local", "local", "What this node knows by itself",
		func(*cluster.State) Local { return s.backend.Local() }, "status")
	get(s, "/v1/nodes", "nodes", "The nodes", func(st *cluster.State) []cluster.Node { return st.Nodes }, "nodes")
	get(s, "/v1/paths", "paths", "This node's comm paths with their counters",
		func(*cluster.State) []PathState { return s.backend.Local().Paths }, "paths")
	get(s, "/v1/hierarchies", "hierarchies", "The hierarchies with their resources",
		func(st *cluster.State) []cluster.Hierarchy { return st.Hierarchies }, "hierarchies")
	get(s, "/v1/tokens", "tokens", "Join tokens that were made; their secrets are known to nobody",
		func(st *cluster.State) []cluster.Token { return st.Tokens }, "nodes")
	get(s, "/v1/kits", "kits", "The kits with their settings",
		func(*cluster.State) []KitInfo { return s.kits.List() }, "kits")
	do(s, op(http.MethodGet, "/v1/kits/{kit}", "kit", "One kit", "kits"),
		func(_ context.Context, in *struct {
			Kit string `path:"kit" maxLength:"64"`
		}) (KitInfo, error) {
			return s.kits.Describe(in.Kit)
		})
	do(s, op(http.MethodGet, "/v1/hierarchies/{hierarchy}", "hierarchy", "One hierarchy", "hierarchies"),
		func(_ context.Context, in *Named) (*cluster.Hierarchy, error) { return s.hierarchy(in.Hierarchy) })
	do(s, op(http.MethodGet, "/v1/timeline", "timeline", "What happened, oldest first", "timeline"), s.timeline)
	do(s, op(http.MethodGet, "/v1/hierarchies/{hierarchy}/why", "why", "The causal timeline of a failover", "timeline"), s.why)
}

func (s *Server) report(st *cluster.State) Report { return Assess(st, s.backend.Local(), s.now()) }

// Named is the path of a hierarchy.
type Named struct {
	Hierarchy string `path:"hierarchy" maxLength:"63"`
}

// hierarchy finds one or says that there is none.
func (s *Server) hierarchy(name string) (*cluster.Hierarchy, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	if h := st.Hierarchy(name); h != nil {
		return h, nil
	}
	return nil, refusal(cluster.Because(message.RefusedNotFound, name))
}

type timelineQuery struct {
	After     uint64 `query:"after" doc:"only entries with a larger id"`
	Hierarchy string `query:"hierarchy" maxLength:"63" doc:"only this hierarchy's own"`
	Limit     int    `query:"limit" minimum:"1" maximum:"512" default:"512" doc:"the newest so many"`
}

func (s *Server) timeline(_ context.Context, in *timelineQuery) ([]cluster.Entry, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	out := slices.DeleteFunc(slices.Clone(st.Timeline), func(e cluster.Entry) bool {
		return e.ID <= in.After || in.Hierarchy != "" && e.Hierarchy != in.Hierarchy
	})
	return out[max(0, len(out)-in.Limit):], nil
}

type whyQuery struct {
	Named
	Entry uint64 `query:"entry" doc:"the episode to which this entry of the timeline belongs"`
	All   bool   `query:"all" doc:"every episode that the timeline still holds"`
}

func (s *Server) why(_ context.Context, in *whyQuery) ([]why.Story, error) {
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	stories, err := why.Tell(st, in.Hierarchy, why.Options{Entry: in.Entry, All: in.All})
	if err != nil {
		return nil, problem(http.StatusNotFound, err)
	}
	return stories, nil
}
