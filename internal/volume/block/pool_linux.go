package block

import "golang.org/x/sys/unix"

// takeMemory maps memory that belongs to nobody else. Its pages are touched now,
// because under memory pressure it would be too late.
func takeMemory(size int) ([]byte, func() error, error) {
	m, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		return nil, nil, err
	}
	return m, func() error { return unix.Munmap(m) }, nil
}
