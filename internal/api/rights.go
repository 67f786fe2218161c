package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// anybody marks an operation that is open to whoever reaches the API.
const anybody cluster.Right = "anybody"

// least is the least role that may call each operation, by its id. One that
// isn't here is for the administrator; a test demands that every one is.
//
// A guest sees how the cluster is. An operator decides where and whether
// services run. What changes the cluster itself, or what it runs as root, is for
// administrators.
var least = map[string]cluster.Right{
	"status": cluster.Guest, "view": cluster.Guest, "state": cluster.Guest, "local": cluster.Guest,
	"nodes": cluster.Guest, "paths": cluster.Guest, "hierarchies": cluster.Guest, "hierarchy": cluster.Guest,
	"resources": cluster.Guest, "kits": cluster.Guest, "kit": cluster.Guest, "timeline": cluster.Guest,
	"why": cluster.Guest, "events": cluster.Guest, "hooks": cluster.Guest, "health": cluster.Guest,

	"hierarchy-in-service": cluster.Operator, "hierarchy-out-of-service": cluster.Operator,
	"switchover": cluster.Operator, "switchover-cancel": cluster.Operator, "hierarchy-clear": cluster.Operator,
	"maintenance": cluster.Operator, "node-maintenance": cluster.Operator, "hierarchy-maintenance": cluster.Operator,
	"resource-maintenance": cluster.Operator, "node-drain": cluster.Operator,
	"hierarchy-confirm": cluster.Operator, "node-clear": cluster.Operator,

	"hierarchy-create": cluster.Admin, "hierarchy-set": cluster.Admin, "hierarchy-delete": cluster.Admin,
	"hierarchy-extend": cluster.Admin, "hierarchy-unextend": cluster.Admin, "resource-dependency": cluster.Admin,
	"node-set": cluster.Admin, "quorum-loss": cluster.Admin,
	"resource-create": cluster.Admin, "resource-set": cluster.Admin, "resource-delete": cluster.Admin,
	"tokens": cluster.Admin, "token-create": cluster.Admin, "node-remove": cluster.Admin, "path-set": cluster.Admin,
	"node-stop": cluster.Admin, "node-fenced": cluster.Admin, "detection-set": cluster.Admin, "node-api": cluster.Admin, "storage-add": cluster.Admin,
	"limits-set": cluster.Admin, "hook-set": cluster.Admin, "hook-delete": cluster.Admin, "hook-test": cluster.Admin,

	"session-create": anybody, "session-delete": cluster.Guest, "whoami": cluster.Guest, "password-set": cluster.Guest,
	"users": cluster.Admin, "user-set": cluster.Admin, "user-delete": cluster.Admin,
	"keys": cluster.Admin, "key-create": cluster.Admin, "key-delete": cluster.Admin, "audit": cluster.Admin,
}

// leastFor is the least role for an operation.
func leastFor(id string) cluster.Right {
	if r, ok := least[id]; ok {
		return r
	}
	return cluster.Admin
}

// Caller is who asks.
type Caller struct {
	// Name is shown in the timeline and in the audit log.
	Name string `json:"name"`
	// Right is what the caller may do; empty: nobody knows who it is.
	Right cluster.Right `json:"role"`
	// Via is "local" for the machine's own socket, "token" or "login".
	Via string `json:"via" enum:"local,token,login"`
	// From is the address of the other end; empty on the local socket.
	From string `json:"from,omitempty"`
	// Key is the id of the access token or log-in.
	Key string `json:"key,omitempty"`
	// Until is when it is over, Unix seconds; 0: never.
	Until int64 `json:"until,omitempty"`
}

type callerKey struct{}

// caller is who asks; without one, nobody.
func caller(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

func withCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// checkRight lets a request through to its operation if the caller may call it,
// and has it recorded.
func (s *Server) checkRight(ctx huma.Context, next func(huma.Context)) {
	o := ctx.Operation()
	who, need := caller(ctx.Context()), leastFor(o.OperationID)
	n := new(note)
	ctx = huma.WithValue(ctx, noteKey{}, n)
	switch {
	case need == anybody || who.Right.Allows(need):
		next(ctx)
	case !who.Right.Valid():
		s.refuseRequest(ctx, http.StatusUnauthorized, message.New(message.NotAuthenticated), n)
	default:
		s.refuseRequest(ctx, http.StatusForbidden, message.New(message.NotAllowed, o.OperationID, need, who.Name, who.Right), n)
	}
	s.recordCall(ctx, who, n)
}

// refuseRequest answers a request that isn't carried out.
func (s *Server) refuseRequest(ctx huma.Context, status int, e *message.Error, n *note) {
	n.code = e.Code()
	if status == http.StatusUnauthorized {
		ctx.SetHeader("WWW-Authenticate", `Bearer realm="perdure"`)
	}
	_ = huma.WriteErr(s.huma, ctx, status, "", newProblem(status, e))
}
