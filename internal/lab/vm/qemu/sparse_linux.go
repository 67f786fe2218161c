package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copySparse copies what is not a hole into an empty file, and makes it as long.
func copySparse(ctx context.Context, source, target *os.File) error {
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := target.Truncate(info.Size()); err != nil {
		return err
	}
	for end := int64(0); ; {
		begin, err := source.Seek(end, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		if end, err = source.Seek(begin, unix.SEEK_HOLE); err != nil {
			return err
		}
		if _, err := source.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := target.Seek(begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(target, source, end-begin); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// likeFile makes an empty file at path as long as another, unless there is one of
// that length.
func likeFile(path, like string) error {
	want, err := os.Stat(like)
	if err != nil {
		return fmt.Errorf("make a disk: %w", err)
	}
	if have, err := os.Stat(path); err == nil && have.Size() != want.Size() {
		return fmt.Errorf("make a disk: %s has %d bytes, need %d", path, have.Size(), want.Size())
	} else if err == nil {
		return nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make a disk: %w", err)
	}
	if err := errors.Join(f.Truncate(want.Size()), f.Close()); err != nil {
		return fmt.Errorf("make a disk: %w", err)
	}
	return nil
}
