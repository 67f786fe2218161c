package walfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"syscall"
)

// Mem is a file system in memory that forgets. Its fault model:
//
//   - A write reaches the disk only by the file's Sync. At a power loss each
//     512-byte sector that wasn't synced is the new one or the old one, by
//     chance and independently; a sector is never a mix. An unsynced length is
//     the new or the old one.
//   - A creation, rename or removal reaches the disk only by SyncDir. At a
//     power loss any subset of the pending ones has happened.
//   - A failed Sync leaves its sectors unwritten and forgets that they are
//     dirty: reads still show them, the next Sync succeeds without them.
//   - A full disk takes the first sectors of a write and refuses the rest.
//
// It never lies: what was synced without an error is there after Crash.
type Mem struct {
	mu      sync.Mutex
	rng     *rand.Rand
	live    map[string]*memNode // what processes see
	disk    map[string]*memNode // names that survive a power loss
	pending []dirChange
	locks   map[string]bool
	faults  Faults
	counts  Counts
}

// Faults are what goes wrong from now on. The zero value is a healthy disk.
type Faults struct {
	// Full makes the disk run out after Free more bytes. Overwriting a file's
	// own bytes costs nothing, unless CopyOnWrite.
	Full        bool
	Free        int64
	CopyOnWrite bool
	// PowerOff makes every call fail after Calls more of them.
	PowerOff bool
	Calls    int
	// Sync, if set, is asked before a Sync of a file or directory.
	Sync func(name string) error
	// Write, if set, is asked before a write; an error writes nothing.
	Write func(name string) error
	// Read, if set, is asked before a read.
	Read func(name string) error
}

// Counts are the calls so far.
type Counts struct{ Writes, Syncs, DirSyncs int }

// ErrPowerOff is what every call returns after the power went.
var ErrPowerOff = errors.New("power is off")

type memNode struct {
	data  []byte // what processes read
	disk  []byte // what survives
	dirty map[int]bool
}

// dirChange is one atomic change of a directory: drop, then set.
type dirChange struct {
	drop, name string
	node       *memNode
}

// NewMem returns an empty file system whose chances come from seed.
func NewMem(seed uint64) *Mem {
	return &Mem{
		rng:   rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15)),
		live:  map[string]*memNode{},
		disk:  map[string]*memNode{},
		locks: map[string]bool{},
	}
}

// SetFaults replaces all faults.
func (m *Mem) SetFaults(f Faults) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.faults = f
}

// Counts returns the calls so far.
func (m *Mem) Counts() Counts {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.counts
}

// Restart returns what a new process on the same running machine sees: all
// that was written, synced or not, and no locks. m must not be used again.
func (m *Mem) Restart() *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := &Mem{rng: m.rng, live: m.live, disk: m.disk, pending: m.pending, locks: map[string]bool{}}
	m.live, m.disk = nil, nil
	return n
}

// Crash returns the disk after a power loss at this moment. m stays as it is.
func (m *Mem) Crash(seed uint64) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := NewMem(seed)
	names := map[string]*memNode{}
	for name, node := range m.disk {
		names[name] = node
	}
	for _, c := range m.pending {
		if n.rng.IntN(2) == 0 {
			c.apply(names)
		}
	}
	survivors := map[*memNode]*memNode{} // one node may have two names
	for _, name := range sortedKeys(names) {
		node := names[name]
		if survivors[node] == nil {
			survivors[node] = node.survivor(n.rng)
		}
		n.live[name], n.disk[name] = survivors[node], survivors[node]
	}
	return n
}

func sortedKeys(names map[string]*memNode) []string {
	var keys []string
	for name := range names {
		keys = append(keys, name)
	}
	sort.Strings(keys)
	return keys
}

func (c dirChange) apply(names map[string]*memNode) {
	delete(names, c.drop)
	if c.node != nil {
		names[c.name] = c.node
	}
}

