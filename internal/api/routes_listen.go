package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Words for where a node's API listens.
const (
	ListenDefault = "default"
	ListenOff     = "off"
)

// NodeAPI says where a node answers users and access tokens.
type NodeAPI struct {
	Listen string `json:"listen" maxLength:"256" doc:"default: the node's comm paths at port 7443, once there are users or access tokens; off; or ip:port, separated by commas"`
}

func (s *Server) routesListen() {
	do(s, op(http.MethodPut, "/v1/nodes/{node}/api", "node-api", "Set where a node answers users and access tokens", "access"), s.setAPI)
}

func (s *Server) setAPI(ctx context.Context, in *struct {
	OnNode
	Body NodeAPI
}) (Done, error) {
	st, err := s.state()
	if err != nil {
		return Done{}, err
	}
	ids, err := nodeIDs(st, []string{in.Node})
	if err != nil {
		return Done{}, err
	}
	listen := in.Body.Listen
	if listen == ListenDefault {
		listen = ""
	}
	if listen != "" && listen != ListenOff {
		for _, a := range strings.Split(listen, ",") {
			if ap, err := netip.ParseAddrPort(a); err != nil || ap.Port() == 0 || ap.Addr().IsMulticast() {
				return Done{}, message.New(message.APIAddressBad, a)
			}
		}
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedAPI, in.Node, in.Body.Listen),
		SetNode: &cluster.SetNode{Node: ids[0], API: &listen}})
}

// ListenAddresses is where a node's API must listen now.
func ListenAddresses(st *cluster.State, id cluster.NodeID) []netip.AddrPort {
	n := st.Node(id)
	if n == nil || n.API == ListenOff || n.Role == cluster.RoleWitness || len(st.Users) == 0 && len(st.Keys) == 0 {
		return nil
	}
	var out []netip.AddrPort
	if n.API != "" {
		for _, a := range strings.Split(n.API, ",") {
			if ap, err := netip.ParseAddrPort(a); err == nil {
				out = append(out, ap)
			}
		}
		return out
	}
	for _, p := range n.Paths {
		if ap, err := netip.ParseAddrPort(p.Address); err == nil {
			out = append(out, netip.AddrPortFrom(ap.Addr(), DefaultPort))
		}
	}
	return out
}
