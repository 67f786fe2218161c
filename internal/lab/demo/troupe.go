package demo

import (
	"context"
	"fmt"
)

// openStage builds a stage; witness asks for two nodes and a witness.
type openStage func(ctx context.Context, o Options, witness bool) (Stage, error)

// troupe holds the stage in use: one at a time, so that they don't disturb
// each other's time.
type troupe struct {
	options Options
	open    openStage
	say     func(format string, args ...any)
	current Stage
	witness bool
}

func (t *troupe) stage(ctx context.Context, witness bool) (Stage, error) {
	if t.current != nil && t.witness == witness {
		return t.current, nil
	}
	if err := t.close(); err != nil {
		return nil, err
	}
	stage, err := t.open(ctx, t.options, witness)
	if err != nil {
		return nil, fmt.Errorf("build the cluster: %w", err)
	}
	t.current, t.witness = stage, witness
	return stage, nil
}

// playOne plays a scenario on the current stage. That it can't be played to its
// end is part of the result; an error is returned only when ctx ended.
func (t *troupe) playOne(ctx context.Context, s Scenario, say func(Happening)) (Result, error) {
	return playScenario(ctx, Runner{Stage: t.current, Timing: t.options.timing(), Say: say}, s)
}

func playScenario(ctx context.Context, runner Runner, s Scenario) (Result, error) {
	result, err := runner.Run(ctx, s)
	if ctx.Err() != nil {
		return result, context.Cause(ctx)
	}
	if err != nil {
		result.Problems = append(result.Problems, "it couldn't be played to its end: "+err.Error())
		result.Broken = true
	}
	return result, nil
}

func (t *troupe) close() error {
	if t.current == nil {
		return nil
	}
	err := t.current.Close()
	if kept := t.current.Kept(); kept != "" {
		t.say(words["kept"].In(t.options.Lang), kept)
	}
	t.current = nil
	return err
}

// stay leaves a cluster of three nodes up until ctx ends, and says how to play
// with it.
func (t *troupe) stay(ctx context.Context) error {
	stage, err := t.stage(ctx, t.witness)
	if err != nil {
		return err
	}
	scripts, err := stage.Enter()
	if err != nil {
		return err
	}
	lang := t.options.Lang
	t.say("\n%s", words["stay"].In(lang))
	for i, node := range stage.Nodes() {
		t.say("  %-3s %s", node, scripts[i])
	}
	for _, example := range []struct{ args, key string }{
		{"status --watch", "try-status"},
		{"switchover " + Hierarchy + " --to " + stage.Nodes()[1], "try-switchover"},
		{"why " + Hierarchy, "try-why"},
	} {
		t.say("  %s %-24s # %s", scripts[0], example.args, words[example.key].In(lang))
	}
	<-ctx.Done()
	return nil
}
