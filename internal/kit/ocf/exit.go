package ocf

import (
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Exit codes of agents.
// Source: Open Cluster Framework Resource Agent API 1.1, section 4.2.
const (
	exitOK               = 0
	exitGeneric          = 1
	exitArguments        = 2
	exitUnimplemented    = 3
	exitPermission       = 4
	exitNotInstalled     = 5
	exitNotConfigured    = 6
	exitNotRunning       = 7
	exitPromoted         = 8
	exitPromotedFailed   = 9
	exitDegraded         = 190
	exitDegradedPromoted = 191
)

// meaning is an exit code in words.
func meaning(code int) string {
	if m, ok := map[int]string{
		exitOK: "success", exitGeneric: "failure", exitArguments: "bad arguments", exitUnimplemented: "the action doesn't exist",
		exitPermission: "no permission", exitNotInstalled: "something it needs is not installed", exitNotConfigured: "bad configuration",
		exitNotRunning: "not running", exitPromoted: "runs promoted", exitPromotedFailed: "failed in the promoted role",
		exitDegraded: "runs degraded", exitDegradedPromoted: "runs promoted and degraded",
	}[code]; ok {
		return m
	}
	return "an exit code without a meaning"
}

// runs reports whether a monitor found something that runs, well or not.
func runs(code int) bool {
	switch code {
	case exitOK, exitPromoted, exitPromotedFailed, exitDegraded, exitDegradedPromoted:
		return true
	}
	return false
}

// health is what a monitor's exit code means for a resource that should have a
// role.
func health(agent string, r kit.Result, promoted bool) kit.Health {
	code := r.ExitCode
	switch {
	case code == exitNotRunning:
		return kit.Because(cluster.OutOfService, message.OCFNotRunning, agent)
	case promoted && (code == exitOK || code == exitDegraded):
		return kit.Because(cluster.Failed, message.OCFNotPromoted, agent)
	case code == exitOK, code == exitPromoted:
		return kit.Healthy
	case code == exitDegraded, code == exitDegradedPromoted:
		return kit.Because(cluster.Degraded, message.OCFDegraded, agent, said(r))
	}
	return kit.BecauseOf(cluster.Failed, failed(agent, "monitor", r))
}

// failed is the message for an exit code that an action must not have.
func failed(agent, action string, r kit.Result) error {
	return message.New(message.OCFFailed, agent, action, meaning(r.ExitCode), r.ExitCode, said(r))
}

// reasonMark is how agents mark the line that a person should see.
const reasonMark = "ocf-exit-reason:"

// said is what an agent printed: the reason that it marks, or its last lines.
func said(r kit.Result) string {
	if i := strings.LastIndex(r.Output, reasonMark); i >= 0 {
		text, _, _ := strings.Cut(r.Output[i+len(reasonMark):], "\n")
		if text = line(text); text != "" {
			return text[:min(len(text), 600)]
		}
	}
	return r.Tail
}
