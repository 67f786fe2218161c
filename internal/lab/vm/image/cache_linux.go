package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// cache is a directory of images, each in a directory of its own.
type cache struct{ dir string }

const (
	imagePrefix = "images-"
	halfPrefix  = "making-"
	lockName    = "lock"
	// keptImages stay: the newest and what a lab that runs may have.
	keptImages = 2
)

// find is the complete images made from in, also those with more kinds.
func (c cache) find(in inputs, wanted []Kind) (Images, error) {
	var failed error
	for _, ks := range [][]Kind{wanted, kinds} {
		dir := filepath.Join(c.dir, imagePrefix+in.key(ks))
		images, err := open(dir)
		if err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		// Used now: the last ones used are kept. A cache of somebody else can't be
		// marked and needn't.
		now := time.Now()
		if err := os.Chtimes(dir, now, now); err != nil && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, syscall.EROFS) {
			return Images{}, fmt.Errorf("mark images as used: %w", err)
		}
		return images, nil
	}
	return Images{}, failed
}

// lockPoll is how often a builder that waits for another looks.
const lockPoll = 200 * time.Millisecond

// lock makes this the only builder; wait is called once if there is another.
func (c cache) lock(ctx context.Context, wait func()) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(c.dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the cache: %w", err)
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for said := false; ; said = true {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock the cache %s: %w", c.dir, err)
		}
		if !said {
			wait()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("wait for another builder in %s: %w", c.dir, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// sweepHalfDone removes what builders left that died. The caller holds the lock,
// so none of them lives.
func (c cache) sweepHalfDone() error {
	dirs, err := filepath.Glob(filepath.Join(c.dir, halfPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for half-done images: %w", err)
	}
	for _, dir := range dirs {
		if err := removeUnmounted(dir); err != nil {
			return err
		}
	}
	return nil
}

// sweepOld removes images but the last used and newest.
func (c cache) sweepOld(newest string) error {
	dirs, err := filepath.Glob(filepath.Join(c.dir, imagePrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for old images: %w", err)
	}
	used := make(map[string]time.Time)
	for _, dir := range dirs {
		info, err := os.Stat(dir)
		if err != nil {
			return fmt.Errorf("look for old images: %w", err)
		}
		used[dir] = info.ModTime()
	}
	used[newest] = time.Now().Add(time.Hour)
	slices.SortFunc(dirs, func(a, b string) int { return used[b].Compare(used[a]) })
	for _, dir := range dirs[min(keptImages, len(dirs)):] {
		if err := removeUnmounted(dir); err != nil {
			return err
		}
	}
	return nil
}

// roomFor says whether the cache's file system has free bytes.
func (c cache) roomFor(bytes uint64) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(c.dir, &st); err != nil {
		return fmt.Errorf("look for free space in %s: %w", c.dir, err)
	}
	if free := st.Bavail * uint64(st.Bsize); free < bytes {
		return fmt.Errorf("%s has %d MiB free, making images needs %d MiB: free some, or name another place by PERDURE_LAB_CACHE",
			c.dir, free>>20, bytes>>20)
	}
	return nil
}

// publish gives a finished image its name when it is on disk. A directory of that
// name is there only if it was found damaged.
func (c cache) publish(from, to string) error {
	d, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("finish images: %w", err)
	}
	defer d.Close()
	if err := unix.Syncfs(int(d.Fd())); err != nil {
		return fmt.Errorf("write images to disk: %w", err)
	}
	if err := os.RemoveAll(to); err != nil {
		return fmt.Errorf("remove damaged images: %w", err)
	}
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("finish images: %w", err)
	}
	return nil
}

// removeUnmounted removes a directory with all in it, unless something is
// mounted there: that could be the machine's own devices.
func removeUnmounted(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("look for mounts below %s: %w", dir, err)
	}
	for _, line := range strings.Split(string(mounts), "\n") {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			return fmt.Errorf("%s can't be removed: something is mounted on %s; unmount it", dir, fields[4])
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}
