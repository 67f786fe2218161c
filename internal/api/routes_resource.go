package api

import (
	"context"
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

func (s *Server) setResource(ctx context.Context, in *struct {
	Inside
	Body ResourceChange
}) (Done, error) {
	h, err := s.hierarchy(in.Hierarchy)
	if err != nil {
		return Done{}, err
	}
	r := h.Resource(in.Resource)
	if r == nil {
		return Done{}, refusal(cluster.Because(message.RefusedNoResource, in.Resource, in.Hierarchy))
	}
	c := &cluster.SetResource{Hierarchy: in.Hierarchy, Name: in.Resource, DependsOn: in.Body.DependsOn}
	if len(in.Body.Settings) > 0 {
		all := maps.Clone(r.Settings)
		if all == nil {
			all = map[string]string{}
		}
		for k, v := range in.Body.Settings {
			if v = strings.TrimSpace(v); v == "" {
				delete(all, k)
			} else {
				all[k] = v
			}
		}
		claims, common, clean, err := s.kits.Parse(r.Kit, all)
		if err != nil {
			return Done{}, problem(http.StatusUnprocessableEntity, err)
		}
		if clean == nil {
			clean = map[string]string{} // nil would mean: leave the settings
		}
		c.Settings, c.Claims, c.Common = clean, claims, &common
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedChange, in.Hierarchy+"/"+r.Name), SetResource: c})
}