func (n *memNode) survivor(rng *rand.Rand) *memNode {
	data := slices.Clone(n.disk)
	if len(n.data) != len(n.disk) && rng.IntN(2) == 0 {
		data = resize(data, len(n.data))
	}
	var sectors []int
	for s := range n.dirty {
		sectors = append(sectors, s)
	}
	sort.Ints(sectors)
	for _, s := range sectors {
		if rng.IntN(2) == 0 {
			copySector(data, n.data, s)
		}
	}
	return &memNode{data: data, disk: slices.Clone(data), dirty: map[int]bool{}}
}

const memSector = 512

func copySector(to, from []byte, s int) {
	at := s * memSector
	if at < len(to) && at < len(from) {
		copy(to[at:min(at+memSector, len(to))], from[at:])
	}
}

func resize(b []byte, size int) []byte {
	if size <= len(b) {
		return b[:size]
	}
	return append(b, make([]byte, size-len(b))...)
}

// call counts down to the power loss; every operation begins with it.
func (m *Mem) call() error {
	if m.live == nil {
		return ErrPowerOff
	}
	if !m.faults.PowerOff {
		return nil
	}
	if m.faults.Calls <= 0 {
		return ErrPowerOff
	}
	m.faults.Calls--
	return nil
}

func (m *Mem) find(op, name string) (*memNode, error) {
	if err := m.call(); err != nil {
		return nil, &os.PathError{Op: op, Path: name, Err: err}
	}
	node := m.live[name]
	if node == nil {
		return nil, &os.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return node, nil
}

func (m *Mem) change(c dirChange) {
	c.apply(m.live)
	m.pending = append(m.pending, c)
}

// MkdirAll has nothing to do: directories are prefixes of names.
func (m *Mem) MkdirAll(string, os.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.call()
}

func (m *Mem) List(dir string) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call(); err != nil {
		return nil, err
	}
	var names []string
	for _, name := range sortedKeys(m.live) {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	if names == nil {
		return nil, &os.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	return names, nil
}

func (m *Mem) Open(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.find("open", name)
	if err != nil {
		return nil, err
	}
	return &memFile{m, name, node}, nil
}

func (m *Mem) Create(name string) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call(); err != nil {
		return nil, &os.PathError{Op: "create", Path: name, Err: err}
	}
	if node := m.live[name]; node != nil {
		node.truncate(0)
		return &memFile{m, name, node}, nil
	}
	node := &memNode{dirty: map[int]bool{}}
	m.change(dirChange{name: name, node: node})
	return &memFile{m, name, node}, nil
}

func (m *Mem) Rename(from, to string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	node, err := m.find("rename", from)
	if err != nil {
		return err
	}
	m.change(dirChange{drop: from, name: to, node: node})
	return nil
}

func (m *Mem) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, err := m.find("remove", name); err != nil {
		return err
	}
	m.change(dirChange{drop: name})
	return nil
}

func (m *Mem) SyncDir(dir string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.counts.DirSyncs++
	if err := m.call(); err != nil {
		return err
	}
	if m.faults.Sync != nil {
		if err := m.faults.Sync(dir); err != nil {
			return err
		}
	}
	for _, c := range m.pending {
		c.apply(m.disk)
	}
	m.pending = nil
	return nil
}

func (m *Mem) Lock(name string) (io.Closer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.call(); err != nil {
		return nil, err
	}
	if m.locks[name] {
		return nil, fmt.Errorf("lock %s: %w", name, ErrLocked)
	}
	m.locks[name] = true
	return memLock{m, name}, nil
}

type memLock struct {
	m    *Mem
	name string
}

func (l memLock) Close() error {
	l.m.mu.Lock()
	defer l.m.mu.Unlock()
	delete(l.m.locks, l.name)
	return nil
}

// ReadFile returns a copy of a file as processes see it, nil if there is none.
func (m *Mem) ReadFile(name string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if node := m.live[name]; node != nil {
		return slices.Clone(node.data)
	}
	return nil
}

// WriteFile puts a file on the disk as if by another hand, synced.
func (m *Mem) WriteFile(name string, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	node := &memNode{data: slices.Clone(data), disk: slices.Clone(data), dirty: map[int]bool{}}
	m.live[name], m.disk[name] = node, node
}

// enospc is what a full disk says.
const enospc = syscall.ENOSPC
