package container

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// stateFile says that the container was made here, and which process leads it.
const stateFile = "container.json"

// label marks a container as ours.
const label = "perdure.resource"

// Container is one container on this node.
type Container struct {
	in   kit.Instance
	life kit.Life
}

func (c *Container) name() string {
	if n := c.in.Values.String("name"); n != "" {
		return n
	}
	return "perdure-" + c.in.Hierarchy + "-" + c.in.Resource
}

func (c *Container) mark() string { return c.in.Hierarchy + "/" + c.in.Resource }

// engine runs a command of the engine.
func (c *Container) engine(ctx context.Context, action string, keep bool, args ...string) (kit.Result, error) {
	return c.in.Runner.Run(ctx, kit.Command{Action: action, Argv: append(c.in.Values.List("engine"), args...), Keep: keep,
		Env: []string{"HOME=/root"}, Capture: 64 << 10})
}

// state is what the engine says of a container.
type state struct {
	there  bool
	status string // created, running, paused, restarting, exited, dead, …
	pid    int
	exit   string
	mark   string
}

// format asks for the state in words that podman and docker share.
const format = `{{.State.Status}}|{{.State.Pid}}|{{.State.ExitCode}}|{{index .Config.Labels "` + label + `"}}`

func (c *Container) inspect(ctx context.Context) (state, error) {
	r, err := c.engine(ctx, "inspect", false, "container", "inspect", "--format", format, c.name())
	if err != nil {
		return state{}, err
	}
	if r.ExitCode != 0 {
		if text := strings.ToLower(r.Output); strings.Contains(text, "no such") {
			return state{}, nil
		}
		return state{}, message.New(message.ContainerEngine, r.Tail)
	}
	return parseState(r.Output)
}

// parseState reads the answer to format: the last line of the output, because
// engines warn before it.
func parseState(output string) (state, error) {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	f := strings.Split(strings.TrimSpace(lines[len(lines)-1]), "|")
	if len(f) != 4 || f[0] == "" {
		return state{}, message.New(message.ContainerEngine, "inspect answers "+strconv.Quote(output[:min(len(output), 200)]))
	}
	pid, err := strconv.Atoi(f[1])
	if err != nil || pid < 0 {
		return state{}, message.New(message.ContainerEngine, "inspect names process "+strconv.Quote(f[1]))
	}
	return state{there: true, status: f[0], pid: pid, exit: f[2], mark: f[3]}, nil
}

// Start implements [kit.Resource]. The container is made afresh: what one left
// behind on this node says nothing about the data that has moved.
func (c *Container) Start(ctx context.Context, _ cluster.Release) error {
	if err := c.in.ClearFrozen(ctx); err != nil {
		return err
	}
	st, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	if st.there && st.mark != c.mark() {
		return message.New(message.ContainerForeign, c.name())
	}
	if st.there && st.status == "running" {
		return c.begin(st)
	}
	if st.there {
		if err := c.remove(ctx); err != nil {
			return err
		}
	}
	v := c.in.Values
	args := append([]string{"run", "--detach", "--pull=never", "--restart=no", "--name", c.name(), "--label", label + "=" + c.mark()}, v.List("options")...)
	r, err := c.engine(ctx, "run", true, append(append(args, v.String("image")), v.List("command")...)...)
	if err != nil {
		return err
	}
	if r.ExitCode != 0 {
		if noImage(r.Output) {
			return message.New(message.ContainerNoImage, v.String("image"), v.List("engine")[0])
		}
		return message.New(message.ContainerEngine, r.Tail)
	}
	if st, err = c.inspect(ctx); err != nil {
		return err
	}
	if st.status != "running" {
		return message.New(message.ContainerEnded, c.name(), c.last(ctx, st))
	}
	return c.begin(st)
}

func noImage(output string) bool {
	text := strings.ToLower(output)
	return strings.Contains(text, "image not known") || strings.Contains(text, "no such image") || strings.Contains(text, "unable to find image")
}

// last says how a container ended, with the last lines of its log.
func (c *Container) last(ctx context.Context, st state) string {
	text := st.status + ", exit code " + st.exit
	if r, err := c.engine(ctx, "logs", false, "logs", "--tail", "5", c.name()); err == nil && r.Tail != "" {
		text += ": " + r.Tail
	}
	return text
}

func (c *Container) begin(st state) error {
	id, err := proc.Identify(st.pid)
	if err == nil {
		c.life.Feed.Clear()
		err = c.life.Begin(id, func() kit.Health {
			return kit.Because(cluster.Failed, message.ContainerEnded, c.name(), "its first process is gone")
		})
	}
	if err != nil {
		return message.New(message.ContainerEnded, c.name(), err.Error()).Wrap(err)
	}
	return c.in.SaveState(stateFile, id)
}

