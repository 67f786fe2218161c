package kernel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/front"
	"github.com/perdure-ha/perdure/internal/volume/nbd"
)

// Options say how a disk is attached.
type Options struct {
	// Backend identifies the volume to the next volume-server: the volume's id.
	Backend string
	// Sockets is how many connections there are. 0: 2, one for each of the
	// kernel's queues on a small machine.
	Sockets int
	// Timeout is after how long without an answer the kernel takes a connection for
	// dead and sends the request again by another. It does nothing sooner for what
	// was under way when this process died, so it is how long such requests take
	// at least. 0: 5 s. What takes longer is done twice: the volume must keep the
	// order of requests for the same place.
	Timeout time.Duration
	// Dead is how long the kernel holds I/O when all connections are dead. 0: 60 s.
	Dead time.Duration
	Log  *slog.Logger
}

// Disk is a volume as a disk of the kernel.
type Disk struct {
	nbd    netlinkNBD
	server *nbd.Server
	v      front.Volume
	o      Options
	index  int
	cancel context.CancelFunc
	stop   func() // of watching

	group sync.WaitGroup
}

// again is the pause before a dead connection is replaced, and how often in a row
// that is tried.
const (
	again      = 100 * time.Millisecond
	againTimes = 300
)

// Attach makes v a disk, or takes over the one that an earlier process with the
// same backend identifier left. It returns when the disk is there.
func Attach(server *nbd.Server, v front.Volume, o Options) (*Disk, error) {
	if o.Backend == "" {
		return nil, errors.New("attach a volume to the kernel: it has no backend identifier")
	}
	if o.Sockets == 0 {
		o.Sockets = 2
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Dead == 0 {
		o.Dead = time.Minute
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	n, err := open()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &Disk{nbd: n, server: server, v: v, o: o, cancel: cancel}
	if err := d.begin(ctx); err != nil {
		cancel()
		d.group.Wait()
		return nil, err
	}
	d.stop = v.Watch(func(g block.Geometry) { d.group.Go(func() { d.resize(g) }) })
	return d, nil
}

// begin connects, or reconnects what is there.
func (d *Disk) begin(ctx context.Context) error {
	ours, theirs, err := pairs(d.o.Sockets)
	if err != nil {
		return err
	}
	// The kernel keeps its ends; ours of them go.
	defer closeAll(theirs)
	k := d.describe()
	k.sockets = theirs
	if index, ok := Find(d.o.Backend); ok {
		k.index = index
		// What connects and dies at once is replaced by serve: the kernel takes
		// no socket while it hasn't noticed that the old ones are dead.
		if err = d.nbd.reconfigure(k); err == nil {
			d.index = index
			d.serve(ctx, ours)
			return nil
		}
		d.o.Log.Warn("a disk of the kernel can't be taken over and is made anew", "device", d.Device(), "error", err)
		_ = d.nbd.disconnect(index)
	}
	k.index = -1
	// Before the connect ends the kernel may read already.
	d.serve(ctx, ours)
	d.index, err = d.nbd.connect(k)
	return err
}

func (d *Disk) describe() told {
	g := d.v.Geometry()
	return told{index: d.index, backend: d.o.Backend, size: g.Size, blockSize: g.Logical, flags: nbd.ExportFlags(g), timeout: d.o.Timeout, deadTimeout: d.o.Dead}
}

// pairs makes connected sockets: our ends, and the kernel's as descriptors.
func pairs(n int) (ours []net.Conn, theirs []int, err error) {
	for range n {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			theirs = append(theirs, fds[1])
			f := os.NewFile(uintptr(fds[0]), "nbd")
			var c net.Conn
			c, err = net.FileConn(f)
			_ = f.Close()
			if err == nil {
				ours = append(ours, c)
				continue
			}
		}
		closeAll(theirs)
		for _, c := range ours {
			_ = c.Close()
		}
		return nil, nil, fmt.Errorf("make a socket for the kernel: %w", err)
	}
	return ours, theirs, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}

func (d *Disk) serve(ctx context.Context, ours []net.Conn) {
	for _, c := range ours {
		d.group.Go(func() { d.keep(ctx, c) })
	}
}

// keep serves one connection, and replaces it when it ends before the disk does.
func (d *Disk) keep(ctx context.Context, c net.Conn) {
	pause := time.NewTimer(again)
	defer pause.Stop()
	for failed := 0; failed < againTimes; failed++ {
		began := time.Now()
		err := d.server.Attach(ctx, c, d.v, front.Initiator{Protocol: "nbd", Name: "kernel " + d.Device()})
		if ctx.Err() != nil || errors.Is(err, nbd.ErrClosed) {
			return
		}
		if time.Since(began) > time.Second {
			failed = 0
			d.o.Log.Warn("a connection of the kernel ended and is replaced", "device", d.Device(), "error", err)
		}
		pause.Reset(again)
		select {
		case <-ctx.Done():
			return
		case <-pause.C:
		}
		if is, err := d.nbd.connected(d.index); err == nil && !is {
			return // disconnected by somebody
		}
		ours, theirs, err := pairs(1)
		if err != nil {
			continue
		}
		k := d.describe()
		k.size, k.sockets = 0, theirs
		err = d.nbd.reconfigure(k)
		closeAll(theirs)
		if err != nil {
			_ = ours[0].Close()
			continue
		}
		c = ours[0]
	}
	d.o.Log.Error("a connection of the kernel can't be replaced", "device", d.Device())
}

// resize tells the kernel a new size.
func (d *Disk) resize(g block.Geometry) {
	k := d.describe()
	k.size, k.blockSize = g.Size, g.Logical
	if err := d.nbd.reconfigure(k); err != nil {
		d.o.Log.Error("the kernel isn't told of a volume's new size", "device", d.Device(), "error", err)
	}
}

// Device is the disk's name.
func (d *Disk) Device() string { return fmt.Sprintf("/dev/nbd%d", d.index) }

// Connected reports whether the kernel still has it.
func (d *Disk) Connected() (bool, error) { return d.nbd.connected(d.index) }

// Detach ends the disk. What uses it gets errors.
func (d *Disk) Detach() error {
	d.stop()
	err := d.nbd.disconnect(d.index)
	d.cancel()
	d.group.Wait()
	return err
}

// Leave ends serving and leaves the disk to the next process: I/O is held until
// that comes, or the dead-connection time-out.
func (d *Disk) Leave() {
	d.stop()
	d.cancel()
	d.group.Wait()
}

// Find looks for the disk of a backend identifier.
func Find(backend string) (index int, ok bool) {
	found, _ := filepath.Glob("/sys/block/nbd*/backend")
	for _, f := range found {
		text, err := os.ReadFile(f)
		if err != nil || strings.TrimSpace(string(text)) != backend {
			continue
		}
		if n, err := fmt.Sscanf(filepath.Base(filepath.Dir(f)), "nbd%d", &index); n == 1 && err == nil {
			return index, true
		}
	}
	return 0, false
}
