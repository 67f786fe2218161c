package ocf

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Agent is one resource that an OCF agent takes care of.
type Agent struct {
	in     kit.Instance
	kit    agentKit
	path   string
	shared string // the directory of this node's attributes and shims
}

func (a *Agent) promoted() bool { return a.in.Values.String("ocf.role") == rolePromoted }

// Start implements [kit.Resource].
func (a *Agent) Start(ctx context.Context, _ cluster.Release) error {
	if err := a.in.ClearFrozen(ctx); err != nil {
		return err
	}
	r, err := a.monitor(ctx, "probe", 0)
	if err != nil {
		return err
	}
	if r.ExitCode == exitPromotedFailed || r.ExitCode == exitGeneric {
		// What runs and has failed must be stopped before it can be started.
		if err := a.Stop(ctx); err != nil {
			return err
		}
		r.ExitCode = exitNotRunning
	}
	if !runs(r.ExitCode) {
		if err := a.act(ctx, "start"); err != nil {
			return err
		}
	}
	if a.promoted() && r.ExitCode != exitPromoted && r.ExitCode != exitDegradedPromoted {
		if err := a.act(ctx, "promote"); err != nil {
			return err
		}
	}
	if r, err = a.monitor(ctx, "probe", 0); err != nil {
		return err
	}
	switch h := health(a.kit.Name(), r, a.promoted()); {
	case h.Status.Serving():
		return nil
	case h.Status == cluster.OutOfService, h.Reason.Code == message.OCFNotPromoted:
		return message.New(message.OCFLies, a.kit.Name(), lastAction(a.promoted()), meaning(r.ExitCode))
	default:
		return failed(a.kit.Name(), "monitor", r)
	}
}

func lastAction(promoted bool) string {
	if promoted {
		return "promote"
	}
	return "start"
}

// Stop implements [kit.Resource]. Whatever the agent left running is ended as
// well: out of service means that nothing runs.
func (a *Agent) Stop(ctx context.Context) error {
	err := a.stop(ctx)
	return errors.Join(err, a.in.EndService(ctx))
}

func (a *Agent) stop(ctx context.Context) error {
	if a.promoted() {
		if r, err := a.monitor(ctx, "probe", 0); err == nil && (r.ExitCode == exitPromoted || r.ExitCode == exitPromotedFailed || r.ExitCode == exitDegradedPromoted) {
			if err := a.act(ctx, "demote"); err != nil {
				a.in.Log.Warn("agent was not demoted and is stopped as it is", "err", err)
			}
		}
	}
	if err := a.act(ctx, "stop"); err != nil {
		return err
	}
	r, err := a.monitor(ctx, "probe", 0)
	if err != nil {
		return err
	}
	if runs(r.ExitCode) {
		return message.New(message.OCFLies, a.kit.Name(), "stop", meaning(r.ExitCode))
	}
	return nil
}

// Check implements [kit.Resource].
func (a *Agent) Check(ctx context.Context, depth kit.Depth) kit.Health {
	level, action := 0, "monitor"
	if depth == kit.Deep {
		action, level = "deep-monitor", a.in.Values.Int("ocf.level")
	}
	r, err := a.monitor(ctx, action, level)
	if err != nil {
		return kit.BecauseOf(judge(err), err)
	}
	return health(a.kit.Name(), r, a.promoted())
}

// judge says what it means that the monitor did not end by itself.
func judge(err error) cluster.Status {
	switch {
	case errors.Is(err, context.Canceled): // nobody waits for the answer any more
		return cluster.Unknown
	case message.Has(err, message.CommandTimedOut), message.Has(err, message.CommandKilled), message.Has(err, message.CommandStuck):
		return cluster.Failed
	}
	return cluster.Unknown
}

// monitor asks the agent how things are at a level. Deeper levels need
// parameters of their own, so none is chosen unasked. output is the name of the file for
// what it prints, so that two that run beside each other don't mix.
func (a *Agent) monitor(ctx context.Context, output string, level int) (kit.Result, error) {
	return a.run(ctx, output, "monitor", false, fmt.Sprintf("OCF_CHECK_LEVEL=%d", level))
}

// act runs an action that must end with 0.
func (a *Agent) act(ctx context.Context, action string) error {
	r, err := a.run(ctx, action, action, action == "start" || action == "promote")
	if err != nil {
		return err
	}
	if r.ExitCode != exitOK {
		return failed(a.kit.Name(), action, r)
	}
	return nil
}

func (a *Agent) run(ctx context.Context, output, action string, keep bool, env ...string) (kit.Result, error) {
	if _, err := os.Stat(a.path); err != nil {
		return kit.Result{}, message.New(message.OCFNoAgent, a.kit.Name(), a.path)
	}
	if err := a.prepare(); err != nil {
		return kit.Result{}, err
	}
	c := kit.Command{Action: output, Argv: []string{a.path, action}, Keep: keep, Capture: 64 << 10}
	if action == "stop" || action == "demote" {
		c.Timeout = kit.StopTime(ctx)
	}
	left := time.Minute
	if end, ok := ctx.Deadline(); ok {
		left = time.Until(end)
	}
	if c.Timeout > 0 {
		left = min(left, c.Timeout)
	}
	c.Env = append(a.environment(action, left), env...)
	return a.in.Runner.Run(ctx, c)
}

