package server

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/front"
	"github.com/perdure-ha/perdure/internal/volume/meta"
)

// errNoLease is [block.ErrRefused] with its reason.
var errNoLease = fmt.Errorf("the lease wasn't renewed in time: %w", block.ErrRefused)

// errStopping: the volume is being closed.
var errStopping = fmt.Errorf("the volume is being taken out of service: %w", block.ErrRefused)

// backing is what a volume is on.
type backing interface {
	block.Submitter
	Geometry() block.Geometry
	Close() error
}

// Local is a volume whose one copy is here.
type Local struct {
	name     string
	device   backing
	side     backing // or nil: the metadata are on the device
	area     *meta.Area
	activity *activity
	order    order
	pool     *block.Pool
	gate     *Gate
	log      *slog.Logger
	geometry block.Geometry

	mu       sync.Mutex
	idle     sync.Cond
	free     []*op
	ops      int
	stopping bool
	sessions map[*localSession]front.Initiator
	watchers map[int]func(block.Geometry)
	watched  int
	failure  error

	// ending: what comes back from the disk without a lease isn't kept waiting.
	ending atomic.Bool

	reads, writes, readBytes, writtenBytes atomic.Uint64
}

var _ front.Volume = (*Local)(nil)

// op is one request of a session on its way.
type op struct {
	v       *Local
	session *localSession
	outer   *block.Request
	inner   block.Request
	// flushes is what a flush covers.
	flushes uint64
	// answered: the disk is done, and the answer waits for the gate.
	answered bool
	parts    *parts // of a request that was cut
	// ordered: it is in the order of changes, at place.
	ordered bool
	place   int
}

// parts joins the pieces of a request that is too wide for the activity log.
type parts struct {
	left atomic.Int64
	mu   sync.Mutex
	err  error
}

// openLocal opens a copy whose area is open. The superblock says "not clean" when
// it returns.
func openLocal(device, side backing, area *meta.Area, gate *Gate, boot [16]byte, log *slog.Logger) (*Local, error) {
	s := area.Superblock()
	pool, err := block.NewPool(meta.Block, meta.Block)
	if err != nil {
		return nil, err
	}
	on := device
	if side != nil {
		on = side
	}
	v := &Local{name: s.Name, device: device, side: side, area: area, pool: pool, gate: gate, log: log,
		sessions: make(map[*localSession]front.Initiator), watchers: make(map[int]func(block.Geometry))}
	v.idle.L = &v.mu
	v.geometry = device.Geometry()
	v.geometry.Size = s.DataSize
	act, whole, err := newActivity(area, device, on, pool.Get(meta.Block))
	if err != nil {
		return nil, err
	}
	v.activity = act
	if !whole {
		log.Warn("the activity log is damaged: everything counts as hot", "volume", s.Name)
	}
	if !s.Clean {
		log.Info("the volume wasn't closed in order", "volume", s.Name, "hot", act.hotNow(), "same_boot", s.Boot == boot)
	}
	s.Clean, s.Boot, s.Source = false, boot, true
	if err := area.WriteSuperblock(s); err != nil {
		return nil, err
	}
	return v, nil
}

// Name implements [front.Volume].
func (v *Local) Name() string { return v.name }

// Geometry implements [front.Volume].
func (v *Local) Geometry() block.Geometry { return v.geometry }

// Watch implements [front.Volume].
func (v *Local) Watch(f func(block.Geometry)) (stop func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := v.watched
	v.watched++
	v.watchers[n] = f
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.watchers, n)
	}
}

// Open implements [front.Volume].
func (v *Local) Open(who front.Initiator) (front.Session, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stopping {
		return nil, errStopping
	}
	s := &localSession{v: v}
	v.sessions[s] = who
	return s, nil
}

type localSession struct {
	v     *Local
	batch []*block.Request
	gone  atomic.Bool // nobody waits for answers any more
}

func (s *localSession) Close() {
	s.v.mu.Lock()
	defer s.v.mu.Unlock()
	delete(s.v.sessions, s)
	s.v.idle.Broadcast()
}

// Abort fails what waits for the lease: nobody is there any more to be answered.
func (s *localSession) Abort() {
	s.gone.Store(true)
	s.v.gate.drop(func(o *op) bool { return o.session == s }, errStopping)
}

// Submit implements [block.Submitter].
func (s *localSession) Submit(batch []*block.Request) {
	v := s.v
	open := v.gate.passes()
	s.batch = s.batch[:0]
	kick := false
	for _, r := range batch {
		if err := v.geometry.Check(r); err != nil {
			r.End(err)
			continue
		}
		if v.wide(r) {
			v.cut(s, r)
			continue
		}
		o := v.take(s, r)
		switch {
		case o == nil:
			r.End(errStopping)
		case !open:
			v.gate.park(o)
		case o.changes() && !v.order.enter(o):
		case o.ready():
			s.batch = append(s.batch, &o.inner)
		default:
			kick = true
		}
	}
	if len(s.batch) > 0 {
		v.device.Submit(s.batch)
	}
	if kick {
		v.activity.kick()
	}
}

// ready reports whether the request may go to the disk at once.
func (o *op) ready() bool {
	v := o.v
	if o.inner.Op == block.Flush {
		o.flushes = v.activity.count()
	}
	return !o.changes() || v.activity.begin(o)
}

// changes reports whether content may be changed.
func (o *op) changes() bool { return o.inner.Op.Changes() && o.inner.Size() > 0 }

// launch starts a request whose turn it is.
func (o *op) launch() {
	if o.ready() {
		o.v.device.Submit([]*block.Request{&o.inner})
	} else {
		o.v.activity.kick()
	}
}

