package cli

import (
	"context"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type quorumAddCmd struct {
	Storage addStorageCmd `cmd:"" help:"Add a storage witness: a disk, or a file on a share, that all nodes see. Its store is tried by all nodes at once first."`
}

type addStorageCmd struct {
	Kind     string `arg:"" enum:"disk,file" help:"disk: a block device, of which 133 MiB are used; file: a file on NFS or SMB."`
	Location string `arg:"" help:"Device or file, the same on every node; best /dev/disk/by-id/…"`
	Name     string `help:"Its name." default:"store"`
	NoWait   bool   `help:"Don't wait until it has its vote."`
}

// storageWait is how long the command waits for the nodes to try the store, and
// for the vote.
const storageWait = 90 * time.Second

func (c addStorageCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().AddStorage(ctx, api.NewStorage{Name: c.Name, Kind: c.Kind, Location: c.Location})
	if err := a.done(ctx, d, err, message.AskedStorage, d.Name, d.Location); err != nil || a.JSON || c.NoWait {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storageWait)
	defer cancel()
	good := time.Time{}
	for {
		v, err := a.client().View(ctx)
		if err != nil {
			return err
		}
		n := v.State.NodeByName(d.Name)
		switch {
		case n == nil || n.Storage == nil:
			return message.New(message.RefusedUnknownNode, d.Name)
		case v.State.IsVoter(n.ID):
			a.print(message.StorageVotes, n.Name, len(v.State.Voters), v.State.Majority())
			return nil
		}
		for _, t := range n.Storage.Tried {
			if t.Refusal.Code != "" {
				return message.Reason(t.Refusal).Err()
			}
		}
		if n.Storage.Proven() {
			if good.IsZero() {
				good = time.Now()
			}
			// Votes are given within some ticks of the leader, if at all.
			if time.Since(good) > 3*v.State.Detection {
				a.print(message.StorageWaits, n.Name)
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return message.New(message.StoreTrying, n.Name)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

type quorumRemoveCmd struct {
	Name string `arg:"" help:"Name of the witness or storage witness."`
	Yes  bool   `short:"y" help:"Don't ask."`
}

func (c quorumRemoveCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if n := v.State.NodeByName(c.Name); n != nil && n.Role == cluster.RoleNode {
		return message.New(message.NoSuchStorage, c.Name)
	}
	return nodeRemoveCmd{Node: c.Name, Yes: c.Yes}.Run(ctx, a)
}
