package api

import (
	"context"
	"net/http"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// HookChange makes or replaces a hook.
type HookChange struct {
	Argv   []string          `json:"argv" minItems:"1" maxItems:"64" doc:"the program, by its absolute path on each node, with arguments"`
	Events []string          `json:"events,omitempty" maxItems:"64" doc:"what it is told of, see docs/hooks.md; empty: everything"`
	Where  cluster.HookWhere `json:"where,omitempty" enum:"leader,all" default:"leader"`
	// TimeoutSeconds ends it with all that it started.
	TimeoutSeconds int `json:"timeout_seconds,omitempty" minimum:"1" maximum:"600" default:"30"`
}

// HookState is what became of a hook on one node since its daemon started.
type HookState struct {
	Name       string        `json:"name"`
	Running    string        `json:"running,omitempty" doc:"the event of a call that is under way"`
	RunningFor time.Duration `json:"running_for,omitempty"`
	Timeout    time.Duration `json:"timeout,omitempty"`
	Waiting    int           `json:"waiting,omitempty" doc:"events that wait for it"`
	Lost       uint64        `json:"lost,omitempty" doc:"events for which its queue had no room"`
	Done       uint64        `json:"done"`
	Failed     uint64        `json:"failed"`
	Last       *HookRun      `json:"last,omitempty"`
}

// HookRun is one call of a hook.
type HookRun struct {
	Entry    uint64         `json:"entry,omitempty" doc:"of the timeline; 0: a test"`
	Event    string         `json:"event"`
	At       time.Time      `json:"at"`
	Took     time.Duration  `json:"took"`
	ExitCode int            `json:"exit_code" doc:"-1: it did not end by itself"`
	Output   string         `json:"output,omitempty" doc:"the end of what it printed"`
	Reason   cluster.Reason `json:"reason,omitzero" doc:"why it failed; none: it did not"`
}

// HookView is a hook with what this node knows of it.
type HookView struct {
	Hook  cluster.Hook `json:"hook"`
	State HookState    `json:"state"`
}

// OnHook is the path of a hook.
type OnHook struct {
	Hook string `path:"hook" maxLength:"63"`
}

func (s *Server) routesHook() {
	get(s, "/v1/hooks", "hooks", "The hooks, and what became of them on this node", func(st *cluster.State) []HookView {
		states := s.backend.Local().Hooks
		out := []HookView{}
		for _, h := range st.Hooks {
			v := HookView{Hook: h, State: HookState{Name: h.Name}}
			for _, l := range states {
				if l.Name == h.Name {
					v.State = l
				}
			}
			out = append(out, v)
		}
		return out
	}, "hooks")
	do(s, op(http.MethodPut, "/v1/hooks/{hook}", "hook-set", "Make or replace a hook", "hooks"), s.setHook)
	do(s, op(http.MethodDelete, "/v1/hooks/{hook}", "hook-delete", "Delete a hook", "hooks"),
		func(ctx context.Context, in *OnHook) (Done, error) {
			return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedHookDelete, in.Hook), DeleteHook: &cluster.DeleteHook{Name: in.Hook}})
		})
	do(s, op(http.MethodPost, "/v1/hooks/{hook}/test", "hook-test", "Call a hook on this node, and wait", "hooks"),
		func(ctx context.Context, in *OnHook) (HookRun, error) {
			r, err := s.backend.TestHook(ctx, in.Hook)
			if message.Has(err, message.RefusedNoHook) {
				return r, problem(http.StatusNotFound, err)
			}
			return r, err
		})
}

func (s *Server) setHook(ctx context.Context, in *struct {
	OnHook
	Body HookChange
}) (Done, error) {
	h := cluster.Hook{Name: in.Hook, Argv: in.Body.Argv, Events: in.Body.Events, Where: in.Body.Where, Timeout: time.Duration(in.Body.TimeoutSeconds) * time.Second}
	if r := h.Check(); r.Code != "" {
		return Done{}, newProblem(http.StatusUnprocessableEntity, reasonError(r))
	}
	return s.propose(ctx, cluster.Command{Reason: cluster.Because(message.AskedHook, in.Hook), SetHook: &cluster.SetHook{Hook: h}})
}

// hooks looks for hooks that fail, hang or can't keep up on this node.
func (a *assessor) hooks() {
	for i := range a.l.Hooks {
		h := &a.l.Hooks[i]
		fix := "perdure hook show " + h.Name
		switch {
		case h.Running != "" && h.RunningFor > h.Timeout/2:
			a.find(SeverityWarning, fix, message.HookHangs, h.Name, h.RunningFor.Round(time.Second), h.Timeout, h.Waiting)
		case h.Last != nil && h.Last.Reason.Code != "":
			a.find(SeverityWarning, fix, message.HookFailed, h.Name, h.Last.Event, message.Reason{Code: h.Last.Reason.Code, Args: h.Last.Reason.Args}.Text(message.English))
		case h.Lost > 0:
			a.find(SeverityWarning, fix, message.HookBehind, h.Name, h.Lost)
		}
	}
}
