package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/proc"
	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device"
	"github.com/perdure-ha/perdure/internal/volume/front"
	"github.com/perdure-ha/perdure/internal/volume/kernel"
	"github.com/perdure-ha/perdure/internal/volume/meta"
	"github.com/perdure-ha/perdure/internal/volume/nbd"
)

// Config is what a server needs.
type Config struct {
	// RunDir is where its sockets are: volume.sock, and volume/NAME.sock for each
	// volume.
	RunDir string
	// Memory is how many bytes of data can be under way. It is taken when the
	// first volume is served. 0: 32 MiB.
	Memory int
	// Hold is how long requests wait for the lease to be renewed. 0: 30 s.
	Hold time.Duration
	// Weaker is what this process is without, for status.
	Weaker []cluster.Reason
	Log    *slog.Logger
	// Now is BOOTTIME; nil: the machine's.
	Now func() time.Duration
}

const (
	memoryDefault = 32 << 20
	// pieceMost is the largest request that is done as a whole in bytes.
	pieceMost = 2 << 20
)

// Server serves volumes.
type Server struct {
	c    Config
	gate *Gate
	boot [16]byte

	mu      sync.Mutex
	pool    *block.Pool
	volumes map[string]*served
	closed  bool
	dead    time.Duration // of disks of the kernel; 0: the default
}

// served is a volume with its frontends.
type served struct {
	local  *Local
	device *device.Device
	nbd    *nbd.Server
	socket string
	done   chan error
	disk   *kernel.Disk // or nil
}

// New makes a server that serves nothing yet, with its gate shut.
func New(c Config) *Server {
	if c.Memory == 0 {
		c.Memory = memoryDefault
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = func() time.Duration { return clock.Now().Boot }
	}
	s := &Server{c: c, gate: newGate(c.Now, c.Hold), volumes: make(map[string]*served)}
	if id, err := proc.BootID(); err == nil {
		b, _ := hex.DecodeString(strings.ReplaceAll(id, "-", ""))
		copy(s.boot[:], b)
	}
	return s
}

// Gate is the check of the lease.
func (s *Server) Gate() *Gate { return s.gate }

// Spec names a copy.
type Spec struct {
	Name    string `json:"name"`
	Cluster string `json:"cluster"`
	// ID is the volume's, 32 hexadecimal digits.
	ID     string         `json:"id,omitempty"`
	Node   cluster.NodeID `json:"node,omitempty"`
	Copy   uint8          `json:"copy,omitempty"`
	Device string         `json:"device"`
	// Side is the file of the metadata; empty: they are at the device's end.
	Side string `json:"side,omitempty"`
	// Engine is how I/O is done; empty: the best there is.
	Engine string `json:"engine,omitempty"`
	// Kernel: it is also a disk of the Linux kernel, /dev/perdure/NAME.
	Kernel bool `json:"kernel,omitempty"`
	// Overwrite allows to make a volume where something else is.
	Overwrite bool `json:"overwrite,omitempty"`
}

// volumeName is also the name of a file.
var volumeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

func (p Spec) check() (id [16]byte, err error) {
	if !volumeName.MatchString(p.Name) {
		return id, fmt.Errorf("volume name %q: want 1 to 63 letters, digits and inner . _ -", p.Name)
	}
	b, err := hex.DecodeString(p.ID)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("volume %s: id %q: want 32 hexadecimal digits", p.Name, p.ID)
	}
	return [16]byte(b), nil
}

// opened are the devices of a copy.
type opened struct {
	data *device.Device
	side *device.Device // or nil
	path string         // of the area, for messages
}

func (s *Server) open(p Spec) (opened, error) {
	o := opened{path: p.Device}
	var err error
	if o.data, err = device.Open(p.Device, device.Options{Engine: device.Engine(p.Engine), Inline: true, Buffered: true}); err != nil {
		return o, err
	}
	if !o.data.Direct() {
		s.c.Log.Warn("direct I/O isn't possible here: data go through the page cache", "device", p.Device)
	}
	if p.Side != "" {
		o.path = p.Side
		if o.side, err = device.Open(p.Side, device.Options{Engine: device.EngineWorkers, Depth: 4, Buffered: true}); err != nil {
			return o, errors.Join(err, o.data.Close())
		}
	}
	return o, nil
}

// area is the device that has the metadata.
func (o opened) area() meta.Device {
	if o.side != nil {
		return o.side
	}
	return o.data
}

func (o opened) close() error {
	err := o.data.Close()
	if o.side != nil {
		err = errors.Join(err, o.side.Close())
	}
	return err
}

// Block and extent sizes of new volumes in bytes, and how many extents are hot.
const (
	blockSize  = 4096
	extentSize = 4 << 20
	slots      = 256
)

