package api

import (
	"context"
	"net/http"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

func (s *Server) routesFencing() {
	do(s, op(http.MethodPost, "/v1/nodes/{node}/fenced", "node-fenced", "Confirm that an evicted or unmanaged node is powered off", "nodes"), s.fenced)
}

// fenced passes a person's word on: the node is off and touches no shared data
// any more. It is for the generation that the hierarchies wait for alone, or
// for that of an unmanaged node, so that a node that came back meanwhile isn't
// declared dead.
func (s *Server) fenced(ctx context.Context, in *OnNode) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{in.Node})
	if err != nil {
		return Done{}, err
	}
	for i := range st.Hierarchies {
		if h := &st.Hierarchies[i]; h.FenceWait == ids[0] {
			return s.propose(ctx, cluster.Command{
				Reason: cluster.Because(message.AskedFenced, in.Node),
				Fenced: &cluster.Fenced{Node: ids[0], Generation: h.FenceWaitGen, How: "person"},
			})
		}
	}
	n := st.Node(ids[0])
	if n.Presence != cluster.Unmanaged {
		return Done{}, newProblem(http.StatusConflict, message.New(message.NothingToFence, in.Node))
	}
	if heard(st, s.backend.Local(), n.ID) {
		return Done{}, newProblem(http.StatusConflict, message.New(message.NodeAnswersYet, in.Node))
	}
	return s.propose(ctx, cluster.Command{
		Reason: cluster.Because(message.AskedFenced, in.Node),
		Fenced: &cluster.Fenced{Node: n.ID, Generation: n.Generation, How: "person"},
	})
}
