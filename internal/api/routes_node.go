package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// NodePaths are a node's ends of its comm paths.
type NodePaths struct {
	Paths []cluster.Path `json:"paths" minItems:"1" maxItems:"16"`
}

// NewToken asks for a join token.
type NewToken struct {
	Role         string `json:"role,omitempty" enum:"node,witness" default:"node"`
	ValidSeconds int    `json:"valid_seconds,omitempty" minimum:"10" maximum:"2592000" default:"3600"`
}

// TokenMade is a join token. It is shown once.
type TokenMade struct {
	Token   string    `json:"token"`
	Role    string    `json:"role"`
	Expires time.Time `json:"expires"`
}

// StopNode asks for the stop of this node.
type StopNode struct {
	Mode StopMode `json:"mode,omitempty" enum:"move,stop,keep,stay" doc:"what becomes of its services: moved, stopped for good, left running unmanaged, or stopped until the node is back; empty: as the node's shutdown strategy says"`
}

// OnNode is the path of a node.
type OnNode struct {
	Node string `path:"node" maxLength:"63"`
}

func (s *Server) routesNode() {
	do(s, op(http.MethodPost, "/v1/tokens", "token-create", "Make a one-time join token", "nodes"), s.createToken)
	do(s, op(http.MethodDelete, "/v1/nodes/{node}", "node-remove", "Remove a node from the cluster for good", "nodes"), s.removeNode)
	do(s, op(http.MethodPut, "/v1/nodes/{node}/paths", "path-set", "Set a node's ends of its comm paths", "paths"), s.setPaths)
	do(s, op(http.MethodPost, "/v1/local/stop", "node-stop", "Stop this node's daemon", "nodes"), s.stopNode)
	s.routesFencing()
	s.routesListen()
}

func (s *Server) createToken(ctx context.Context, in *struct{ Body NewToken }) (TokenMade, error) {
	role, valid := cluster.Role(in.Body.Role), time.Duration(in.Body.ValidSeconds)*time.Second
	text, err := s.backend.CreateToken(ctx, role, valid)
	if err != nil {
		return TokenMade{}, problem(http.StatusServiceUnavailable, err)
	}
	return TokenMade{Token: text, Role: in.Body.Role, Expires: s.now().Add(valid).Truncate(time.Second)}, nil
}

// removeNode refuses a removal after which the cluster could not decide any
// more: raft can't take it back.
func (s *Server) removeNode(ctx context.Context, in *OnNode) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{in.Node})
	if err != nil {
		return Done{}, err
	}
	l, id := s.backend.Local(), ids[0]
	if id == l.Self {
		return Done{}, newProblem(http.StatusConflict, message.New(message.RemoveElsewhere, in.Node))
	}
	m := &cluster.Member{Node: id, As: cluster.AsNothing}
	if r := st.CheckMember(m); r.Refused() {
		return Done{}, refusal(r.Refusal)
	}
	if st.IsVoter(id) {
		answering, rest := 0, 0
		for _, v := range st.Voters {
			if v == id {
				continue
			}
			rest++
			if heard(st, l, v) {
				answering++
			}
		}
		if need := rest/2 + 1; answering < need {
			return Done{}, newProblem(http.StatusConflict, message.New(message.RemoveLosesQuorum, in.Node, answering, rest, need))
		}
	}
	d, err := s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedRemove, in.Node), Member: m})
	if err == nil && len(st.Voters) == 3 && st.IsVoter(id) {
		d.Notes = append(d.Notes, cluster.Because(message.FewVotes, 2))
	}
	return d, err
}

func (s *Server) setPaths(ctx context.Context, in *struct {
	OnNode
	Body NodePaths
}) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{in.Node})
	if err != nil {
		return Done{}, err
	}
	paths := in.Body.Paths
	if err := checkPaths(paths); err != nil {
		return Done{}, problem(http.StatusUnprocessableEntity, err)
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedChange, in.Node), SetNode: &cluster.SetNode{Node: ids[0], Paths: paths}})
}

// checkPaths refuses ends of comm paths that can't work.
func checkPaths(paths []cluster.Path) error {
	seen := make(map[string]bool)
	for i := range paths {
		p := &paths[i]
		if !cluster.ValidName(p.Network) {
			return message.New(message.RefusedBadName, p.Network)
		}
		ap, err := netip.ParseAddrPort(p.Address)
		if err != nil || ap.Addr().IsUnspecified() || ap.Addr().IsMulticast() || ap.Port() == 0 {
			return message.New(message.PathAddressBad, p.Network, p.Address)
		}
		p.Address = ap.String()
		if seen[p.Network] || seen[p.Address] {
			return message.New(message.PathTwice, p.Network, p.Address)
		}
		seen[p.Network], seen[p.Address] = true, true
		if p.Priority == 0 {
			p.Priority = i + 1
		}
	}
	return nil
}

const (
	// stopMax bounds a clean stop; the daemon gives up before.
	stopMax = 5 * time.Minute
	// stopAnswer is how long a stop is waited for before the answer goes out:
	// long enough to report that it can't begin.
	stopAnswer = 500 * time.Millisecond
)

// stopNode begins the stop and answers at once: its progress is in the local
// view, and its end is that of this server.
func (s *Server) stopNode(ctx context.Context, in *struct{ Body StopNode }) (Done, error) {
	if in.Body.Mode == "" {
		st, err := s.state()
		if err != nil {
			return Done{}, err
		}
		in.Body.Mode = StopAsSet(st, s.backend.Local().Self)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopMax)
	result := make(chan error, 1)
	s.stops.Go(func() {
		defer cancel()
		go func() {
			select {
			case <-s.done:
				cancel()
			case <-end.Done():
			}
		}()
		err := s.backend.Stop(end, in.Body.Mode)
		if err != nil {
			s.log.Error("stop this node", "mode", in.Body.Mode, "err", err)
		}
		result <- err
	})
	timer := time.NewTimer(stopAnswer)
	defer timer.Stop()
	select {
	case err := <-result:
		if err != nil {
			return Done{}, problem(http.StatusServiceUnavailable, err)
		}
	case <-timer.C:
	case <-ctx.Done():
	}
	return Done{}, nil
}