// Create writes the metadata of a new copy that is in sync with itself. It refuses
// what it would overwrite. An empty id is drawn; the id is returned.
func (s *Server) Create(p Spec) (id string, err error) {
	if p.ID == "" {
		var b [16]byte
		_, _ = rand.Read(b[:]) // never fails, see crypto/rand
		p.ID = hex.EncodeToString(b[:])
	}
	if p.Copy == 0 {
		p.Copy = 1
	}
	volume, err := p.check()
	if err != nil {
		return "", err
	}
	if p.Side != "" {
		if err := s.makeSide(p); err != nil {
			return "", err
		}
	}
	o, err := s.open(p)
	if err != nil {
		return "", err
	}
	g := o.data.Geometry()
	data := g.Size / blockSize * blockSize
	if p.Side == "" {
		if data, err = meta.Fit(g.Size/meta.Block*meta.Block, blockSize); err != nil {
			return "", errors.Join(message.New(message.VolumeDeviceUnusable, p.Device, err).Wrap(err), o.close())
		}
	}
	area, err := meta.Create(o.area(), o.path, meta.Superblock{
		Volume: volume, Name: p.Name, Cluster: p.Cluster, Node: uint64(p.Node), Copy: p.Copy, DataSize: data, DeviceSize: g.Size,
		BlockSize: blockSize, ExtentSize: extentSize, Slots: slots, Side: p.Side != "", Epoch: meta.Epoch{Lineage: 1}, SetVersion: 1,
		Members: 1 << (p.Copy - 1), Consistent: true, Clean: true, Boot: s.boot,
	}, p.Overwrite)
	if err != nil {
		return "", errors.Join(err, o.close())
	}
	return p.ID, errors.Join(area.Close(), o.close())
}

// makeSide makes the side file as large as it must be. One that is there keeps its
// content.
func (s *Server) makeSide(p Spec) error {
	d, err := device.Open(p.Device, device.Options{Engine: device.EngineWorkers, Depth: 1, ReadOnly: true, Buffered: true})
	if err != nil {
		return err
	}
	size := meta.LayoutFor(d.Geometry().Size/blockSize*blockSize, blockSize).Size
	if err := d.Close(); err != nil {
		return err
	}
	f, err := os.OpenFile(p.Side, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("make the side file of volume %s: %w", p.Name, err)
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}

// Serve opens a copy and serves it as NBD on a unix socket, whose name is
// returned. While the gate is shut, requests wait.
func (s *Server) Serve(p Spec) (socket string, err error) {
	volume, err := p.check()
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return "", errStopping
	}
	if v := s.volumes[p.Name]; v != nil {
		return v.socket, nil
	}
	if s.pool == nil {
		if s.pool, err = block.NewPool(s.c.Memory, pieceMost); err != nil {
			return "", err
		}
	}
	o, err := s.open(p)
	if err != nil {
		return "", err
	}
	area, err := meta.Open(o.area(), o.path, meta.Want{Volume: volume, Name: p.Name, Cluster: p.Cluster})
	if err != nil {
		return "", errors.Join(err, o.close())
	}
	var side backing
	if o.side != nil {
		side = o.side
	}
	local, err := openLocal(o.data, side, area, s.gate, s.boot, s.c.Log)
	if err != nil {
		return "", errors.Join(err, area.Close(), o.close())
	}
	v := &served{local: local, device: o.data, done: make(chan error, 1)}
	if err := s.listen(v); err != nil {
		return "", errors.Join(err, local.close(true))
	}
	if p.Kernel {
		if err := s.attach(v, p); err != nil {
			return "", errors.Join(err, s.stop(v, false))
		}
	}
	s.volumes[p.Name] = v
	s.c.Log.Info("a volume is served", "volume", p.Name, "device", p.Device, "engine", string(o.data.Engine()), "socket", v.socket)
	return v.socket, nil
}

// listen opens the volume's socket, for root alone.
func (s *Server) listen(v *served) error {
	dir := filepath.Join(s.c.RunDir, "volume")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of volumes' sockets: %w", err)
	}
	v.socket = filepath.Join(dir, v.local.name+".sock")
	l, err := listenUnix(v.socket)
	if err != nil {
		return err
	}
	v.nbd = nbd.NewServer(nbd.Config{Exports: only{v.local}, Pool: s.pool, Log: s.c.Log})
	go func() { v.done <- v.nbd.Serve(l) }()
	return nil
}

// listenUnix listens where an earlier process may have left its socket.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove an old socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("guard a socket: %w", err), l.Close())
	}
	return l, nil
}

// only exports one volume.
type only struct{ v front.Volume }

func (o only) Names() []string { return []string{o.v.Name()} }

