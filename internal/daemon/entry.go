package daemon

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guardian"
	"github.com/perdure-ha/perdure/internal/message"
)

// GuardianConfig says how a node's top process runs.
type GuardianConfig struct {
	Config
	// Daemon is the command line of the daemon.
	Daemon []string
	// VolumeServer is the command line of the process that serves volumes.
	VolumeServer []string
	// Watchdog is the device; empty: the first there is; "none": no watchdog.
	Watchdog string
}

// watchdogTimeout is how long the machine runs on without its guardian. It is
// longer than any lease but the widest, so that a late guardian is not a reset;
// with self-guarding hierarchies nobody waits for it.
const watchdogTimeout = 15 * time.Second

// Guardian runs the guardian until the context ends and all is stopped or
// handed over. A machine that is in no cluster yet is refused.
func Guardian(ctx context.Context, c GuardianConfig) error {
	if _, err := loadIdentity(c.StateDir); err != nil {
		return err
	}
	g := guardian.Config{
		Daemon: c.Daemon, VolumeServer: c.VolumeServer, Instance: c.instance(), RunDir: c.RunDir,
		StopAfter: cluster.TimingFor(cluster.DetectionBalanced).StopAfter, Log: c.Log,
		Watchdog: c.Watchdog, WatchdogTimeout: watchdogTimeout, StopTimeout: 3 * time.Minute,
	}
	if c.Watchdog == "none" {
		g.Watchdog, g.WatchdogTimeout = "", 0
	}
	runtime.GOMAXPROCS(1)
	return guardian.Run(ctx, g)
}

// Node runs the daemon below a guardian, whose connection it inherited as file
// descriptor fd.
func Node(ctx context.Context, c Config, fd uintptr) error {
	runtime.GOMAXPROCS(1)
	client, err := guardian.Dial(fd)
	if err != nil {
		return err
	}
	defer client.Close()
	c.Guard = client
	c.StopGuardian = stopParent
	// The signal asks for a clean stop, which takes the loop to carry out.
	d, err := open(context.WithoutCancel(ctx), c)
	if errors.Is(err, errRejoined) {
		d, err = open(context.WithoutCancel(ctx), c)
	}
	if err != nil {
		return err
	}
	d.group.Go(func() { d.stopOnSignal(ctx) })
	return d.run()
}

// JoinWitness joins a cluster as a witness: one machine may serve many
// clusters, each in a directory of its own.
func JoinWitness(ctx context.Context, o JoinOptions) (*Identity, error) {
	base := o.StateDir
	o.StateDir = filepath.Join(base, "clusters", ".joining")
	if err := os.RemoveAll(o.StateDir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, message.New(message.IdentityUnreadable, o.StateDir, err).Wrap(err)
	}
	id, err := Join(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := os.Rename(o.StateDir, WitnessDir(base, id.Cluster)); err != nil {
		return nil, message.New(message.IdentityUnreadable, o.StateDir, err).Wrap(err)
	}
	return id, nil
}

func (c Config) instance() string {
	if c.Instance == "" {
		return "perdure"
	}
	return c.Instance
}
