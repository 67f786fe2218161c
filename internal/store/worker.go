package store

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/perdure-ha/perdure/internal/core"
)

// Worker carries out what a core has for one storage witness. It steps and saves
// in a goroutine of its own, which a store that hangs may keep for ever; nobody
// waits for it longer than the operation says.
type Worker struct {
	open    func() (Store, error)
	stepper *core.Stepper

	store  Store
	again  time.Time // when opening may be tried again
	failed error     // of the last opening
	busy   chan struct{}
}

// NewWorker opens the store when it is first needed, and again after an error.
func NewWorker(open func() (Store, error), stepper *core.Stepper) *Worker {
	return &Worker{open: open, stepper: stepper, busy: make(chan struct{}, 1)}
}

// reopenAfter is how long a store that couldn't be opened is left alone.
const reopenAfter = time.Second

// ErrHangs: the store still has an earlier operation.
var ErrHangs = errors.New("an earlier access to the store hangs")

// Do carries out one operation; done is called once, by another goroutine.
func (w *Worker) Do(op *core.StorageOp, done func(core.StorageDone)) {
	end := func(out *core.Outcome, err error) {
		done(core.StorageDone{ID: op.ID, Voter: op.Voter, Outcome: out, Err: err})
	}
	select {
	case w.busy <- struct{}{}:
	default:
		go func() {
			time.Sleep(op.Within / 8) // it is asked again at once otherwise
			end(nil, ErrHangs)
		}()
		return
	}
	type result struct {
		out *core.Outcome
		err error
	}
	res := make(chan result, 1)
	go func() {
		defer func() { <-w.busy }()
		out, err := w.run(op)
		res <- result{out, err}
	}()
	go func() {
		late := time.NewTimer(op.Within)
		defer late.Stop()
		select {
		case r := <-res:
			end(r.out, r.err)
		case <-late.C:
			end(nil, core.ErrStoreHangs)
		}
	}()
}

// Close waits for the operation under way, but not for one that hangs.
func (w *Worker) Close(patience time.Duration) {
	select {
	case w.busy <- struct{}{}:
		if w.store != nil {
			_ = w.store.Close()
		}
	case <-time.After(patience):
	}
}

// backTries is how often an object that went back is loaded again, because it
// may only be an old copy.
const backTries = 3

// run is load, step, save if unchanged; again if it has changed.
func (w *Worker) run(op *core.StorageOp) (*core.Outcome, error) {
	until := time.Now().Add(op.Within)
	var last error
	back := 0
	for try := 0; time.Now().Before(until); try++ {
		if try > 0 {
			// Two nodes that meet part at random.
			time.Sleep(time.Duration(rand.Int64N(int64(min(op.Within/16, time.Duration(try)*5*time.Millisecond)) + 1)))
		}
		if err := w.ready(); err != nil {
			return nil, err
		}
		object, v, err := w.store.Load()
		if err != nil {
			w.drop()
			return nil, err
		}
		next, out, err := w.stepper.Step(object, op.Batch)
		if errors.Is(err, core.ErrWentBack) && back < backTries {
			back++
			last = err
			continue
		}
		if err != nil || next == nil {
			return out, err
		}
		out.Saved = true
		switch err := w.store.Save(v, next); {
		case err == nil:
			w.stepper.Saved(core.SaveDone)
			return out, nil
		case errors.Is(err, ErrConflict):
			w.stepper.Saved(core.SaveConflict)
			last = err
			if err != ErrConflict { // more than a conflict: the device failed
				w.drop()
			}
		default:
			w.stepper.Saved(core.SaveUnknown)
			last = err
			if err != ErrUnsure {
				w.drop()
			}
		}
	}
	return nil, last
}

func (w *Worker) ready() error {
	if w.store != nil {
		return nil
	}
	if time.Now().Before(w.again) {
		return w.failed
	}
	w.store, w.failed = w.open()
	if w.failed != nil {
		w.store = nil
		w.again = time.Now().Add(reopenAfter)
	}
	return w.failed
}

// drop closes a store that failed, so that the next operation opens it anew, in
// another slot.
func (w *Worker) drop() {
	if w.store != nil {
		_ = w.store.Close()
		w.store = nil
	}
	w.again = time.Now().Add(reopenAfter)
}
