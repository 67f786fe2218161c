package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qmp"
)

var _ machine.Migrator = (*Machine)(nil)

// Migrate implements [machine.Migrator]. Of to, Dir, Start and the cards' taps
// count. The state goes over a unix socket, which reaches from one namespace to
// another whatever is cut: only the guest's networks have faults.
//
// The guest's memory is not copied: both hypervisors have the same file, and only
// the state of the devices is sent, while the guest stands. QEMU 7.2 without KVM
// loses writes of a guest that runs while its memory is copied: a busy guest was
// dead after one of three migrations (MTTCG) or one of fourteen (one thread); and
// to copy it while it stands takes seconds on a loaded machine.
func (m *Machine) Migrate(ctx context.Context, to machine.Config) (machine.Migration, error) {
	return m.migrateTo(ctx, to, false)
}

// MigrateAll implements [machine.Migrator]: the paths of to's disks count as well.
// A file that isn't there is made. Read-only and shared disks are not copied: they
// are opened at the path that to says.
func (m *Machine) MigrateAll(ctx context.Context, to machine.Config) (machine.Migration, error) {
	return m.migrateTo(ctx, to, true)
}

func (m *Machine) migrateTo(ctx context.Context, to machine.Config, disks bool) (done machine.Migration, err error) {
	err = m.do("migration", func(p *process) error {
		if err := m.disksGood(); err != nil {
			return err
		}
		c, err := moved(m.config, m.drives, to, disks)
		if err != nil {
			return err
		}
		// Short, because a unix socket's path is at most 107 bytes.
		dir, err := os.MkdirTemp("", "pm")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		move := &move{m: m, source: p, config: c, drives: newDrives(c.Disks), dir: dir, disks: disks}
		if err := move.run(ctx); err != nil {
			return errors.Join(err, move.undo(context.WithoutCancel(ctx)))
		}
		done = move.cost
		return nil
	})
	return done, err
}

// moved is the machine's configuration at the target.
func moved(c machine.Config, drives []*drive, to machine.Config, disks bool) (machine.Config, error) {
	if to.Dir == "" || to.Dir == c.Dir {
		return c, errors.New("the target needs a directory of its own")
	}
	if len(to.NICs) != len(c.NICs) {
		return c, fmt.Errorf("the target has %d cards, the source %d", len(to.NICs), len(c.NICs))
	}
	if disks && len(to.Disks) != len(drives) {
		return c, fmt.Errorf("the target has %d disks, the source %d", len(to.Disks), len(drives))
	}
	c.Dir, c.Start = to.Dir, to.Start
	c.NICs, c.Disks = slices.Clone(c.NICs), nil
	for i, n := range to.NICs {
		c.NICs[i].Tap = n.Tap
	}
	for i, d := range drives {
		disk := d.Disk
		if disks {
			disk.Path = to.Disks[i].Path
		}
		c.Disks = append(c.Disks, disk)
	}
	return c, nil
}

// move is a migration under way.
type move struct {
	m      *Machine
	source *process
	target *process
	config machine.Config // at the target
	drives []*drive       // at the target
	dir    string         // for its sockets
	disks  bool

	mirrors []mirror
	nodes   []string // at the source, to the target's disks
	// release lets writers of the control stream go on.
	release func()
	ran     bool // the guest ran before, and is stopped now
	sent    bool // the source has begun to send
	cost    machine.Migration
}

func (v *move) run(ctx context.Context) error {
	begin := time.Now()
	if err := v.prepare(ctx); err != nil {
		return fmt.Errorf("prepare the target: %w", err)
	}
	if v.disks {
		if err := v.copyDisks(ctx); err != nil {
			return fmt.Errorf("copy the disks: %w", err)
		}
	}
	stops := v.source.qmp.Subscribe("STOP")
	defer stops.Close()
	resumes := v.target.qmp.Subscribe("RESUME")
	defer resumes.Close()
	if err := v.stop(ctx); err != nil {
		return err
	}
	if err := v.send(ctx); err != nil {
		return err
	}
	if err := v.switchOver(ctx); err != nil {
		return err
	}
	v.cost.TotalMillis = time.Since(begin).Milliseconds()
	if v.ran {
		return v.downtime(ctx, stops, resumes)
	}
	return nil
}

// stop stops the guest and lets its disks and its control stream go.
func (v *move) stop(ctx context.Context) error {
	var err error
	if v.ran, err = v.source.isRunning(ctx); err != nil {
		return err
	}
	if err := v.source.execute(ctx, "stop", nil, nil); err != nil {
		return err
	}
	turn := func(ctx context.Context) error { _, err := v.source.status(ctx); return err }
	if v.release, err = v.m.life.control.hold(ctx, turn); err != nil {
		return err
	}
	if err := v.endMirrors(ctx, false); err != nil {
		return fmt.Errorf("let the disks go: %w", err)
	}
	if v.disks { // or the guest's device could not write at the target
		return v.target.execute(ctx, "nbd-server-stop", nil, nil)
	}
	return nil
}

func (v *move) send(ctx context.Context) error {
	socket := "unix:" + filepath.Join(v.dir, "state")
	if err := v.target.execute(ctx, "migrate-incoming", map[string]any{"uri": socket}, nil); err != nil {
		return err
	}
	if err := v.source.migrate(ctx, socket); err != nil {
		return err
	}
	v.sent = true
	if err := v.source.migrated(ctx); err != nil {
		return err
	}
	return v.target.migrated(ctx)
}

// switchOver makes the machine the target's.
func (v *move) switchOver(ctx context.Context) error {
	v.m.mu.Lock()
	v.m.config, v.m.drives, v.m.process = v.config, v.drives, v.target
	life := v.m.life
	v.m.mu.Unlock()
	go v.m.attend(life, v.target)
	var err error
	if v.ran {
		err = v.target.execute(ctx, "cont", nil, nil)
	}
	err = errors.Join(err, v.source.kill(context.WithoutCancel(ctx), endedMigrated))
	v.release()
	return err
}