// Stop implements [kit.Resource].
func (c *Container) Stop(ctx context.Context) error {
	c.life.End()
	st, err := c.inspect(ctx)
	if err != nil {
		return errors.Join(err, c.in.EndService(ctx))
	}
	if st.there && st.mark == c.mark() {
		if st.status == "running" || st.status == "paused" || st.status == "restarting" {
			grace := c.in.Values.Duration("stop.grace")
			if limit := kit.StopTime(ctx); limit > 0 {
				grace = min(grace, limit/2)
			}
			if r, err := c.engine(ctx, "stop", false, "stop", "--time", strconv.Itoa(int(grace.Seconds())), c.name()); err != nil || r.ExitCode != 0 {
				c.in.Log.Warn("the container doesn't stop and is removed by force", "container", c.name(), "output", r.Tail, "err", err)
			}
		}
		if err := c.remove(ctx); err != nil {
			return err
		}
	}
	if err := c.in.EndService(ctx); err != nil {
		return err
	}
	c.life.Feed.Clear()
	return c.in.DropState(stateFile)
}

func (c *Container) remove(ctx context.Context) error {
	r, err := c.engine(ctx, "rm", false, "rm", "--force", c.name())
	if err == nil && r.ExitCode != 0 {
		err = message.New(message.ContainerEngine, r.Tail)
	}
	return err
}

// Check implements [kit.Resource]. The light one looks at the first process of
// the container and doesn't ask the engine.
func (c *Container) Check(ctx context.Context, depth kit.Depth) kit.Health {
	var id proc.ID
	was, err := c.in.LoadState(stateFile, &id)
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	if depth == kit.Light && was && id.Alive() {
		return kit.Healthy
	}
	st, err := c.inspect(ctx)
	switch {
	case err != nil:
		return kit.BecauseOf(cluster.Unknown, err)
	case st.there && st.mark != c.mark():
		return kit.Because(cluster.Failed, message.ContainerForeign, c.name())
	case !was && !st.there:
		return kit.Because(cluster.OutOfService, message.ContainerNotRunning, c.name())
	case !st.there:
		return kit.Because(cluster.Failed, message.ContainerEnded, c.name(), "it was removed")
	case st.status != "running":
		return kit.Because(cluster.Failed, message.ContainerEnded, c.name(), c.last(ctx, st))
	}
	if command := c.in.Values.List("check.command"); depth == kit.Deep && len(command) > 0 {
		r, err := c.engine(ctx, "exec", false, append([]string{"exec", c.name()}, command...)...)
		switch {
		case errors.Is(err, context.Canceled):
			return kit.BecauseOf(cluster.Unknown, err) // nobody waits for the answer any more
		case err != nil:
			return kit.BecauseOf(cluster.Failed, err)
		case r.ExitCode != 0:
			return kit.BecauseOf(cluster.Failed, r.Failed())
		}
	}
	return kit.Healthy
}

// Validate implements [kit.Validator].
func (c *Container) Validate(ctx context.Context) error {
	v := c.in.Values
	if _, err := kit.Executable(v.List("engine")[0]); err != nil {
		return err
	}
	r, err := c.engine(ctx, "image", false, "image", "inspect", "--format", "{{.Id}}", v.String("image"))
	if err != nil {
		return err
	}
	if r.ExitCode != 0 && (noImage(r.Output) || strings.Contains(strings.ToLower(r.Output), "no such")) {
		return message.New(message.ContainerNoImage, v.String("image"), v.List("engine")[0])
	}
	if r.ExitCode != 0 {
		return message.New(message.ContainerEngine, r.Tail)
	}
	return nil
}

// Ready implements [kit.Standby].
func (c *Container) Ready(ctx context.Context) kit.Health {
	if err := c.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := c.Check(ctx, kit.Light); h.Status != cluster.OutOfService {
		return h
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter].
func (c *Container) Adopt(ctx context.Context) (bool, error) {
	st, err := c.inspect(ctx)
	if err != nil || !st.there || st.status != "running" || st.mark != c.mark() {
		return false, err
	}
	return true, c.begin(st)
}

// Watch implements [kit.Watcher].
func (c *Container) Watch(ctx context.Context, report func(kit.Event)) error {
	return c.life.Feed.Watch(ctx, report)
}

// Addresses implements [kit.Guarded].
func (c *Container) Addresses() ([]kit.GuardedAddress, error) { return nil, nil }

// Cgroup implements [kit.Guarded]: of what the engine leaves in our group.
// Docker's containers are its daemon's.
func (c *Container) Cgroup() string { return c.in.Group }

// Close implements [kit.Resource]: the container runs on.
func (c *Container) Close() error {
	c.life.End()
	return nil
}