// environment is what an agent gets. Parameters that were not given are left
// out: agents know their defaults, some of which depend on the machine.
// Source: Open Cluster Framework Resource Agent API 1.1, section 4.3; the
// variables of Pacemaker are those that agents of Debian's resource-agents read.
func (a *Agent) environment(action string, left time.Duration) []string {
	shims := filepath.Join(a.shared, "sbin")
	node, _ := os.Hostname()
	env := []string{
		"OCF_ROOT=" + a.kit.root,
		"OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE=" + a.instance(),
		"OCF_RESOURCE_TYPE=" + a.kit.name.agent,
		"OCF_RESOURCE_PROVIDER=" + a.kit.name.provider,
		"OCF_RESKEY_crm_feature_set=" + featureSet,
		fmt.Sprintf("OCF_RESKEY_CRM_meta_timeout=%d", left.Milliseconds()),
		"OCF_RESKEY_CRM_meta_name=" + action,
		"OCF_RESKEY_CRM_meta_on_node=" + node,
		"OCF_RESKEY_CRM_meta_on_node_uuid=1",
		"HA_SBIN_DIR=" + shims,
		"HA_RSCTMP=" + tempDir,
		"HA_LOGD=no", "HA_debug=0",
		"PATH=" + shims + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		stateVariable + "=" + a.shared,
	}
	if action == "monitor" {
		env = append(env, fmt.Sprintf("OCF_RESKEY_CRM_meta_interval=%d", a.in.Values.Duration("check.interval").Milliseconds()))
	}
	if a.kit.meta.Has("promote") {
		for _, p := range []string{"clone=0", "clone_max=1", "clone_node_max=1", "promoted_max=1", "promoted_node_max=1", "master_max=1", "master_node_max=1", "notify=false", "globally_unique=false"} {
			env = append(env, "OCF_RESKEY_CRM_meta_"+p)
		}
	}
	for _, p := range a.kit.meta.Parameters {
		if text := a.in.Values.Text(p.Name); text != "" && text != p.Default {
			env = append(env, "OCF_RESKEY_"+p.Name+"="+text)
		}
	}
	return env
}

const (
	// featureSet is the version of Pacemaker's interface that agents see; from
	// 3.10.0 on they set promotion scores by crm_attribute.
	featureSet = "3.16.2"
	// tempDir is where agents keep what doesn't survive a boot.
	tempDir = "/run/resource-agents"
	// stateVariable names the directory for the shims.
	stateVariable = "PERDURE_OCF_STATE"
)

// instance is the resource's name on this node, as agents use it in file names.
func (a *Agent) instance() string { return a.in.Hierarchy + "." + a.in.Resource }

// prepare makes what agents expect: their directory, and the commands.
func (a *Agent) prepare() error {
	if err := os.MkdirAll(tempDir, 0o755); err != nil {
		return message.New(message.RunDirUnusable, tempDir, err.Error()).Wrap(err)
	}
	if err := installShims(filepath.Join(a.shared, "sbin")); err != nil {
		return message.New(message.RunDirUnusable, a.shared, err.Error()).Wrap(err)
	}
	return nil
}

// Validate implements [kit.Validator]. The agent's own validate-all is asked
// when the resource is ready or starts: before its disk is there, much is wrong
// that will be right.
func (a *Agent) Validate(context.Context) error {
	_, err := kit.Executable(a.path)
	return err
}

// Ready implements [kit.Standby].
func (a *Agent) Ready(ctx context.Context) kit.Health {
	if err := a.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if !a.kit.meta.Has("validate-all") {
		return kit.Health{Status: cluster.OutOfService}
	}
	r, err := a.run(ctx, "validate-all", "validate-all", false)
	switch {
	case err != nil:
		return kit.BecauseOf(judge(err), err)
	case slices.Contains([]int{exitOK, exitUnimplemented, exitNotRunning}, r.ExitCode):
		return kit.Health{Status: cluster.OutOfService}
	}
	return kit.BecauseOf(cluster.Failed, failed(a.kit.Name(), "validate-all", r))
}

// Adopt implements [kit.Adopter]: the agent knows what runs.
func (a *Agent) Adopt(ctx context.Context) (bool, error) {
	r, err := a.monitor(ctx, "probe", 0)
	if err != nil {
		return false, err
	}
	return runs(r.ExitCode), nil
}

// Addresses implements [kit.Guarded].
func (a *Agent) Addresses() ([]kit.GuardedAddress, error) {
	parameter := addressParameters[a.kit.name.agent]
	if parameter == "" {
		return nil, nil
	}
	text := a.in.Values.Text(parameter)
	addr, ok := a.kit.address(parameter, text)
	if !ok {
		return nil, message.New(message.AddressUnusable, text)
	}
	p := netip.PrefixFrom(addr, addr.BitLen())
	if _, length, found := strings.Cut(text, "/"); found {
		if q, err := netip.ParsePrefix(addr.String() + "/" + length); err == nil {
			p = q
		}
	}
	return []kit.GuardedAddress{{Prefix: p}}, nil
}

// Cgroup implements [kit.Guarded].
func (a *Agent) Cgroup() string { return a.in.Group }

// Close implements [kit.Resource].
func (a *Agent) Close() error { return nil }
