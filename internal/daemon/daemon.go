package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/hook"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/health"
	"github.com/perdure-ha/perdure/internal/platform/resident"
	"github.com/perdure-ha/perdure/internal/wal"
	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// Config says where and as what a daemon runs.
type Config struct {
	StateDir string
	RunDir   string
	Software string
	// Guard is the guardian of this node; nil on a witness.
	Guard Guard
	// StopGuardian ends the guardian after a planned stop; it may be nil.
	StopGuardian func()
	// Instance tells the daemons of one machine apart in the names of groups.
	Instance string
	// Hub carries the packets. Nil: the daemon makes its own.
	Hub *commpath.Hub
	Log *slog.Logger
}

// eventsMax bounds the events that wait for the loop. When it is full, packets
// are dropped (the sender repeats them) and everything else waits.
const eventsMax = 8192

// Daemon is a running node. It is made by [Run] only.
type Daemon struct {
	cfg  Config
	id   *Identity
	log  *slog.Logger
	core *core.Core // the loop's alone

	wal    *wal.Log
	creds  *pki.Credentials
	ca     *pki.Authority // nil on a witness
	ep     *commpath.Endpoint
	acts   *acts
	events chan core.Event
	disk   chan *core.Persist

	ctx   context.Context
	end   context.CancelCauseFunc
	group sync.WaitGroup

	view     atomic.Pointer[view]
	changed  changes
	asked    replies
	dropped  atomic.Uint64
	alarms   alarms
	stores   storages
	odd      sparing
	machines machines
	hub      *commpath.Hub // if it is this daemon's own
	peers    string        // what the transport was last told, for comparison
	timing   time.Duration
	// stopping is how the node is being stopped, once it is.
	stopping atomic.Pointer[api.StopMode]
	hooks    *hook.Hub // nil on a witness
	vitals   atomic.Pointer[health.Vitals]
	// idFile is held while node.json is written.
	idFile sync.Mutex
	// loss is what the guardian was told to do on loss of quorum; the loop's alone.
	loss cluster.QuorumLoss
	// watchdog is its time-out in seconds; 0: there is none.
	watchdog int
	// resetting reports whether this daemon has asked the guardian for a reset.
	resetting atomic.Bool
	// first is the event that the loop begins with.
	first core.Event
	// unmanaged reports whether the guardian was found without deadlines; the
	// loop's alone.
	unmanaged bool
}

// errDeparted ends a daemon that left cleanly.
var errDeparted = errors.New("left the cluster")

// Run runs the daemon until the context ends or the node has left. It returns
// nil after a planned stop.
func Run(ctx context.Context, cfg Config) error {
	d, err := open(ctx, cfg)
	if errors.Is(err, errRejoined) {
		d, err = open(ctx, cfg)
	}
	if err != nil {
		return err
	}
	return d.run()
}

