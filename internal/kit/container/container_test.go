package container

import (
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

// onRunner is the kit with a runner that runs nothing.
type onRunner struct {
	Kit
	r *kittest.Runner
}

func (k onRunner) New(in kit.Instance) (kit.Resource, error) {
	in.Runner = k.r
	return k.Kit.New(in)
}

func fake(t *testing.T, answers map[string]kit.Result, more ...string) (*kit.Agent, *kittest.Runner) {
	r := &kittest.Runner{Answer: func(c kit.Command) (kit.Result, error) { return answers[c.Action], nil }}
	m := map[string]string{"image": "shop:1", "engine": "docker"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return kittest.Open(t, kittest.Host(t, false), onRunner{r: r}, m), r
}

const inspect = `inspect: docker container inspect --format "{{.State.Status}}|{{.State.Pid}}|{{.State.ExitCode}}|{{index .Config.Labels \"perdure.resource\"}}" perdure-web-r1 [HOME=/root]`

// The commands, as docker gets them.
func TestCommands(t *testing.T) {
	ctx := t.Context()
	answers := map[string]kit.Result{"inspect": {Output: "exited|0|137|web/r1\n"}}
	a, r := fake(t, answers, "options", "--network host", "command", `serve "a b"`, "stop.grace", "7s")
	err := a.Start(ctx, "")
	if !message.Has(err, message.ContainerEnded) {
		t.Error(err)
	}
	want := strings.Join([]string{inspect,
		"rm: docker rm --force perdure-web-r1 [HOME=/root]",
		`run: docker run --detach --pull=never --restart=no --name perdure-web-r1 --label perdure.resource=web/r1 --network host shop:1 serve "a b" [HOME=/root]`,
		inspect, "logs: docker logs --tail 5 perdure-web-r1 [HOME=/root]"}, "\n")
	if got := r.Lines(); got != want {
		t.Errorf("start:\n%s\nwant:\n%s", got, want)
	}
	answers["inspect"] = kit.Result{Output: "WARN old config\nrunning|123|0|web/r1\n"}
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
	want = strings.Join([]string{inspect, "stop: docker stop --time 7 perdure-web-r1 [HOME=/root]", "rm: docker rm --force perdure-web-r1 [HOME=/root]"}, "\n")
	if got := r.Lines(); got != want {
		t.Errorf("stop:\n%s\nwant:\n%s", got, want)
	}
}

// A container of the same name that isn't ours is neither used nor removed.
func TestForeign(t *testing.T) {
	a, r := fake(t, map[string]kit.Result{"inspect": {Output: "running|77|0|"}})
	if err := a.Start(t.Context(), ""); !message.Has(err, message.ContainerForeign) {
		t.Error(err)
	}
	if h := a.Check(t.Context(), kit.Light); h.Status != cluster.Failed || h.Reason.Code != message.ContainerForeign {
		t.Error(h)
	}
	if err := a.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	if got := r.Lines(); got != strings.Join([]string{inspect, inspect, inspect}, "\n") {
		t.Errorf("commands:\n%s", got)
	}
}

func TestStates(t *testing.T) {
	for _, c := range []struct {
		answer kit.Result
		status cluster.Status
		code   string
	}{
		{kit.Result{ExitCode: 1, Output: "Error: No such container: x"}, cluster.OutOfService, message.ContainerNotRunning},
		{kit.Result{ExitCode: 125, Output: `Error: inspecting object: no such object: "x"`}, cluster.OutOfService, message.ContainerNotRunning},
		{kit.Result{ExitCode: 1, Output: "Cannot connect to the Docker daemon"}, cluster.Unknown, message.ContainerEngine},
		{kit.Result{Output: "nonsense"}, cluster.Unknown, message.ContainerEngine},
		{kit.Result{Output: "running|x|0|web/r1"}, cluster.Unknown, message.ContainerEngine},
		{kit.Result{Output: "exited|0|1|web/r1"}, cluster.Failed, message.ContainerEnded},
		{kit.Result{Output: "paused|12|0|web/r1"}, cluster.Failed, message.ContainerEnded},
		{kit.Result{Output: "running|12|0|web/r1"}, cluster.InService, ""},
	} {
		a, _ := fake(t, map[string]kit.Result{"inspect": c.answer})
		if h := a.Check(t.Context(), kit.Deep); h.Status != c.status || h.Reason.Code != c.code {
			t.Errorf("%q: %v, want %s %s", c.answer.Output, h, c.status, c.code)
		}
	}
}
