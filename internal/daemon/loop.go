package daemon

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/timer"
	"github.com/perdure-ha/perdure/internal/wal"
)

// seed draws the core's chance. It must differ between starts, because command
// ids come from it.
func seed() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails, see crypto/rand
	return binary.LittleEndian.Uint64(b[:])
}

// loop is the only place where the core is stepped. It ends with the context.
func (d *Daemon) loop() {
	wake := timer.New()
	defer wake.Close()
	now := clock.Now()
	d.step(now, d.first)
	for d.ctx.Err() == nil {
		wake.Set(d.core.Next(now))
		var ev core.Event
		select {
		case ev = <-d.events:
		case <-wake.C():
			ev = core.Tick{}
		case <-d.ctx.Done():
			return
		}
		last := now.Mono
		now = clock.Now()
		d.noticeGap(now.Mono - last)
		d.step(now, ev)
	}
}

// noticeGap looks for a pause of the whole process, as when the machine was
// frozen. What piled up in the sockets meanwhile is old, so a new session drops
// it; the core notices the gap by itself.
func (d *Daemon) noticeGap(gap time.Duration) {
	if gap <= d.core.State().Detection/4 {
		return
	}
	d.log.Warn(message.Text(message.English, message.PauseNoticed, gap.Round(time.Millisecond)))
	if err := d.ep.NewSession(); err != nil {
		d.log.Error("begin a new session on the comm paths", "err", err)
	}
}

// step runs the core and hands its effects out. Nothing here waits.
func (d *Daemon) step(now cluster.Instant, ev core.Event) {
	out := d.core.Step(now, ev)
	if out.Fatal != nil {
		if errors.Is(out.Fatal, core.ErrReverted) {
			d.markGoneBack(out.Fatal)
		}
		d.fatal(out.Fatal)
		return
	}
	if out.Persist != nil {
		d.disk <- out.Persist // there is room: the core has one write at a time
	}
	d.sendPackets(&out)
	if len(out.Suspects) > 0 {
		d.askMachines(out.Suspects, d.State()) // the published copy: the core's own changes
	}
	if out.Admitted != 0 {
		d.admitted(out.Admitted)
	}
	if out.Lease != nil {
		d.renew(out.Lease)
	}
	for _, m := range out.Messages {
		// A message that can't be sent is lost, as on any network.
		_ = d.ep.Send(m.Via, core.EncodeMessage(m))
	}
	for _, op := range out.Storage {
		d.stores.do(op)
	}
	for i := range out.Actions {
		d.acts.perform(out.Actions[i])
	}
	for i := range out.Replies {
		d.asked.answer(&out.Replies[i])
	}
	if out.ResetGuardian != nil {
		d.resetGuard(*out.ResetGuardian)
	}
	for _, a := range out.Alarms {
		if a.Code == core.NoteStorageBack {
			d.alarms.clear(core.AlarmStorage)
			d.log.Info(message.Reason(a).String())
			continue
		}
		d.alarms.say(d.log, a)
	}
	d.publish(now, out.Changed)
	if out.Departed != nil {
		d.log.Info(message.Reason(*out.Departed).String())
		d.depart()
	}
}

func (d *Daemon) sendPackets(out *core.Effects) {
	var buf [1200]byte
	if out.Beat != nil {
		p := core.AppendHeartbeat(buf[:0], out.Beat)
		for _, to := range out.BeatTo {
			_ = d.ep.SendHeartbeats(to, p) // counted by the path
		}
	}
	for i := range out.Acks {
		a := &out.Acks[i]
		p := core.AppendAck(buf[:0], &a.Ack)
		if a.Network == "" {
			_ = d.ep.SendHeartbeats(a.To, p)
		} else {
			_ = d.ep.SendHeartbeat(a.To, a.Network, p)
		}
	}
}

// write is the disk's goroutine.
func (d *Daemon) write() {
	for {
		select {
		case <-d.ctx.Done():
			return
		case op := <-d.disk:
			err := d.wal.Save(wal.Update{HardState: op.HardState, Entries: op.Entries, Snapshot: op.Snapshot, Local: op.Local, Sync: true})
			d.compact(op, err)
			if err != nil && !errors.Is(err, wal.ErrFull) {
				// Nobody knows what is on the disk. Starting again reads it.
				d.fatal(err)
				return
			}
			// The core speaks of a full disk once, when it begins.
			if err != nil {
				d.alarms.renew(core.AlarmDisk)
			} else if d.alarms.clear(core.AlarmDisk) {
				d.log.Info(message.Text(message.English, message.DiskWrites, d.cfg.StateDir))
				d.changed.wake()
			}
			d.post(core.Persisted{ID: op.ID, Err: err})
		}
	}
}

// segmentsMax is how many segments the log may have before it is compacted
// though no snapshot was taken.
const segmentsMax = 8

// compact drops what a snapshot covers. A full disk is no reason to give up:
// it is tried again after the next write.
func (d *Daemon) compact(op *core.Persist, err error) {
	if err != nil || op.Snapshot == nil && d.wal.Stats().Segments <= segmentsMax {
		return
	}
	if err := d.wal.Compact(op.Snapshot.GetMetadata().GetIndex()); err != nil {
		d.log.Warn("compact the log", "err", err)
	}
}
