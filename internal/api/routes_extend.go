package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// NewExtension asks for a node to be added to those of a hierarchy.
type NewExtension struct {
	Node string `json:"node" maxLength:"63"`
	// At is the place in the order, from 1; 0: the last.
	At int `json:"at,omitempty" minimum:"0" maximum:"64"`
}

// Dependency is one of a resource on another.
type Dependency struct {
	Child string `json:"child" maxLength:"63"`
	On    bool   `json:"on"`
}

func (s *Server) routesExtend() {
	do(s, op(http.MethodPost, "/v1/hierarchies/{hierarchy}/extend", "hierarchy-extend", "Extend a hierarchy to a node, if everything could be brought in service there", "hierarchies"), s.extend)
	do(s, op(http.MethodPost, "/v1/hierarchies/{hierarchy}/unextend", "hierarchy-unextend", "Take a node from those of a hierarchy", "hierarchies"), s.unextend)
	do(s, op(http.MethodPut, "/v1/hierarchies/{hierarchy}/resources/{resource}/dependency", "resource-dependency", "Add or remove one dependency", "resources"),
		func(ctx context.Context, in *struct {
			Inside
			Body Dependency
		}) (Done, error) {
			return s.propose(ctx, cluster.Command{
				Reason:        asked(in.Body.On, message.AskedDepend, message.AskedIndepend, in.Hierarchy, in.Resource, in.Body.Child),
				SetDependency: &cluster.SetDependency{Hierarchy: in.Hierarchy, Parent: in.Resource, Child: in.Body.Child, On: in.Body.On}})
		})
}

type extendIn struct {
	Named
	Body NewExtension
}

func (s *Server) extend(ctx context.Context, in *extendIn) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{in.Body.Node})
	if err != nil {
		return Done{}, err
	}
	// A node that isn't heard would be waited for in vain.
	if !heard(st, s.backend.Local(), ids[0]) {
		return Done{}, refusal(cluster.Because(message.NodeNotHeard, in.Body.Node))
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedExtend, in.Hierarchy, in.Body.Node),
		Extend: &cluster.Extend{Hierarchy: in.Hierarchy, Node: ids[0], At: in.Body.At - 1}})
}

func (s *Server) unextend(ctx context.Context, in *extendIn) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{in.Body.Node})
	if err != nil {
		return Done{}, err
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedUnextend, in.Hierarchy, in.Body.Node),
		Unextend: &cluster.Unextend{Hierarchy: in.Hierarchy, Node: ids[0]}})
}

// Extend asks for a node to be added to those of a hierarchy.
func (c *Client) Extend(ctx context.Context, hierarchy, node string, at int) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(hierarchy, "/extend"), NewExtension{Node: node, At: at}, &d)
}

// Unextend takes a node from those of a hierarchy.
func (c *Client) Unextend(ctx context.Context, hierarchy, node string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(hierarchy, "/unextend"), NewExtension{Node: node}, &d)
}

// SetDependency adds or removes one dependency.
func (c *Client) SetDependency(ctx context.Context, hierarchy, parent, child string, on bool) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, hierarchyPath(hierarchy, "/resources/"+url.PathEscape(parent)+"/dependency"), Dependency{Child: child, On: on}, &d)
}
