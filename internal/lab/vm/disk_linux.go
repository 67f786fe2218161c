package vm

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyDisk makes to a copy of from with its holes, in one step for whoever reads
// it afterwards.
func copyDisk(to, from string) error {
	source, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy disk: %w", err)
	}
	defer source.Close()
	target, err := os.Create(to + ".new")
	if err != nil {
		return fmt.Errorf("copy disk: %w", err)
	}
	err = errors.Join(copySparse(target, source), target.Close())
	if err == nil {
		err = os.Rename(to+".new", to)
	}
	if err != nil {
		return fmt.Errorf("copy disk %s to %s: %w", from, to, err)
	}
	return nil
}

func copySparse(target, source *os.File) error {
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := target.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); ; {
		data, err := unix.Seek(int(source.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // nothing but holes from here
		}
		if err != nil {
			return err
		}
		hole, err := unix.Seek(int(source.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(target, data), io.NewSectionReader(source, data, hole-data)); err != nil {
			return err
		}
		at = hole
	}
}
