package walfs

import (
	"io"
	"os"
)

// memFile is an open file of Mem.
type memFile struct {
	m    *Mem
	name string
	node *memNode
}

func (f *memFile) fail(op string, err error) error {
	return &os.PathError{Op: op, Path: f.name, Err: err}
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.call(); err != nil {
		return 0, f.fail("read", err)
	}
	if f.m.faults.Read != nil {
		if err := f.m.faults.Read(f.name); err != nil {
			return 0, f.fail("read", err)
		}
	}
	if off >= int64(len(f.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.counts.Writes++
	if err := f.m.call(); err != nil {
		return 0, f.fail("write", err)
	}
	if f.m.faults.Write != nil {
		if err := f.m.faults.Write(f.name); err != nil {
			return 0, f.fail("write", err)
		}
	}
	n := f.m.room(off, len(p), len(f.node.data))
	if n < len(p) {
		n -= n % memSector // systems take or refuse whole pages
	}
	f.node.write(p[:n], int(off))
	if n < len(p) {
		return n, f.fail("write", enospc)
	}
	return n, nil
}

// room takes from the free bytes what a write of n bytes needs and returns how
// many of them fit.
func (m *Mem) room(off int64, n, size int) int {
	if !m.faults.Full {
		return n
	}
	costs := func(k int) int64 { // bytes that the first k of the write take
		if m.faults.CopyOnWrite {
			return int64(k)
		}
		return max(0, off+int64(k)-max(off, int64(size)))
	}
	for costs(n) > m.faults.Free {
		n -= int(costs(n) - m.faults.Free)
	}
	m.faults.Free -= costs(n)
	return n
}

func (n *memNode) write(p []byte, off int) {
	if len(p) == 0 {
		return
	}
	if end := off + len(p); end > len(n.data) {
		n.grow(end)
	}
	copy(n.data[off:], p)
	n.mark(off, off+len(p))
}

// grow extends with zeros that are dirty only where old sectors showed other
// bytes; a hole reads as zeros on disk as well.
func (n *memNode) grow(size int) { n.data = resize(n.data, size) }

func (n *memNode) mark(from, to int) {
	for s := from / memSector; s*memSector < to; s++ {
		n.dirty[s] = true
	}
}

func (n *memNode) truncate(size int) {
	old := len(n.data)
	if size < old {
		n.mark(size, old)
		n.data = n.data[:size:size]
		return
	}
	n.grow(size)
}

func (f *memFile) Truncate(size int64) error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if err := f.m.call(); err != nil {
		return f.fail("truncate", err)
	}
	f.node.truncate(int(size))
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	return int64(len(f.node.data)), f.m.call()
}

func (f *memFile) Sync() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	f.m.counts.Syncs++
	if err := f.m.call(); err != nil {
		return f.fail("sync", err)
	}
	n := f.node
	if f.m.faults.Sync != nil {
		if err := f.m.faults.Sync(f.name); err != nil {
			clear(n.dirty)
			return f.fail("sync", err)
		}
	}
	n.disk = resize(n.disk, len(n.data))
	for s := range n.dirty {
		copySector(n.disk, n.data, s)
	}
	clear(n.dirty)
	return nil
}

func (f *memFile) Close() error { return nil }
