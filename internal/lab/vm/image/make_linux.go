package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const defaultDir = "/var/cache/perdure-lab"

// The steps of a build, for people.
const (
	stepKernel     = "fetching the kernel"
	stepUnpack     = "unpacking the kernel"
	stepExtract    = "cutting the kernel out of its package"
	stepLists      = "reading the lists of packages"
	stepDownload   = "fetching packages"
	stepUnpackRoot = "unpacking packages"
	stepEssential  = "installing essential packages"
	stepPackages   = "installing packages"
	stepConfigure  = "configuring the root file system"
	stepModules    = "adding the kernels' modules"
	stepSquash     = "packing the root file system"
)

// allSteps with the time each takes on two cores that do other things too, with
// the packages from a near mirror; unpacking is estimated.
var allSteps = []step{
	{stepKernel, 3 * time.Second},
	{stepUnpack, 5 * time.Second},
	{stepExtract, time.Second},
	{stepLists, 5 * time.Second},
	{stepDownload, 5 * time.Second},
	{stepUnpackRoot, 15 * time.Second},
	{stepEssential, 20 * time.Second},
	{stepPackages, 75 * time.Second},
	{stepConfigure, 2 * time.Second},
	{stepModules, 4 * time.Second},
	{stepSquash, 10 * time.Second},
}

// neededBytes is what must be free for a build: the unpacked kernel and root and
// the packed one, measured and rounded up.
const neededBytes = 2 << 30

// Make is the images for what opts says. It returns at once if they are there
// from an earlier call whose inputs were the same; else it builds them, which
// takes minutes. Cancelled, it leaves nothing behind.
func Make(ctx context.Context, opts Options) (Images, error) {
	wanted, err := normalize(opts.Kinds)
	if err != nil {
		return Images{}, err
	}
	if opts.Progress == nil {
		opts.Progress = func(Progress) {}
	}
	dir, err := opts.dir()
	if err != nil {
		return Images{}, err
	}
	in, err := collect(ctx, wanted)
	if err != nil {
		return Images{}, errors.Join(err, Missing(wanted))
	}
	c := cache{dir: dir}
	if images, err := c.find(in, wanted); err == nil {
		return images, nil
	}
	if err := Missing(wanted); err != nil {
		return Images{}, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Images{}, fmt.Errorf("make the cache: %w", err)
	}
	unlock, err := c.lock(ctx, func() {
		opts.Progress(Progress{Step: "waiting for another process that builds images in " + dir, Fraction: Unknown, Left: Unknown})
	})
	if err != nil {
		return Images{}, err
	}
	defer unlock()
	if images, err := c.find(in, wanted); err == nil {
		return images, nil // made while this one waited
	}
	if err := c.sweepHalfDone(); err != nil {
		return Images{}, err
	}
	if err := c.roomFor(neededBytes); err != nil {
		return Images{}, err
	}
	return c.make(ctx, in, wanted, opts.Progress)
}

// make builds beside and renames when complete. The caller holds the lock.
func (c cache) make(ctx context.Context, in inputs, wanted []Kind, report func(Progress)) (_ Images, err error) {
	key := in.key(wanted)
	half := filepath.Join(c.dir, halfPrefix+key)
	if err := os.Mkdir(half, 0o755); err != nil {
		return Images{}, fmt.Errorf("begin an image: %w", err)
	}
	defer func() { err = errors.Join(err, removeUnmounted(half)) }()

	steps := slices.Clone(allSteps)
	if !slices.Contains(wanted, QEMU) {
		steps = steps[3:]
	}
	t := track(report, steps)
	defer t.close()
	b := builder{work: filepath.Join(half, "work"), out: filepath.Join(half, "out"), in: in, enter: t.enter}
	if err := b.build(ctx, wanted); err != nil {
		if errors.Is(err, errNoSpace) {
			err = fmt.Errorf("free some space in %s or name another place by PERDURE_LAB_CACHE: %w", c.dir, err)
		}
		return Images{}, fmt.Errorf("build images: %w", err)
	}
	final := filepath.Join(c.dir, imagePrefix+key)
	if err := c.publish(b.out, final); err != nil {
		return Images{}, err
	}
	images, err := open(final)
	if err != nil {
		return Images{}, err
	}
	return images, c.sweepOld(final)
}

// builder builds into out with the help of work, which is thrown away.
type builder struct {
	work, out string
	in        inputs
	enter     func(step string)
}

func (b builder) build(ctx context.Context, wanted []Kind) error {
	for _, dir := range []string{b.work, b.out} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("make room: %w", err)
		}
	}
	kernels := make(map[Kind]kernel)
	for _, k := range wanted {
		var err error
		if k == QEMU {
			kernels[k], err = b.debianKernel(ctx)
		} else {
			kernels[k], err = umlKernel()
		}
		if err != nil {
			return err
		}
	}
	root := filepath.Join(b.work, "root")
	if err := b.bootstrap(ctx, root); err != nil {
		return err
	}
	b.enter(stepModules)
	m := manifest{Kinds: make(map[Kind]kindFiles)}
	for k, kernel := range kernels {
		files, err := b.install(ctx, root, k, kernel)
		if err != nil {
			return err
		}
		m.Kinds[k] = files
	}
	b.enter(stepSquash)
	if err := b.squash(ctx, root); err != nil {
		return err
	}
	return m.save(b.out)
}

// Find is the images for what opts says if they are there; it builds nothing.
func Find(ctx context.Context, opts Options) (Images, error) {
	wanted, err := normalize(opts.Kinds)
	if err != nil {
		return Images{}, err
	}
	in, err := collect(ctx, wanted)
	if err != nil {
		return Images{}, err
	}
	dir, err := opts.dir()
	if err != nil {
		return Images{}, err
	}
	return cache{dir: dir}.find(in, wanted)
}

// dir is where the cache is.
func (o Options) dir() (string, error) {
	dir := o.Dir
	if dir == "" {
		dir = defaultDir
		if named := os.Getenv("PERDURE_LAB_CACHE"); named != "" {
			dir = named
		}
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find the cache: %w", err)
	}
	return dir, nil
}