func (v *Local) wide(r *block.Request) bool {
	return r.Op.Changes() && r.Size() > (v.activity.widest()-1)<<v.activity.shift
}

// cut does a wide request in pieces.
func (v *Local) cut(s *localSession, r *block.Request) {
	step := max(v.activity.widest()/2, 1) << v.activity.shift
	size := r.Size()
	n := (size + step - 1) / step
	p := &parts{}
	p.left.Store(n)
	for i := range n {
		o := v.take(s, r)
		if o == nil {
			p.done(r, errStopping)
			continue
		}
		o.parts = p
		o.inner.Offset = r.Offset + i*step
		o.inner.Length = min(step, size-i*step)
		if r.Op == block.Write {
			o.inner.Data = r.Data[i*step : i*step+o.inner.Length]
		}
		o.resume(nil)
	}
}

func (p *parts) done(r *block.Request, err error) {
	p.mu.Lock()
	p.err = errors.Join(p.err, err)
	err = p.err
	p.mu.Unlock()
	if p.left.Add(-1) == 0 {
		r.End(err)
	}
}

// take makes an op of a request, or nil when the volume is being closed.
func (v *Local) take(s *localSession, r *block.Request) *op {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stopping {
		return nil
	}
	var o *op
	if n := len(v.free); n > 0 {
		o, v.free = v.free[n-1], v.free[:n-1]
	} else {
		o = &op{v: v}
		o.inner.Owner, o.inner.Done = o, arrived
	}
	v.ops++
	o.session, o.outer, o.answered, o.parts = s, r, false, nil
	in := &o.inner
	in.Op, in.Flags, in.Offset, in.Length, in.Data, in.Err = r.Op, r.Flags, r.Offset, r.Length, r.Data, nil
	return o
}

// resume goes on after the gate has opened, or ends with why.
func (o *op) resume(why error) {
	switch {
	case why != nil:
		o.end(why)
	case !o.v.gate.passes():
		o.v.gate.park(o)
	case o.answered:
		o.end(o.inner.Err)
	case o.changes() && !o.v.order.enter(o):
	default:
		o.launch()
	}
}

// arrived is the Done of requests to the device.
func arrived(r *block.Request) {
	o := r.Owner.(*op)
	v := o.v
	if o.changes() {
		v.activity.ended(r)
	}
	if r.Op == block.Flush && r.Err == nil {
		v.activity.flushedAt(o.flushes)
	}
	o.finish(r.Err)
}

// finish answers when the gate allows it: what was asked before the deadline may
// have stood still with the machine until after it.
func (o *op) finish(err error) {
	v := o.v
	if err != nil {
		v.note(err)
	}
	if o.ordered {
		for _, next := range v.order.leave(o) {
			next.launch()
		}
	}
	o.inner.Err, o.answered = err, true
	switch {
	case v.gate.passes():
		o.end(err)
	case o.session.gone.Load() || v.ending.Load():
		o.end(errNoLease)
	default:
		v.gate.park(o)
	}
}

func (o *op) end(err error) {
	v, r, p := o.v, o.outer, o.parts
	size := uint64(o.inner.Size())
	switch {
	case err != nil:
	case r.Op == block.Read:
		v.reads.Add(1)
		v.readBytes.Add(size)
	case r.Op.Changes():
		v.writes.Add(1)
		v.writtenBytes.Add(size)
	}
	o.session, o.outer, o.inner.Data, o.parts = nil, nil, nil, nil
	v.mu.Lock()
	v.free = append(v.free, o)
	v.ops--
	if v.ops == 0 {
		v.idle.Broadcast()
	}
	v.mu.Unlock()
	if p != nil {
		p.done(r, err)
		return
	}
	r.End(err)
}

// note keeps the first failure of the device for status, and logs it.
func (v *Local) note(err error) {
	if !errors.Is(err, block.ErrIO) && !errors.Is(err, block.ErrGone) && !errors.Is(err, block.ErrSpace) {
		return
	}
	v.mu.Lock()
	first := v.failure == nil
	if first {
		v.failure = err
	}
	v.mu.Unlock()
	if first {
		v.log.Error("the volume's device fails", "volume", v.name, "error", err)
	}
}

// stop refuses new requests, and fails those that wait for the gate.
func (v *Local) stop() {
	v.mu.Lock()
	v.stopping = true
	v.mu.Unlock()
	v.ending.Store(true)
	v.gate.drop(func(o *op) bool { return o.v == v }, errStopping)
}

// close ends the volume. Sessions must have been ended by their frontends; what is
// under way is waited for. With clean it flushes, and says so in the superblock.
func (v *Local) close(clean bool) error {
	v.stop()
	v.mu.Lock()
	for v.ops > 0 || len(v.sessions) > 0 {
		v.idle.Wait()
	}
	v.mu.Unlock()
	var err error
	if clean {
		err = v.settle()
	}
	v.pool.Put(v.activity.buf)
	err = errors.Join(err, v.area.Close(), v.pool.Close())
	if v.side != nil {
		err = errors.Join(err, v.side.Close())
	}
	return errors.Join(err, v.device.Close())
}

func (v *Local) settle() error {
	if err := block.Do(v.device, &block.Request{Op: block.Flush}); err != nil {
		return fmt.Errorf("flush volume %s: %w", v.name, err)
	}
	if err := v.activity.empty(); err != nil {
		return err
	}
	s := v.area.Superblock()
	s.Clean, s.Source = true, false
	return v.area.WriteSuperblock(s)
}