// downtime is from the source's last word to the target's first, by QEMU's clock.
func (v *move) downtime(ctx context.Context, stops, resumes *qmp.Subscription) error {
	any := func(qmp.Event) bool { return true }
	stop, err := stops.Wait(ctx, any)
	if err != nil {
		return err
	}
	resume, err := resumes.Wait(ctx, any)
	v.cost.DowntimeMillis = resume.Time.Sub(stop.Time).Milliseconds()
	return err
}

// prepare starts the target, which waits. It inherits control stream and memory.
func (v *move) prepare(ctx context.Context) error {
	if v.disks {
		for i, d := range v.drives {
			if d.copied() {
				if err := likeFile(d.Path, v.m.drives[i].Path); err != nil {
					return err
				}
			}
		}
	}
	var err error
	v.target, err = startProcess(ctx, v.config, commandLine(v.config, v.drives, v.m.host, v.m.console, true), v.m.life)
	if err != nil {
		return err
	}
	return errors.Join(v.source.shareMemory(ctx, true), v.target.shareMemory(ctx, true))
}

// copied reports whether a disk moves with its machine.
func (d *drive) copied() bool { return !d.ReadOnly && !d.Shared }

// copyDisks mirrors the disks to the target until they are in step. The target
// lends them by NBD.
func (v *move) copyDisks(ctx context.Context) error {
	address := map[string]any{"type": "unix", "path": filepath.Join(v.dir, "disks")}
	server := map[string]any{"addr": map[string]any{"type": "unix", "data": map[string]any{"path": address["path"]}}}
	if err := v.target.execute(ctx, "nbd-server-start", server, nil); err != nil {
		return err
	}
	for i, d := range v.drives {
		if !d.copied() {
			continue
		}
		export := map[string]any{"type": "nbd", "id": d.Name, "name": d.Name, "node-name": d.top, "writable": true}
		if err := v.target.execute(ctx, "block-export-add", export, nil); err != nil {
			return err
		}
		node := "remote-" + d.Name
		remote := map[string]any{"driver": "nbd", "node-name": node, "server": address, "export": d.Name}
		if err := v.source.execute(ctx, "blockdev-add", remote, nil); err != nil {
			return err
		}
		v.nodes = append(v.nodes, node)
		mirror, err := v.source.startMirror(ctx, v.m.drives[i], node)
		if err != nil {
			return err
		}
		v.mirrors = append(v.mirrors, mirror)
	}
	for _, m := range v.mirrors {
		if err := m.ready(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (v *move) endMirrors(ctx context.Context, force bool) error {
	var all error
	for _, m := range v.mirrors {
		all = errors.Join(all, m.stop(ctx, force))
	}
	for _, n := range v.nodes {
		all = errors.Join(all, v.source.execute(ctx, "blockdev-del", map[string]any{"node-name": n}, nil))
	}
	v.mirrors, v.nodes = nil, nil
	return all
}

// undo gives the machine back to the source, if it isn't the target's already.
func (v *move) undo(ctx context.Context) error {
	if v.m.current() != v.source {
		return nil
	}
	var all error
	if v.target != nil {
		all = v.target.kill(ctx, endedKilled)
	}
	if v.sent {
		all = errors.Join(all, v.source.execute(ctx, "migrate_cancel", nil, nil))
	}
	all = errors.Join(all, v.endMirrors(ctx, true))
	if v.release != nil {
		v.release()
	}
	if v.ran {
		all = errors.Join(all, v.source.execute(ctx, "cont", nil, nil))
	}
	if all != nil {
		return fmt.Errorf("give it back to the source: %w", all)
	}
	return nil
}

// MoveDisk implements [machine.Migrator]. The old file stays.
func (m *Machine) MoveDisk(ctx context.Context, disk, path string) error {
	return m.do("move of disk "+disk, func(p *process) error {
		d, err := m.drive(disk)
		if err == nil {
			err = m.disksGood()
		}
		if err == nil {
			err = likeFile(path, d.Path)
		}
		if err != nil {
			return err
		}
		next := *d
		next.Path, next.moves = path, d.moves+1
		next.top, next.file = fmt.Sprintf("top%d-%s", next.moves, d.Name), fmt.Sprintf("file%d-%s", next.moves, d.Name)
		if err := p.moveDisk(ctx, d, &next); err != nil {
			return err
		}
		*d = next
		return nil
	})
}

func (p *process) moveDisk(ctx context.Context, from, to *drive) error {
	for _, node := range []map[string]any{to.fileOptions(), to.topOptions(to.file)} {
		if err := p.execute(ctx, "blockdev-add", node, nil); err != nil {
			return err
		}
	}
	job, err := p.startMirror(ctx, from, to.top)
	if err != nil {
		return errors.Join(err, p.deleteNodes(context.WithoutCancel(ctx), to))
	}
	if err := job.ready(ctx); err != nil {
		ctx := context.WithoutCancel(ctx)
		return errors.Join(err, job.stop(ctx, true), p.deleteNodes(ctx, to))
	}
	if err := p.execute(ctx, "job-complete", map[string]any{"id": job.job}, nil); err != nil {
		return err
	}
	if err := job.gone(ctx); err != nil {
		return err
	}
	return p.deleteNodes(ctx, from)
}

func (p *process) deleteNodes(ctx context.Context, d *drive) error {
	var all error
	for _, n := range []string{d.top, d.file} {
		all = errors.Join(all, p.execute(ctx, "blockdev-del", map[string]any{"node-name": n}, nil))
	}
	return all
}
