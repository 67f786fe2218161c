package device

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// Engine is how I/O is done.
type Engine string

const (
	// EngineAuto is the ring if the kernel allows it, else workers.
	EngineAuto Engine = ""
	// EngineRing is io_uring: one call submits a batch. Linux 5.6 and newer, and
	// not where it is forbidden (kernel.io_uring_disabled, seccomp).
	EngineRing Engine = "io_uring"
	// EngineWorkers are threads that block in one operation each.
	EngineWorkers Engine = "threads"
)

// Options say how to open.
type Options struct {
	ReadOnly bool
	// Depth is how many operations the device has at the same time; more wait
	// in order. 0: 128. At most 4096.
	Depth  int
	Engine Engine
	// Inline lets Submit do a small read or write itself, and block meanwhile, if
	// nothing else is under way: a request alone then costs one wake-up less. For
	// callers whose Submit may wait for the disk.
	Inline bool
	// Buffered allows the page cache where the file system has no direct I/O.
	// Data then pass through memory that a full machine waits for: for trying
	// things out.
	Buffered bool
}

const (
	depthDefault = 128
	depthMost    = 4096
)

// engine does requests that were checked.
type engine interface {
	submit(batch []*block.Request)
	// close waits for what is under way. Later requests end with ErrClosed.
	close()
}

// Device is an open backing device.
type Device struct {
	path     string
	handle   *handle
	engine   engine
	kind     Engine
	geometry atomic.Pointer[block.Geometry]
}

var _ block.Submitter = (*Device)(nil)

// Open opens a disk, partition or file for this process alone. It fails with a
// message that names the user if something else uses it: a mount, swap, a device
// mapper or RAID on it, a loop device, another process.
func Open(path string, o Options) (*Device, error) {
	if o.Depth == 0 {
		o.Depth = depthDefault
	}
	if o.Depth < 1 || o.Depth > depthMost {
		return nil, fmt.Errorf("open %s: depth %d is not 1 to %d", path, o.Depth, depthMost)
	}
	h, g, err := openHandle(path, o)
	if err != nil {
		return nil, err
	}
	if g.Size == 0 {
		_ = h.close()
		return nil, message.New(message.VolumeDeviceUnusable, path, "it is empty")
	}
	d := &Device{path: path, handle: h}
	d.geometry.Store(&g)
	d.engine, d.kind, err = newEngine(h, o)
	if err != nil {
		_ = h.close()
		return nil, err
	}
	return d, nil
}

// Path is the name that it was opened by.
func (d *Device) Path() string { return d.path }

// Engine is how its I/O is done.
func (d *Device) Engine() Engine { return d.kind }

// Direct reports whether I/O goes past the page cache.
func (d *Device) Direct() bool { return d.handle.direct }

// Geometry is what the device is like.
func (d *Device) Geometry() block.Geometry { return *d.geometry.Load() }

// Refresh looks at the size again, after the device has grown or shrunk.
func (d *Device) Refresh() (block.Geometry, error) {
	g, err := d.handle.measure()
	if err != nil {
		return d.Geometry(), fmt.Errorf("look at the size of %s: %w", d.path, err)
	}
	d.geometry.Store(&g)
	return g, nil
}

// Submit implements [block.Submitter].
func (d *Device) Submit(batch []*block.Request) {
	g := d.geometry.Load()
	good := true
	for _, r := range batch {
		if g.Check(r) != nil {
			good = false
			break
		}
	}
	if !good {
		batch = slices.Clone(batch)
		batch = slices.DeleteFunc(batch, func(r *block.Request) bool {
			err := g.Check(r)
			if err != nil {
				r.End(d.wrong(r, err))
			}
			return err != nil
		})
	}
	if len(batch) > 0 {
		d.engine.submit(batch)
	}
}

// wrong names device, operation and place.
func (d *Device) wrong(r *block.Request, err error) error {
	return fmt.Errorf("%v %d bytes at %d of %s: %w", r.Op, r.Size(), r.Offset, d.path, err)
}

// Close waits for what is under way and closes the device. Nothing is flushed.
func (d *Device) Close() error {
	d.engine.close()
	if err := d.handle.close(); err != nil {
		return fmt.Errorf("close %s: %w", d.path, err)
	}
	return nil
}

// Vanished reports whether an error says that the device is gone, which no
// retry mends.
func Vanished(err error) bool { return errors.Is(err, block.ErrGone) }
