package api

import (
	"context"
	"net/http"
	"net/url"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Decision is a person's answer to whether a failover may go on.
type Decision struct {
	Proceed bool `json:"proceed"`
	// Entry, if given, is the failover that the person has looked at.
	Entry uint64 `json:"entry,omitempty"`
}

// NodeChange changes what is set of a node's policies and leaves the rest.
type NodeChange struct {
	NotifyOnly      *bool     `json:"notify_only,omitempty"`
	FailoverBlocked *bool     `json:"failover_blocked,omitempty"`
	Targets         *[]string `json:"targets,omitempty" maxItems:"64"`
	Shutdown        *string   `json:"shutdown,omitempty" enum:"move,stay"`
	Host            *string   `json:"host,omitempty" maxLength:"255" doc:"the machine under a virtual one, where the hypervisor doesn't say it"`
}

// LossChange is what a node with services does when its lease ends.
type LossChange struct {
	Action string `json:"action" enum:"out-of-service,reboot,power-off"`
}

func (s *Server) routesPolicy() {
	do(s, op(http.MethodPost, "/v1/hierarchies/{hierarchy}/confirm", "hierarchy-confirm", "Decide whether a failover may go on", "hierarchies"), s.confirm)
	do(s, op(http.MethodPatch, "/v1/nodes/{node}", "node-set", "Change the policies of a node", "nodes"), s.changeNode)
	do(s, op(http.MethodPost, "/v1/nodes/{node}/clear", "node-clear", "Forget the past of a node and end its quarantine", "nodes"),
		func(ctx context.Context, in *OnNode) (Done, error) {
			st, err := s.state()
			if err != nil {
				return Done{}, err
			}
			ids, err := nodeIDs(st, []string{in.Node})
			if err != nil {
				return Done{}, err
			}
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedNodeClear, in.Node), Forget: &cluster.Forget{Node: ids[0], All: true}})
		})
	do(s, op(http.MethodPut, "/v1/quorum/loss", "quorum-loss", "What a node with services does on loss of quorum", "quorum"),
		func(ctx context.Context, in *struct{ Body LossChange }) (Done, error) {
			how := cluster.QuorumLoss(in.Body.Action)
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedQuorumLoss, in.Body.Action), SetCluster: &cluster.SetCluster{QuorumLoss: &how}})
		})
}

func (s *Server) confirm(ctx context.Context, in *struct {
	Named
	Body Decision
}) (Done, error) {
	h, err := s.hierarchy(in.Hierarchy)
	if err != nil {
		return Done{}, err
	}
	c := &cluster.Confirm{Hierarchy: in.Hierarchy, Entry: in.Body.Entry, Answer: cluster.AnswerBlock}
	if c.Entry == 0 && h.Failover != nil {
		c.Entry = h.Failover.Entry
	}
	if in.Body.Proceed {
		c.Answer = cluster.AnswerProceed
	}
	return s.propose(ctx, cluster.Command{Reason: asked(in.Body.Proceed, message.AskedConfirm, message.AskedBlock, in.Hierarchy), Confirm: c})
}

func (s *Server) changeNode(ctx context.Context, in *struct {
	OnNode
	Body NodeChange
}) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	b := &in.Body
	c := &cluster.SetNode{Host: b.Host}
	if b.Shutdown != nil {
		how := cluster.Shutdown(*b.Shutdown)
		c.Shutdown = &how
	}
	if b.NotifyOnly != nil || b.FailoverBlocked != nil || b.Targets != nil {
		c.OnFailure = &cluster.FailureChange{NotifyOnly: b.NotifyOnly, FailoverBlocked: b.FailoverBlocked}
		if c.OnFailure.Targets, err = targets(st, b.Targets); err != nil {
			return Done{}, err
		}
	}
	return s.setNode(ctx, in.Node, cluster.Because(message.AskedChange, in.Node), c)
}

// Confirm decides whether a failover may go on; entry 0: the present one.
func (c *Client) Confirm(ctx context.Context, hierarchy string, d Decision) (out Done, err error) {
	return out, c.ask(ctx, http.MethodPost, hierarchyPath(hierarchy, "/confirm"), d, &out)
}

// SetNode changes the policies of a node.
func (c *Client) SetNode(ctx context.Context, node string, n NodeChange) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPatch, "/v1/nodes/"+url.PathEscape(node), n, &d)
}

// ClearNode forgets the past of a node and ends its quarantine.
func (c *Client) ClearNode(ctx context.Context, node string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(node)+"/clear", nil, &d)
}

// SetQuorumLoss says what a node with services does on loss of quorum.
func (c *Client) SetQuorumLoss(ctx context.Context, action string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/quorum/loss", LossChange{Action: action}, &d)
}
