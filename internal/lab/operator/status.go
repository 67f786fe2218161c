package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// statusWait bounds one question for the status, if a cluster says nothing else.
	statusWait = 5 * time.Second
	// pollInterval is the time between two questions.
	pollInterval = 50 * time.Millisecond
)

// status is what a lab reads of perdure status --json.
type status struct {
	Findings []finding    `json:"findings"`
	Nodes    []nodeStatus `json:"nodes"`
}

type finding struct {
	Severity api.Severity   `json:"severity"`
	Reason   cluster.Reason `json:"reason"`
	Text     struct {
		EN string `json:"en"`
	} `json:"text"`
}

// wanting reports whether the finding is about the cluster. Round trips are
// about the machine that the lab shares with others.
func (f finding) wanting() bool {
	return (f.Severity == api.SeverityDown || f.Severity == api.SeverityUnsafe) && f.Reason.Code != message.DetectionUnsafe
}

type nodeStatus struct {
	Name     string `json:"name"`
	Presence string `json:"presence"`
}

// whole reports whether a node sees a cluster to which nothing is wanting: it is
// safe and every node that is on is in it. The error says what is wanting.
func (c *Cluster) whole(ctx context.Context, n Node) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience())
	defer cancel()
	text, err := n.Perdure(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var s status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return fmt.Errorf("read status of %s: %w", n.NodeName(), err)
	}
	if i := slices.IndexFunc(s.Findings, func(f finding) bool {
		// Two nodes alone are never safe, and that is no wonder.
		return f.wanting() && (len(c.Nodes) > 2 || f.Reason.Code != message.FewVotes)
	}); i >= 0 {
		return fmt.Errorf("%s says: %s", n.NodeName(), s.Findings[i].Text.EN)
	}
	for _, other := range c.Nodes {
		here := nodeStatus{Name: other.NodeName(), Presence: string(cluster.Present)}
		if other.On() && here.Name != c.Witness && !slices.Contains(s.Nodes, here) {
			return fmt.Errorf("%s doesn't see %s as present", n.NodeName(), here.Name)
		}
	}
	return nil
}

// patience bounds one question for the status.
func (c *Cluster) patience() time.Duration {
	if c.Patience == 0 {
		return statusWait
	}
	return c.Patience
}

// AwaitWhole waits until every node that is on sees a whole cluster. wanting, if
// not nil, is told what is wanting meanwhile.
func (c *Cluster) AwaitWhole(ctx context.Context, wanting func(error)) error {
	return poll(ctx, "a whole cluster", func() error {
		err := c.wholeForAll(ctx)
		if err != nil && wanting != nil {
			wanting(err)
		}
		return err
	})
}

// wholeForAll asks every node that is on, all at the same time: a command may take
// long on an emulated machine.
func (c *Cluster) wholeForAll(ctx context.Context) error {
	errs := make([]error, len(c.Nodes))
	var asking sync.WaitGroup
	for i, n := range c.Nodes {
		if n.On() {
			asking.Go(func() { errs[i] = c.whole(ctx, n) })
		}
	}
	asking.Wait()
	return cmp.Or(errs...)
}

// awaitAnswer waits until perdure on the node answers its command line.
func (c *Cluster) awaitAnswer(ctx context.Context, n Node) error {
	return poll(ctx, "perdure on "+n.NodeName(), func() error {
		asking, cancel := context.WithTimeout(ctx, c.patience())
		defer cancel()
		_, err := n.Perdure(asking, "status", "--json")
		return err
	})
}

// poll tries until it works or ctx ends.
func poll(ctx context.Context, what string, try func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	var last error
	for {
		err := try()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err // an answer that came too late says less
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, context.Cause(ctx), last)
		case <-ticker.C:
		}
	}
}
