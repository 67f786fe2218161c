package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Switch turns something on or off.
type Switch struct {
	On bool `json:"on"`
}

func (s *Server) routesMaintenance() {
	do(s, op(http.MethodPut, "/v1/maintenance", "maintenance", "Begin or end the maintenance of the whole cluster", "maintenance"),
		func(ctx context.Context, in *struct{ Body Switch }) (Done, error) {
			return s.propose(ctx, cluster.Command{
				Reason:     asked(in.Body.On, message.AskedClusterMaintenance, message.AskedClusterMaintenanceEnd),
				SetCluster: &cluster.SetCluster{Maintenance: &in.Body.On}})
		})
	do(s, op(http.MethodPut, "/v1/nodes/{node}/maintenance", "node-maintenance", "Begin or end the maintenance of a node", "maintenance"),
		func(ctx context.Context, in *switchNode) (Done, error) {
			return s.setNode(ctx, in.Node, asked(in.Body.On, message.AskedMaintenance, message.AskedMaintenanceEnd, in.Node),
				&cluster.SetNode{Maintenance: &in.Body.On})
		})
	do(s, op(http.MethodPut, "/v1/nodes/{node}/drain", "node-drain", "Move everything away from a node and keep it empty, or end that", "maintenance"),
		func(ctx context.Context, in *switchNode) (Done, error) {
			return s.setNode(ctx, in.Node, asked(in.Body.On, message.AskedDrain, message.AskedDrainEnd, in.Node),
				&cluster.SetNode{Drain: &in.Body.On})
		})
	do(s, op(http.MethodPut, "/v1/hierarchies/{hierarchy}/maintenance", "hierarchy-maintenance", "Begin or end the maintenance of a hierarchy", "maintenance"),
		func(ctx context.Context, in *struct {
			Named
			Body Switch
		}) (Done, error) {
			return s.propose(ctx, cluster.Command{
				Reason:       asked(in.Body.On, message.AskedHierarchyMaintenance, message.AskedHierarchyMaintenanceEnd, in.Hierarchy),
				SetHierarchy: &cluster.SetHierarchy{Name: in.Hierarchy, Change: &cluster.PolicyChange{Maintenance: &in.Body.On}}})
		})
	do(s, op(http.MethodPut, "/v1/hierarchies/{hierarchy}/resources/{resource}/maintenance", "resource-maintenance", "Begin or end the maintenance of a resource", "maintenance"),
		func(ctx context.Context, in *struct {
			Inside
			Body Switch
		}) (Done, error) {
			return s.propose(ctx, cluster.Command{
				Reason:      asked(in.Body.On, message.AskedResourceMaintenance, message.AskedResourceMaintenanceEnd, in.Hierarchy+"/"+in.Resource),
				SetResource: &cluster.SetResource{Hierarchy: in.Hierarchy, Name: in.Resource, Maintenance: &in.Body.On}})
		})
}

type switchNode struct {
	OnNode
	Body Switch
}

// asked is the reason of a switch that a person turned.
func asked(on bool, begin, end string, args ...any) cluster.Reason {
	if on {
		return cluster.Because(begin, args...)
	}
	return cluster.Because(end, args...)
}

// setNode changes one node.
func (s *Server) setNode(ctx context.Context, name string, why cluster.Reason, c *cluster.SetNode) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{name})
	if err != nil {
		return Done{}, err
	}
	c.Node = ids[0]
	return s.propose(ctx, cluster.Command{Reason: why, SetNode: c})
}

// SetClusterMaintenance begins or ends the maintenance of the whole cluster.
func (c *Client) SetClusterMaintenance(ctx context.Context, on bool) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/maintenance", Switch{On: on}, &d)
}

// SetMaintenance begins or ends the maintenance of a node.
func (c *Client) SetMaintenance(ctx context.Context, node string, on bool) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/nodes/"+url.PathEscape(node)+"/maintenance", Switch{On: on}, &d)
}

// SetHierarchyMaintenance begins or ends the maintenance of a hierarchy.
func (c *Client) SetHierarchyMaintenance(ctx context.Context, hierarchy string, on bool) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, hierarchyPath(hierarchy, "/maintenance"), Switch{On: on}, &d)
}

// SetResourceMaintenance begins or ends the maintenance of a resource.
func (c *Client) SetResourceMaintenance(ctx context.Context, hierarchy, name string, on bool) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, hierarchyPath(hierarchy, "/resources/"+url.PathEscape(name)+"/maintenance"), Switch{On: on}, &d)
}

// Drain begins or ends the drain of a node.
func (c *Client) Drain(ctx context.Context, node string, on bool) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/nodes/"+url.PathEscape(node)+"/drain", Switch{On: on}, &d)
}