func open(ctx context.Context, cfg Config) (_ *Daemon, err error) {
	if err := finishRejoin(cfg.StateDir); err != nil {
		return nil, err
	}
	id, err := loadIdentity(cfg.StateDir)
	if err != nil {
		return nil, err
	}
	d := &Daemon{
		cfg: cfg, id: id, log: cfg.Log,
		events: make(chan core.Event, eventsMax), disk: make(chan *core.Persist, 1),
	}
	if d.log == nil {
		d.log = slog.Default()
	}
	d.log = d.log.With("node", id.Name)
	d.ctx, d.end = context.WithCancelCause(ctx)
	defer func() {
		if err != nil {
			d.end(err)
			d.close()
		}
	}()
	if err := os.MkdirAll(cfg.RunDir, 0o700); err != nil {
		return nil, message.New(message.IdentityUnreadable, cfg.RunDir, err).Wrap(err)
	}
	found, err := d.openLog()
	if why := d.mustRejoin(err); why != nil {
		return nil, d.rejoin(why)
	}
	if err != nil {
		return nil, err
	}
	key, err := d.openPKI()
	if err != nil {
		return nil, err
	}
	conf := core.Config{
		Self: id.Node, Role: id.Role, Seed: seed(), Disk: core.Disk(found), Software: cfg.Software,
	}
	var running []guard.Guarded
	earlier := false
	if cfg.Guard != nil {
		hello, err := cfg.Guard.Hello()
		if err != nil {
			return nil, err
		}
		conf.Session, running, d.unmanaged = hello.Session, hello.Guarded, hello.Unmanaged
		conf.Unmanaged = hello.Unmanaged
		earlier = hello.Generation != 0 || len(running) > 0
		d.watchdog = int(hello.Watchdog.Seconds())
		d.showWeaker(&hello)
	}
	d.core, err = core.New(clock.Now(), conf)
	if err != nil {
		return nil, message.New(message.LogDamaged, filepath.Join(cfg.StateDir, logDir), err, id.Name).Wrap(err)
	}
	d.acts = newActs(d)
	if id.Role == cluster.RoleNode {
		d.hooks = newHooks(d)
	}
	d.stores.d = d
	if err := d.openPaths(key); err != nil {
		return nil, err
	}
	d.first = core.Tick{}
	if earlier {
		d.adopt(running)
	}
	return d, nil
}

func (d *Daemon) openLog() (wal.Contents, error) {
	dir := filepath.Join(d.cfg.StateDir, logDir)
	l, found, err := wal.Open(walfs.OS(), dir, wal.Identity{Cluster: d.id.Cluster, Node: uint64(d.id.Node)})
	if err != nil {
		return found, message.New(message.LogInUse, dir, err).Wrap(err)
	}
	d.wal = l
	return found, nil
}

func (d *Daemon) close() {
	if d.hooks != nil {
		d.hooks.Close()
	}
	d.group.Wait()
	if d.acts != nil {
		d.acts.close()
	}
	d.stores.close()
	if d.ep != nil {
		_ = d.ep.Close()
	}
	if d.hub != nil {
		_ = d.hub.Close()
	}
	if d.wal != nil {
		_ = d.wal.Close()
	}
}

func (d *Daemon) instance() string { return d.cfg.instance() }

// run is the daemon's life after it was opened.
func (d *Daemon) run() error {
	d.log.Info(message.Text(message.English, message.DaemonStarted, d.id.Name, d.id.Cluster, d.cfg.Software))
	d.group.Go(d.write)
	if d.cfg.Guard != nil {
		d.group.Go(d.watchGuard)
	}
	server, err := d.serve()
	if err != nil {
		d.end(err)
		d.close()
		return err
	}
	if d.hooks != nil {
		d.group.Go(d.followHooks)
		d.group.Go(d.watchHealth)
	}
	d.group.Go(d.renewLeaf)
	d.group.Go(d.trim)
	if d.cfg.Guard != nil {
		d.group.Go(d.watchHost)
	}
	d.loop()
	server()
	d.close()
	switch err := context.Cause(d.ctx); {
	case errors.Is(err, errDeparted), errors.Is(err, context.Canceled):
		return nil
	default:
		return err
	}
}

// trimAfter is when a start is over: it has joined, or recovered, what there was.
const trimAfter = 5 * time.Second

// trim gives the memory of the start back.
func (d *Daemon) trim() {
	t := time.NewTimer(trimAfter)
	defer t.Stop()
	select {
	case <-d.ctx.Done():
	case <-t.C:
		resident.Trim()
	}
}

// post hands an event to the loop. Packets are dropped when it is behind.
func (d *Daemon) post(ev core.Event) {
	select {
	case d.events <- ev:
	case <-d.ctx.Done():
	}
}

func (d *Daemon) postPacket(ev core.Event) {
	select {
	case d.events <- ev:
	default:
		d.dropped.Add(1)
	}
}

func (d *Daemon) fatal(err error) {
	d.log.Error("the daemon stops", "err", err)
	d.end(err)
}
