package filesystem

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Check implements [kit.Resource]. The light one reads the mount table and
// never touches the disk.
func (f *Filesystem) Check(ctx context.Context, depth kit.Depth) kit.Health {
	h := f.look(ctx)
	if depth == kit.Light || !h.Status.Serving() || wantsReadOnly(f.options()) && h.Status != cluster.InService {
		return h
	}
	if d := f.space(ctx); d.Status != cluster.InService && (h.Status == cluster.InService || d.Status != cluster.Degraded) {
		h = d
	}
	if h.Status.Serving() && f.in.Values.Bool("write.check") && !wantsReadOnly(f.options()) {
		if d := f.write(ctx); d.Status != cluster.InService {
			return d
		}
	}
	return h
}

func (f *Filesystem) look(ctx context.Context) kit.Health {
	at := f.mountpoint()
	all, err := table()
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	m := top(all, at)
	if m == nil {
		var k kept
		if was, err := f.in.LoadState(stateFile, &k); err != nil {
			return kit.BecauseOf(cluster.Unknown, err)
		} else if was {
			return kit.Because(cluster.Failed, message.FilesystemGone, at)
		}
		return kit.Because(cluster.OutOfService, message.FilesystemNotMounted, at)
	}
	d, err := f.known(ctx)
	if err != nil && !message.Has(err, message.DeviceNotFound) {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	actual := shown(m)
	switch {
	case !f.ours(d, m):
		return kit.Because(cluster.Failed, message.MountpointTaken, at, m.Source+" ("+m.FSType+")")
	case isReadOnly(actual) && !wantsReadOnly(f.options()):
		return kit.Because(cluster.Failed, message.FilesystemReadOnly, at)
	}
	if less := missing(f.options(), actual); len(less) > 0 {
		return kit.Because(cluster.Degraded, message.FilesystemOptions, at, strings.Join(less, ","))
	}
	return kit.Healthy
}

// space measures what is in use.
func (f *Filesystem) space(ctx context.Context) kit.Health {
	at := f.mountpoint()
	r, err := f.run(ctx, "space", 0, "stat", "-f", "-c", "%b %f %a %c %d", at)
	if err != nil {
		return f.noAnswer(ctx, err)
	}
	var blocks, free, avail, inodes, ifree uint64
	if _, err := fmt.Sscan(r.Output, &blocks, &free, &avail, &inodes, &ifree); err != nil || r.ExitCode != 0 {
		return kit.Because(cluster.Failed, message.FilesystemHangs, at, r.Tail)
	}
	space, nodes := percent(blocks-min(free, blocks), avail), percent(inodes-min(ifree, inodes), ifree)
	used, what := space, "space"
	if nodes > space {
		used, what = nodes, "inodes"
	}
	v := f.in.Values
	switch limit := v.Int("full.error"); {
	case limit > 0 && used >= limit && v.String("full.means") == "failed":
		return kit.Because(cluster.Failed, message.FilesystemFull, at, used, what)
	case limit > 0 && used >= limit:
		return kit.Because(cluster.Degraded, message.FilesystemFull, at, used, what)
	}
	if limit := v.Int("full.warning"); limit > 0 && used >= limit {
		return kit.Because(cluster.Degraded, message.FilesystemFull, at, used, what)
	}
	return kit.Healthy
}

// percent is how df counts: of what users may have, rounded up.
func percent(used, left uint64) int {
	if used+left == 0 {
		return 0
	}
	return int((used*100 + used + left - 1) / (used + left))
}

// write writes one block and waits until the disk has it.
func (f *Filesystem) write(ctx context.Context) kit.Health {
	at := f.mountpoint()
	r, err := f.run(ctx, "write", 0, "dd", "if=/dev/zero", "of="+at+"/.perdure-check", "bs=512", "count=1", "conv=notrunc,fsync", "status=none")
	if err != nil {
		return f.noAnswer(ctx, err)
	}
	switch {
	case r.ExitCode == 0:
		return kit.Healthy
	case strings.Contains(r.Tail, "No space left") || strings.Contains(r.Tail, "quota exceeded"):
		if f.in.Values.String("full.means") == "failed" && f.in.Values.Int("full.error") > 0 {
			return kit.Because(cluster.Failed, message.FilesystemFull, at, 100, "space")
		}
		return kit.Because(cluster.Degraded, message.FilesystemFull, at, 100, "space")
	}
	return kit.Because(cluster.Failed, message.FilesystemWrite, at, r.Tail)
}

// noAnswer judges a look that didn't come back: the disk hangs, unless it is
// only that nobody waits for the answer any more.
func (f *Filesystem) noAnswer(ctx context.Context, err error) kit.Health {
	if context.Cause(ctx) == context.Canceled {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	if h := hangs(f.mountpoint(), err); message.Has(h, message.FilesystemHangs) {
		return kit.BecauseOf(cluster.Failed, h)
	}
	return kit.BecauseOf(cluster.Unknown, err)
}

// Watch implements [kit.Watcher]: it looks again whenever anything on this node
// is mounted, unmounted or remounted.
func (f *Filesystem) Watch(ctx context.Context, report func(kit.Event)) error {
	last := kit.Healthy
	return changes(ctx, func() {
		h := f.look(ctx)
		if h.String() != last.String() && ctx.Err() == nil {
			report(kit.Event{Health: h, At: time.Now()})
		}
		last = h
	})
}
