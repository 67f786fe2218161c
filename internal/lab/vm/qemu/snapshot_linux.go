package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

var _ machine.Snapshotter = (*Machine)(nil)

// snapshot is a machine at a moment: its memory with all devices as a stream of
// migration, and copies of its disks.
type snapshot struct {
	memory string
	disks  map[string]string // by the disk's name
}

// Snapshot implements [machine.Snapshotter]. The machine stands meanwhile, with
// its clock, and goes on after it. Its memory is "migrated" into a file, and its
// disks are copied while they are at rest; read-only and shared disks are not
// part of it: the former don't change, the latter belong to others too.
//
// QEMU's own snapshots need qcow2 disks, which nothing else here has.
func (m *Machine) Snapshot(ctx context.Context, name string) error {
	return m.do("snapshot "+name, func(p *process) error {
		if !wellFormed(name) {
			return errors.New("a name has letters and digits")
		}
		if err := m.disksGood(); err != nil {
			return err
		}
		ran, err := p.isRunning(ctx)
		if err != nil {
			return err
		}
		if err := p.execute(ctx, "stop", nil, nil); err != nil {
			return err
		}
		s, err := m.save(ctx, p, name)
		if ran {
			err = errors.Join(err, p.execute(context.WithoutCancel(ctx), "cont", nil, nil))
		}
		if err == nil {
			m.saved[name] = s
		}
		return err
	})
}

func (m *Machine) save(ctx context.Context, p *process, name string) (snapshot, error) {
	s := snapshot{memory: filepath.Join(m.config.Dir, name+".memory"), disks: make(map[string]string)}
	if err := p.shareMemory(ctx, false); err != nil {
		return s, err
	}
	if err := p.migrate(ctx, "exec:cat > "+quote(s.memory)); err != nil {
		return s, err
	}
	if err := p.migrated(ctx); err != nil {
		return s, err
	}
	for _, d := range m.drives {
		if d.ReadOnly || d.Shared {
			continue
		}
		s.disks[d.Name] = filepath.Join(m.config.Dir, name+"."+d.Name)
		if err := copyFile(ctx, d.Path, s.disks[d.Name]); err != nil {
			return s, err
		}
	}
	return s, nil
}

// Revert implements [machine.Snapshotter]. What runs now ends at once; the machine
// goes on from the snapshot in a new QEMU. It is like a boot: Done and Control are
// new. The guest knows nothing of it: its clocks go on from the snapshot, and the
// first line on the control stream may be the rest of one.
func (m *Machine) Revert(ctx context.Context, name string) error {
	m.act.Lock()
	defer m.act.Unlock()
	if err := m.revert(ctx, name); err != nil {
		return fmt.Errorf("revert %s to %s: %w", m.config.Name, name, err)
	}
	return nil
}

func (m *Machine) revert(ctx context.Context, name string) error {
	s, ok := m.saved[name]
	if !ok {
		return errors.New("there is no such snapshot")
	}
	if p := m.current(); p != nil {
		if err := p.kill(ctx, endedReverted); err != nil {
			return err
		}
		<-m.Done()
	}
	for _, d := range m.drives {
		if from, ok := s.disks[d.Name]; ok {
			if err := copyFile(ctx, from, d.Path); err != nil {
				return err
			}
		}
	}
	l, p, err := m.launch(ctx, true)
	if err != nil {
		return err
	}
	m.adopt(l, p)
	err = p.execute(ctx, "migrate-incoming", map[string]any{"uri": "exec:cat " + quote(s.memory)}, nil)
	if err == nil {
		err = p.migrated(ctx)
	}
	if err == nil {
		err = p.execute(ctx, "cont", nil, nil)
	}
	if err != nil {
		return errors.Join(err, p.kill(context.WithoutCancel(ctx), endedKilled))
	}
	return nil
}

// disksGood is asked before QEMU's state goes to another process, which knows
// nothing of faults.
func (m *Machine) disksGood() error {
	for _, d := range m.drives {
		if d.state != machine.DiskGood {
			return fmt.Errorf("disk %s is %s: mend it first", d.Name, d.state)
		}
	}
	return nil
}

// quote is a path for QEMU's shell.
func quote(path string) string { return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'" }

// copyFile copies a file and leaves holes where there is nothing.
func copyFile(ctx context.Context, from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy a disk: %w", err)
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("copy a disk: %w", err)
	}
	err = copySparse(ctx, source, target)
	if err = errors.Join(err, target.Close()); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}
