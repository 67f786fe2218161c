package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// NewResource asks for a resource.
type NewResource struct {
	Name      string            `json:"name" maxLength:"63"`
	Kit       string            `json:"kit" maxLength:"64"`
	Settings  map[string]string `json:"settings,omitempty"`
	DependsOn []string          `json:"depends_on,omitempty" maxItems:"64" doc:"children: in service before it, out of service after it"`
	Parents   []string          `json:"parents,omitempty" maxItems:"64" doc:"resources that will depend on it"`
}

// ResourceChange changes what is set and leaves the rest. An empty value of a
// setting gives it its default again.
type ResourceChange struct {
	Settings  map[string]string `json:"settings,omitempty"`
	DependsOn *[]string         `json:"depends_on,omitempty"`

	NotifyOnly      *bool     `json:"notify_only,omitempty"`
	FailoverBlocked *bool     `json:"failover_blocked,omitempty"`
	Targets         *[]string `json:"targets,omitempty" maxItems:"64"`
	// Seen, if given, is the hierarchy's "changed" that the caller had read.
	Seen uint64 `json:"seen,omitempty"`
}

// ResourceView is a resource with its hierarchy.
type ResourceView struct {
	Hierarchy string           `json:"hierarchy"`
	Resource  cluster.Resource `json:"resource"`
}

// Inside is the path of a resource.
type Inside struct {
	Hierarchy string `path:"hierarchy" maxLength:"63"`
	Resource  string `path:"resource" maxLength:"63"`
}

func (s *Server) routesResource() {
	get(s, "/v1/resources", "resources", "All resources", func(st *cluster.State) []ResourceView {
		all := []ResourceView{}
		for i := range st.Hierarchies {
			for _, r := range st.Hierarchies[i].Resources {
				all = append(all, ResourceView{st.Hierarchies[i].Name, r})
			}
		}
		return all
	}, "resources")
	const path = "/v1/hierarchies/{hierarchy}/resources"
	do(s, op(http.MethodPost, path, "resource-create", "Create a resource; it starts if its hierarchy is in service", "resources"), s.createResource)
	do(s, op(http.MethodPatch, path+"/{resource}", "resource-set", "Change a resource", "resources"), s.setResource)
	do(s, op(http.MethodDelete, path+"/{resource}", "resource-delete", "Stop and delete a resource on which nothing depends", "resources"),
		func(ctx context.Context, in *Inside) (Done, error) {
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedDelete, in.Hierarchy+"/"+in.Resource), DeleteResource: &cluster.DeleteResource{Hierarchy: in.Hierarchy, Name: in.Resource}})
		})
}

// resource checks the settings of a new resource.
func (s *Server) resource(in *NewResource) (cluster.Resource, error) {
	claims, common, clean, err := s.kits.Parse(in.Kit, in.Settings)
	if err != nil {
		return cluster.Resource{}, problem(http.StatusUnprocessableEntity, err)
	}
	return cluster.Resource{Name: in.Name, Kit: in.Kit, Settings: clean, Claims: claims, Common: common, DependsOn: in.DependsOn}, nil
}

func (s *Server) createResource(ctx context.Context, in *struct {
	Named
	Body NewResource
}) (Done, error) {
	h, err := s.hierarchy(in.Hierarchy)
	if err != nil {
		return Done{}, err
	}
	for _, name := range append(in.Body.DependsOn, in.Body.Parents...) {
		if name != in.Body.Name && h.Resource(name) == nil {
			return Done{}, refusal(cluster.Because(message.RefusedNoResource, name, h.Name))
		}
	}
	r, err := s.resource(&in.Body)
	if err != nil {
		return Done{}, err
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedCreate, in.Hierarchy+"/"+r.Name), CreateResource: &cluster.CreateResource{Hierarchy: in.Hierarchy, Resource: r, Parents: in.Body.Parents}})
}

// setTries is how often a change is made anew because something else was
// changed between look and leap.
const setTries = 5

func (s *Server) setResource(ctx context.Context, in *struct {
	Inside
	Body ResourceChange
}) (d Done, err error) {
	for range setTries {
		var c *cluster.SetResource
		if c, err = s.resourceChange(in.Inside, &in.Body); err != nil {
			return Done{}, err
		}
		d, err = s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedChange, in.Hierarchy+"/"+in.Resource), SetResource: c})
		var p *Problem
		if !errors.As(err, &p) || p.Code != message.RefusedChanged || in.Body.Seen != 0 {
			break
		}
	}
	return d, err
}

// resourceChange makes the whole of a resource's settings from what is set now
// and what shall be different, for exactly the state that it was read from.
func (s *Server) resourceChange(in Inside, change *ResourceChange) (*cluster.SetResource, error) {
	h, err := s.hierarchy(in.Hierarchy)
	if err != nil {
		return nil, err
	}
	st, err := s.state()
	if err != nil {
		return nil, err
	}
	r := h.Resource(in.Resource)
	if r == nil {
		return nil, refusal(cluster.Because(message.RefusedNoResource, in.Resource, in.Hierarchy))
	}
	c := &cluster.SetResource{Hierarchy: in.Hierarchy, Name: in.Resource, DependsOn: change.DependsOn, Seen: change.Seen}
	if change.NotifyOnly != nil || change.FailoverBlocked != nil || change.Targets != nil {
		c.OnFailure = &cluster.FailureChange{NotifyOnly: change.NotifyOnly, FailoverBlocked: change.FailoverBlocked}
		if c.OnFailure.Targets, err = targets(st, change.Targets); err != nil {
			return nil, err
		}
	}
	if len(change.Settings) == 0 {
		return c, nil
	}
	if c.Seen == 0 {
		c.Seen = h.Changed
	}
	all := maps.Clone(r.Settings)
	if all == nil {
		all = map[string]string{}
	}
	for k, v := range change.Settings {
		if v = strings.TrimSpace(v); v == "" {
			delete(all, k)
		} else {
			all[k] = v
		}
	}
	claims, common, clean, err := s.kits.Parse(r.Kit, all)
	if err != nil {
		return nil, problem(http.StatusUnprocessableEntity, err)
	}
	if clean == nil {
		clean = map[string]string{} // nil would mean: leave the settings
	}
	c.Settings, c.Claims, c.Common = clean, claims, &common
	return c, nil
}
