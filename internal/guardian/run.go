package guardian

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/fence"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/power"
	"github.com/perdure-ha/perdure/internal/platform/resident"
)

// Config says what a guardian guards.
type Config struct {
	// Daemon is the program and its arguments. Its standard output and error are
	// the guardian's.
	Daemon []string
	// VolumeServer is the program that serves replicated volumes and its
	// arguments. It is started when the daemon wants it.
	VolumeServer []string
	// Instance tells the guardians of one machine apart: groups and tables are
	// named after it.
	Instance string
	// RunDir keeps what a next guardian of this boot must know. It must not
	// survive a boot.
	RunDir string
	// StopAfter is how long frozen services are kept after the lease's end,
	// until the daemon tells another; see [cluster.Timing].
	StopAfter time.Duration
	// Watchdog is the device; empty: the first one there is. WatchdogTimeout 0:
	// none is used.
	Watchdog        string
	WatchdogTimeout time.Duration
	// StopTimeout bounds how long a daemon may take to stop in order. 0: 90 s.
	StopTimeout time.Duration
	Log         *slog.Logger
}

// ErrBusy: another guardian of the instance runs.
var ErrBusy = errors.New("another guardian of this instance runs")

// Run is the guardian process. When ctx ends, the daemon is asked to stop in
// order, and Run returns when nothing is left running, or all of it is handed
// over as unmanaged. It changes the whole process (reaping, priority, memory)
// and is called once, from main.
func Run(ctx context.Context, c Config) error {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 90 * time.Second
	}
	if c.StopAfter == 0 {
		c.StopAfter = cluster.TimingFor(cluster.DetectionBalanced).StopAfter
	}
	if len(c.Daemon) == 0 {
		return message.New(message.DaemonStartFailed, "no program is named")
	}
	unlock, err := lockInstance(c.RunDir)
	if err != nil {
		return err
	}
	defer unlock()
	// Before memory is locked. What cleaning up needs is used again right after,
	// and stays.
	resident.Trim()
	weaker := becomeGuardian()
	s, err := prepare(ctx, c, weaker)
	if err != nil {
		return err
	}
	k := newKeeper(c, s)
	defer k.close()
	s.start, s.volumes = k.start, k.volumes
	done := make(chan guard.Exit, 1)
	go func() { done <- s.loop() }()
	select {
	case <-ctx.Done():
		k.stop()
	case <-done: // the loop never ends by itself
		return errors.New("the guardian's loop ended by itself")
	}
	exit := <-done
	if !exit.Clean {
		return nil
	}
	s.saved.remove()
	return s.gate.Reset()
}

// prepare makes the server: with what the last guardian left unmanaged, or with
// a clean machine and a new session.
func prepare(ctx context.Context, c Config, weaker []cluster.Reason) (*server, error) {
	tree := cgroup.Find(c.Instance)
	if ok, why := tree.Available(); !ok {
		weaker = append(weaker, cluster.Because(message.GuardianWeaker, "cgroups", why))
	}
	kept := newSaved(c.RunDir, bootID())
	left, err := kept.load()
	if err != nil {
		// What it said is unknown, so everything that can be found is killed.
		c.Log.Error("the last guardian's state is lost; everything found is killed", "error", err)
	}
	adopt := left != nil && left.Unmanaged
	gate, err := fence.NewGate(fence.Options{Instance: c.Instance, KeepOpen: adopt})
	if err != nil {
		gate = fence.NewNoGate(err) // which says so
	}
	gc := guard.Config{Session: newSession(), StopAfter: c.StopAfter}
	procs := groups{tree: tree}
	clean := cleaner{procs: procs, gate: gate, log: c.Log}
	if adopt {
		gc.Adopt = left
		clean.killDaemon(ctx)
		c.Log.Info("services that run unmanaged are taken over", "session", left.Session, "hierarchies", len(left.Guarded))
	} else if err := clean.until(ctx, left); err != nil {
		return nil, err
	}
	s := newServer(gc, gate, openWatchdog(c, &weaker), procs, c.Log)
	s.saved = kept
	if c.Instance == "" {
		s.halt = power.Halt
	}
	s.info.Weaker, s.info.Cleaned = weaker, clean.cleaned
	for _, w := range weaker {
		c.Log.Warn(message.Reason(w).String())
	}
	for _, w := range gate.Describe().Weaker {
		c.Log.Warn(w.Error())
	}
	return s, nil
}

func openWatchdog(c Config, weaker *[]cluster.Reason) fence.Watchdog {
	if c.WatchdogTimeout == 0 {
		return nil
	}
	dog, err := fence.OpenWatchdog(c.Watchdog, c.WatchdogTimeout)
	if err != nil {
		*weaker = append(*weaker, reason(err))
		return nil
	}
	if s, ok := dog.(interface{ Stays() error }); ok {
		if err := s.Stays(); err != nil {
			*weaker = append(*weaker, reason(err))
		}
	}
	return dog
}

// lockInstance makes sure that there is one guardian. Two would each renew the
// gate for their own lease.
func lockInstance(runDir string) (func(), error) {
	if runDir == "" {
		return func() {}, nil
	}
	if err := os.MkdirAll(runDir, 0o700); err != nil {
		return nil, message.New(message.RunDirUnusable, runDir, err).Wrap(err)
	}
	f, err := os.OpenFile(filepath.Join(runDir, "guardian.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, message.New(message.RunDirUnusable, runDir, err).Wrap(err)
	}
	if err := lockFile(f); err != nil {
		_ = f.Close()
		return nil, message.New(message.GuardianRuns, f.Name()).Wrap(ErrBusy)
	}
	return func() { _ = f.Close() }, nil
}