func (o only) Volume(name string) front.Volume {
	if name == "" || name == o.v.Name() {
		return o.v
	}
	return nil
}

// Stop ends serving a volume: clients are cut off, what is under way ends, the disk
// is flushed, and the superblock says clean. One that isn't served is no error.
func (s *Server) Stop(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.volumes[name]
	if v == nil {
		return nil
	}
	delete(s.volumes, name)
	return s.stop(v, false)
}

// devices is where the kernel's disks have the names of their volumes.
const devices = "/dev/perdure"

// attach makes the volume a disk of the kernel. What an earlier process left is
// taken over.
func (s *Server) attach(v *served, p Spec) error {
	disk, err := kernel.Attach(v.nbd, v.local, kernel.Options{Backend: p.ID, Dead: s.dead, Log: s.c.Log})
	if err != nil {
		return fmt.Errorf("make volume %s a disk: %w", p.Name, err)
	}
	v.disk = disk
	name := filepath.Join(devices, p.Name)
	if err := os.MkdirAll(devices, 0o755); err != nil {
		return fmt.Errorf("name the disk of volume %s: %w", p.Name, err)
	}
	_ = os.Remove(name)
	if err := os.Symlink(disk.Device(), name); err != nil {
		return fmt.Errorf("name the disk of volume %s: %w", p.Name, err)
	}
	return nil
}

// stop ends a volume. leave: its disk of the kernel stays, for the next process.
func (s *Server) stop(v *served, leave bool) error {
	var err error
	if v.disk != nil && !leave {
		_ = os.Remove(filepath.Join(devices, v.local.name))
		err = v.disk.Detach()
	}
	v.local.stop()
	if v.disk != nil && leave {
		v.disk.Leave()
	}
	v.nbd.Close()
	<-v.done
	return errors.Join(err, v.local.close(true))
}

// Close stops all volumes. Their disks of the kernel stay and hold I/O until the
// next process takes them over.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	var err error
	for name, v := range s.volumes {
		delete(s.volumes, name)
		err = errors.Join(err, s.stop(v, true))
	}
	s.gate.Revoke(errStopping)
	if s.pool != nil {
		err = errors.Join(err, s.pool.Close())
		s.pool = nil
	}
	return err
}

// Status is what a server does.
type Status struct {
	// LeaseUntil is the gate's deadline by BOOTTIME in nanoseconds, Open whether
	// it is open now, Held how many requests wait for it.
	LeaseUntil time.Duration    `json:"lease_until"`
	Open       bool             `json:"open"`
	Held       int              `json:"held"`
	Weaker     []cluster.Reason `json:"weaker,omitempty"`
	Volumes    []VolumeStatus   `json:"volumes"` // by name
}

// VolumeStatus is one volume's.
type VolumeStatus struct {
	Name       string   `json:"name"`
	Device     string   `json:"device"`
	Engine     string   `json:"engine"`
	Direct     bool     `json:"direct"`
	Size       int64    `json:"size"`
	Socket     string   `json:"socket"`
	Disk       string   `json:"disk,omitempty"` // of the kernel
	Initiators []string `json:"initiators,omitempty"`
	Hot        int      `json:"hot"` // extents
	Reads      uint64   `json:"reads"`
	Writes     uint64   `json:"writes"`
	ReadBytes  uint64   `json:"read_bytes"`
	WriteBytes uint64   `json:"write_bytes"`
	// Failure is the first error of the device.
	Failure string `json:"failure,omitempty"`
}

// Status describes the server as it is now.
func (s *Server) Status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := Status{LeaseUntil: time.Duration(s.gate.until.Load()), Open: s.gate.passes(), Held: s.gate.held(), Weaker: s.c.Weaker, Volumes: []VolumeStatus{}}
	for _, v := range s.volumes {
		l := v.local
		vs := VolumeStatus{Name: l.name, Device: v.device.Path(), Engine: string(v.device.Engine()), Direct: v.device.Direct(), Size: l.geometry.Size, Socket: v.socket,
			Hot: l.activity.hotNow(), Reads: l.reads.Load(), Writes: l.writes.Load(), ReadBytes: l.readBytes.Load(), WriteBytes: l.writtenBytes.Load()}
		if v.disk != nil {
			vs.Disk = v.disk.Device()
		}
		l.mu.Lock()
		for _, who := range l.sessions {
			vs.Initiators = append(vs.Initiators, who.Name)
		}
		if l.failure != nil {
			vs.Failure = l.failure.Error()
		}
		l.mu.Unlock()
		slices.Sort(vs.Initiators)
		st.Volumes = append(st.Volumes, vs)
	}
	slices.SortFunc(st.Volumes, func(a, b VolumeStatus) int { return strings.Compare(a.Name, b.Name) })
	return st
}
