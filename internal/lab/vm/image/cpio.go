package image

import (
	"fmt"
	"io"
	"strings"
)

// File types and devices as the kernel's initramfs unpacker wants them
// (Documentation/driver-api/early-userspace/buffer-format.rst).
const (
	typeMask      = 0o170000
	typeDirectory = 0o040000
	typeDevice    = 0o020000 // of characters
	typeFile      = 0o100000
	typeLink      = 0o120000
)

// entry is one member of a cpio archive. Size bytes of content follow it.
type entry struct {
	name         string // without a leading slash
	mode         uint32 // type and permissions
	major, minor uint32 // of the device
	size         int64
	content      io.Reader
}

// archive writes the format "newc": all numbers in hexadecimal, every name and
// content padded to four bytes. Owner is root, times are 0.
type archive struct {
	w       io.Writer
	written int64
	inode   uint32
}

// mostBytes is what the format's size field holds.
const mostBytes = 1<<32 - 1

func (a *archive) add(e entry) error {
	if e.size > mostBytes {
		return fmt.Errorf("archive %s: %d bytes, at most %d fit", e.name, e.size, int64(mostBytes))
	}
	a.inode++
	links := 1
	if e.mode&typeMask == typeDirectory {
		links = 2
	}
	// magic, inode, mode, uid, gid, links, time, size, device of the file system,
	// device, length of the name with its end, checksum (0 in this format).
	header := fmt.Sprintf("070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		a.inode, e.mode, 0, 0, links, 0, e.size, 0, 0, e.major, e.minor, len(e.name)+1, 0, e.name)
	if err := a.copy(e.name, strings.NewReader(header), int64(len(header))); err != nil {
		return err
	}
	if err := a.pad(); err != nil {
		return err
	}
	if e.size == 0 {
		return nil
	}
	if err := a.copy(e.name, e.content, e.size); err != nil {
		return err
	}
	return a.pad()
}

// close writes the end mark.
func (a *archive) close() error {
	return a.add(entry{name: "TRAILER!!!"})
}

func (a *archive) copy(name string, from io.Reader, size int64) error {
	n, err := io.CopyN(a.w, from, size)
	a.written += n
	if err != nil {
		return fmt.Errorf("archive %s, %d of %d bytes: %w", name, n, size, err)
	}
	return nil
}

func (a *archive) pad() error {
	n := -a.written & 3
	a.written += n
	if _, err := a.w.Write(make([]byte, n)); err != nil {
		return fmt.Errorf("pad archive: %w", err)
	}
	return nil
}
