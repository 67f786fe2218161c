package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// AuditRecord is one line of the audit log: who asked this node for what, and
// what became of it. What only looks is not recorded, unless it was refused.
type AuditRecord struct {
	At   time.Time     `json:"at"`
	Node string        `json:"node,omitempty"`
	Who  string        `json:"who"`
	Role cluster.Right `json:"role,omitempty"`
	Via  string        `json:"via,omitempty"`
	From string        `json:"from,omitempty"`
	Key  string        `json:"key,omitempty" doc:"id of the access token or log-in"`
	// Op is the operation's id in the OpenAPI description.
	Op   string `json:"op"`
	Path string `json:"path"`
	// What the command said, as it stands in the timeline.
	What   cluster.Reason `json:"what,omitzero"`
	Entry  uint64         `json:"entry,omitempty" doc:"the line of the timeline that it made"`
	Result string         `json:"result" enum:"done,refused,denied,failed,unknown"`
	Status int            `json:"status"`
	Code   string         `json:"code,omitempty" doc:"the message that was answered"`
	// Count says how many such requests this line stands for: refused log-ins
	// are recorded once in a while.
	Count int `json:"count,omitempty"`
}

// Audit keeps the audit log. Both methods may be called concurrently.
type Audit interface {
	// Record keeps a record. It waits for the disk, but not for long; whatever
	// goes wrong it reports by itself.
	Record(AuditRecord)
	// Last returns the newest records, oldest first.
	Last(n int) ([]AuditRecord, error)
}

// note is what a request leaves for the audit log on its way.
type note struct {
	who    string
	reason cluster.Reason
	entry  uint64
	code   string
}

type noteKey struct{}

// noted is the note of a request; outside of one, a note that nobody reads.
func noted(ctx context.Context) *note {
	if n, ok := ctx.Value(noteKey{}).(*note); ok {
		return n
	}
	return new(note)
}

// recordCall keeps what became of a request.
func (s *Server) recordCall(ctx huma.Context, who Caller, n *note) {
	o, status := ctx.Operation(), ctx.Status()
	denied := status == http.StatusUnauthorized || status == http.StatusForbidden || status == http.StatusTooManyRequests
	if s.access.Audit == nil || o.Method == http.MethodGet && !denied {
		return
	}
	r := AuditRecord{
		At: s.now().UTC().Truncate(time.Millisecond), Who: who.Name, Role: who.Right, Via: who.Via, From: who.From, Key: who.Key,
		Op: o.OperationID, Path: ctx.URL().Path, What: n.reason, Entry: n.entry, Status: status, Code: n.code,
	}
	if r.Who == "" {
		r.Who = n.who
	}
	switch {
	case denied:
		r.Result = "denied"
		if who.Right == "" { // a stranger must not be able to fill the log
			if r.Count = s.failures.worth(who.From); r.Count == 0 {
				return
			}
		}
	case n.code == message.ProposalUnknown || n.code == message.RequestTimeout:
		r.Result = "unknown"
	case status >= 500:
		r.Result = "failed"
	case status >= 400:
		r.Result = "refused"
	default:
		r.Result = "done"
	}
	s.access.Audit.Record(r)
}
