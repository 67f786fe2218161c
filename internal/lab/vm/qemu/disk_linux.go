package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qmp"
)

var _ machine.DiskBreaker = (*Machine)(nil)

const (
	// unplugPatience is for the guest to let a device go: 0.1 s when it is well.
	unplugPatience = 15 * time.Second
	// debt is what a hanging disk owes in bytes at one byte per second: the next
	// request waits for 12 days.
	debt = 1 << 20
)

// SetDisk implements [machine.DiskBreaker].
//
//   - error: a blkdebug node that refuses everything but a flush with EIO. (With
//     flushes refused QEMU can't take the node out again.)
//   - hang: a throttle node so deep in debt that reads and writes wait for days.
//     A flush alone passes, and whatever drains the disk lets go what waits:
//     Suspend, Snapshot, a migration, and mending it.
//   - gone: the device is unplugged. The guest has a say in it, so it must be
//     well. The data stays.
func (m *Machine) SetDisk(ctx context.Context, disk string, state machine.DiskState) error {
	return m.do(fmt.Sprintf("disk %s to %s", disk, state), func(p *process) error {
		d, err := m.drive(disk)
		if err != nil || d.state == state {
			return err
		}
		if err := p.mend(ctx, d); err != nil {
			return fmt.Errorf("from %s to good: %w", d.state, err)
		}
		d.state = machine.DiskGood
		if err := p.breakDisk(ctx, d, state); err != nil {
			return err
		}
		d.state = state
		return nil
	})
}

func (m *Machine) drive(name string) (*drive, error) {
	for _, d := range m.drives {
		if d.Name == name {
			return d, nil
		}
	}
	return nil, fmt.Errorf("there is no disk %q", name)
}

// faultNode is the node between format and file.
func (d *drive) faultNode() string  { return "fault-" + d.Name }
func (d *drive) faultGroup() string { return "debt-" + d.Name }

func (p *process) breakDisk(ctx context.Context, d *drive, state machine.DiskState) error {
	switch state {
	case machine.DiskGood:
		return nil
	case machine.DiskGone:
		return p.unplug(ctx, d)
	case machine.DiskError:
		return p.insert(ctx, d, map[string]any{
			"driver": "blkdebug", "node-name": d.faultNode(), "image": d.file, "read-only": d.ReadOnly,
			"inject-error": refusals(),
		})
	case machine.DiskHang:
		err := p.execute(ctx, "object-add", map[string]any{
			"qom-type": "throttle-group", "id": d.faultGroup(), "limits": map[string]any{"bps-total": 1}}, nil)
		if err != nil {
			return err
		}
		err = p.insert(ctx, d, map[string]any{
			"driver": "throttle", "node-name": d.faultNode(), "throttle-group": d.faultGroup(),
			"file": d.file, "read-only": d.ReadOnly})
		return err
	}
	return fmt.Errorf("%q is no state of a disk", state)
}

func refusals() []any {
	var rules []any
	for _, kind := range []string{"read", "write", "write-zeroes", "discard"} {
		rules = append(rules, map[string]any{"event": "none", "iotype": kind, "errno": 5, "immediately": true})
	}
	return rules
}

// insert puts a node between format and file.
func (p *process) insert(ctx context.Context, d *drive, node map[string]any) error {
	if err := p.execute(ctx, "blockdev-add", node, nil); err != nil {
		return err
	}
	if node["driver"] == "throttle" {
		// The first request of a group always passes, and what it moved is the debt.
		err := p.execute(ctx, "human-monitor-command", map[string]any{
			"command-line": fmt.Sprintf(`qemu-io %s "read 0 %d"`, d.faultNode(), debt)}, nil)
		if err != nil {
			return err
		}
	}
	return p.reopen(ctx, d, d.faultNode())
}

// reopen sets what is below the format node.
func (p *process) reopen(ctx context.Context, d *drive, below string) error {
	return p.execute(ctx, "blockdev-reopen", map[string]any{"options": []any{d.topOptions(below)}}, nil)
}

// mend makes a disk good again.
func (p *process) mend(ctx context.Context, d *drive) error {
	switch d.state {
	case machine.DiskError, machine.DiskHang:
		if err := p.reopen(ctx, d, d.file); err != nil {
			return err
		}
		err := p.execute(ctx, "blockdev-del", map[string]any{"node-name": d.faultNode()}, nil)
		if d.state == machine.DiskHang {
			err = errors.Join(err, p.execute(ctx, "object-del", map[string]any{"id": d.faultGroup()}, nil))
		}
		return err
	case machine.DiskGone:
		return p.execute(ctx, "device_add", d.deviceOptions(), nil)
	}
	return nil
}

func (p *process) unplug(ctx context.Context, d *drive) error {
	sub := p.qmp.Subscribe("DEVICE_DELETED", "DEVICE_UNPLUG_GUEST_ERROR")
	defer sub.Close()
	if err := p.execute(ctx, "device_del", map[string]any{"id": d.device()}, nil); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, unplugPatience)
	defer cancel()
	e, err := sub.Wait(ctx, func(e qmp.Event) bool {
		var data struct {
			Device string `json:"device"`
		}
		return e.Decode(&data) == nil && data.Device == d.device()
	})
	if err != nil {
		return fmt.Errorf("wait for the guest to let it go: %w", err)
	}
	if e.Name != "DEVICE_DELETED" {
		return errors.New("the guest doesn't let it go")
	}
	return nil
}
