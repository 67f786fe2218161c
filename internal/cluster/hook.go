package cluster

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"time"
)

// Hook is a program of the user's that is told of entries of the timeline.
type Hook struct {
	Name string `json:"name"`
	// Argv is the program, by its absolute path on each node, with arguments.
	Argv []string `json:"argv"`
	// Events are the kinds that it is told of, in the form of [Kind.Event];
	// empty: all.
	Events []string `json:"events,omitempty"`
	// Where it runs.
	Where HookWhere `json:"where"`
	// Timeout ends it with all that it started.
	Timeout time.Duration `json:"timeout"`
}

// HookWhere says on which nodes a hook runs.
type HookWhere string

const (
	// HookLeader: on the node that leads when it learns of the entry. In the
	// moment of a change of leaders an entry may be told twice or not at all.
	HookLeader HookWhere = "leader"
	// HookAll: on every node that isn't a witness.
	HookAll HookWhere = "all"
)

// Limits of hooks.
const (
	MaxHooks       = 32
	HookTimeoutMin = time.Second
	HookTimeoutMax = 10 * time.Minute
	// HookTimeout is the default.
	HookTimeout = 30 * time.Second
	hookArgvMax = 4096 // bytes
)

// SetHook makes or replaces a hook.
type SetHook struct {
	Hook Hook `json:"hook"`
}

// DeleteHook removes a hook. A run that is under way ends by itself.
type DeleteHook struct {
	Name string `json:"name"`
}

// Codes of refusals about hooks. Their texts are in the message catalogue.
const (
	RefusedNoHook      = "PD7601" // hook {0}
	RefusedHookProgram = "PD7602" // hook {0}: program {1}
	RefusedHookEvent   = "PD7603" // hook {0}: event {1}
	RefusedHookTimeout = "PD7604" // hook {0}: {1} is not between {2} and {3}
	RefusedHookWhere   = "PD7605" // hook {0}: {1}
)

// Wants reports whether the hook is told of entries of a kind.
func (h *Hook) Wants(k Kind) bool {
	return len(h.Events) == 0 || slices.Contains(h.Events, k.Event())
}

// Check says why a hook can't be, as [Result]'s refusal.
func (h *Hook) Check() Reason {
	size := 0
	for _, a := range h.Argv {
		size += len(a) + 1
		if strings.ContainsRune(a, 0) {
			return Because(RefusedHookProgram, h.Name, "NUL")
		}
	}
	switch {
	case !ValidName(h.Name):
		return Because(RefusedBadName, h.Name)
	case len(h.Argv) == 0 || size > hookArgvMax:
		return Because(RefusedHookProgram, h.Name, "")
	case !path.IsAbs(h.Argv[0]) && !windowsPath(h.Argv[0]):
		return Because(RefusedHookProgram, h.Name, h.Argv[0])
	case h.Where != HookLeader && h.Where != HookAll:
		return Because(RefusedHookWhere, h.Name, h.Where)
	case h.Timeout < HookTimeoutMin || h.Timeout > HookTimeoutMax:
		return Because(RefusedHookTimeout, h.Name, h.Timeout, HookTimeoutMin, HookTimeoutMax)
	}
	for _, e := range h.Events {
		if !slices.ContainsFunc(Kinds(), func(k Kind) bool { return k.Event() == e }) {
			return Because(RefusedHookEvent, h.Name, e)
		}
	}
	return Reason{}
}

// windowsPath reports whether a path is absolute on Windows: a state is the same
// on every system.
func windowsPath(p string) bool {
	return len(p) > 3 && p[1] == ':' && (p[2] == '\\' || p[2] == '/')
}

// Hook finds a hook; nil if there is none.
func (s *State) Hook(name string) *Hook {
	if i := slices.IndexFunc(s.Hooks, func(h Hook) bool { return h.Name == name }); i >= 0 {
		return &s.Hooks[i]
	}
	return nil
}

func (s *State) setHook(index uint64, c *Command, a *SetHook) Result {
	if r := a.Hook.Check(); r.Code != "" {
		return Result{Refusal: r}
	}
	if old := s.Hook(a.Hook.Name); old != nil {
		*old = a.Hook
	} else if len(s.Hooks) >= MaxHooks {
		return refuse(RefusedTooMany, "hooks", MaxHooks)
	} else {
		s.Hooks = append(s.Hooks, a.Hook)
		slices.SortFunc(s.Hooks, func(a, b Hook) int { return cmp.Compare(a.Name, b.Name) })
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured})}
}

func (s *State) deleteHook(index uint64, c *Command, a *DeleteHook) Result {
	if s.Hook(a.Name) == nil {
		return refuse(RefusedNoHook, a.Name)
	}
	s.Hooks = slices.DeleteFunc(s.Hooks, func(h Hook) bool { return h.Name == a.Name })
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured})}
}
