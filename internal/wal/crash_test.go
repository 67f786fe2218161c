package wal

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

var (
	crashSeeds = flag.Uint64("crash-seeds", 300, "number of random histories")
	crashSeed  = flag.Uint64("crash-seed", 0, "run this one alone")
)

var testID = Identity{Cluster: "c-1", Node: 7}

const testDir = "/state/wal"

var errDisk = errors.New("input/output error")

// TestCrash: whatever happens to process, power and disk, a log that opens
// holds everything that a Save acknowledged, whole updates, and nothing else.
func TestCrash(t *testing.T) {
	first, n := uint64(1), *crashSeeds
	if *crashSeed != 0 {
		first, n = *crashSeed, 1
	}
	var total tally
	for seed := first; seed < first+n; seed++ {
		if err := runHistory(seed, nil, &total); err != nil {
			t.Fatalf("%v\nreplay: go test ./internal/wal -run TestCrash -crash-seed %d", err, seed)
		}
	}
	t.Logf("%d histories: %+v", n, total)
	if *crashSeed == 0 && (total.Torn == 0 || total.Full == 0 || total.Dead == 0 || total.Compacted == 0 || total.Killed == 0) {
		t.Errorf("some situation never came up: %+v", total)
	}
}

// TestCrashFindsBrokenVariants: each variant leaves out one thing that the log
// relies on, and TestCrash's histories must notice.
func TestCrashFindsBrokenVariants(t *testing.T) {
	segmentSync := func(c call) bool { return c.op == "sync" && strings.HasSuffix(c.name, segmentSuffix) }
	for _, variant := range []struct {
		name string
		skip func(call) bool
	}{
		{"no sync of records", segmentSync},
		{"no sync of new segments", func(c call) bool { return c.op == "sync" && strings.HasSuffix(c.name, segmentSuffix+tempSuffix) }},
		{"no sync of snapshots", func(c call) bool { return c.op == "sync" && strings.HasSuffix(c.name, snapshotSuffix+tempSuffix) }},
		{"no sync of the directory", func(c call) bool { return c.op == "syncdir" }},
		{"start trusts the page cache", func(c call) bool { return c.op == "write" && c.opening && strings.HasSuffix(c.name, segmentSuffix) }},
		{"partial record not cut back", func(c call) bool {
			return c.op == "truncate" || c.op == "write" && !c.opening && strings.HasSuffix(c.name, segmentSuffix) && allZero(c.data)
		}},
	} {
		t.Run(variant.name, func(t *testing.T) {
			for seed := uint64(1); seed <= 2000; seed++ {
				var total tally
				if err := runHistory(seed, variant.skip, &total); err != nil {
					t.Logf("found by seed %d: %.200s", seed, err)
					return
				}
			}
			t.Error("2000 histories found nothing")
		})
	}
}

// tally counts what came up, so that a test which stopped testing shows.
type tally struct{ Saves, Torn, Full, Dead, Compacted, Killed, PowerLost int }

// history of one seed: random updates and faults, restarts, and at each one
// the comparison.
type historyRun struct {
	rng   *rand.Rand
	mem   *walfs.Mem
	skip  func(call) bool
	log   *Log
	tally *tally
	// may are the states that a restart may find: the last one known to be
	// durable, then those that were begun since.
	may []model
}

func runHistory(seed uint64, skip func(call) bool, total *tally) error {
	r := &historyRun{
		rng: rand.New(rand.NewPCG(seed, 1)), mem: walfs.NewMem(seed), skip: skip, tally: total, may: []model{{}},
	}
	log, err := create(r.fs(false), testDir, testID, 24<<10)
	if err != nil {
		return fmt.Errorf("seed %d: %w", seed, err)
	}
	r.log = log
	for step := range 60 {
		if err := r.step(); err != nil {
			return fmt.Errorf("seed %d step %d: %w", seed, step, err)
		}
	}
	return nil
}

func (r *historyRun) step() error {
	r.mem.SetFaults(walfs.Faults{})
	switch k := r.rng.IntN(20); {
	case k == 0:
		return r.restart(r.log.Close())
	case k == 1:
		return r.restart(errDisk)
	case k == 2:
		r.inject()
		return r.compact()
	case k < 7:
		r.inject()
	}
	return r.save()
}

// inject arms one fault for the next call.
func (r *historyRun) inject() {
	var f walfs.Faults
	switch r.rng.IntN(3) {
	case 0:
		f.PowerOff, f.Calls = true, r.rng.IntN(1+r.rng.IntN(9))
	case 1:
		f.Full, f.Free, f.CopyOnWrite = true, int64(r.rng.IntN(14<<10)), r.rng.IntN(2) == 0
	case 2:
		left := r.rng.IntN(4)
		f.Sync = func(string) error {
			if left--; left < 0 {
				return errDisk
			}
			return nil
		}
	}
	r.mem.SetFaults(f)
}

func (r *historyRun) now() model { return r.may[len(r.may)-1] }

func (r *historyRun) save() error {
	u := r.now().randomUpdate(r.rng)
	after := r.now().with(u)
	lazy := !u.Sync && len(u.Entries) == 0 && u.Snapshot == nil && u.Local == nil &&
		(u.HardState == nil || u.HardState.GetTerm() == r.now().term && u.HardState.GetVote() == r.now().vote)
	r.tally.Saves++
	err := r.log.Save(u)
	switch {
	case err == nil && lazy:
		r.may = append(r.may, after)
	case err == nil:
		r.may = []model{after}
	case errors.Is(err, ErrFull):
		r.tally.Full++
		r.mem.SetFaults(walfs.Faults{})
		if err := r.log.Save(Update{Local: []byte("space again")}); err != nil {
			return fmt.Errorf("save after the disk was full: %w", err)
		}
		r.may = []model{r.now().with(Update{Local: []byte("space again")})}
		if r.rng.IntN(2) == 0 {
			return r.restart(errDisk)
		}
	case errors.Is(err, ErrInvalid):
		return err
	default:
		r.may = append(r.may, after)
		r.tally.Dead++
		if again := r.log.Save(Update{Local: []byte("x")}); errors.Is(err, ErrDead) && again != err {
			return fmt.Errorf("a dead log answers %v after %v", again, err)
		}
		return r.restart(errDisk)
	}
	return nil
}

func (r *historyRun) compact() error {
	switch err := r.log.Compact(r.now().snapIndex); {
	case err == nil:
		r.tally.Compacted++
		return nil
	case errors.Is(err, ErrFull):
		return nil
	case errors.Is(err, ErrCorrupt) || errors.Is(err, ErrInvalid):
		return err
	default:
		return r.restart(errDisk)
	}
}

// restart kills the process (closed is nil if the log was closed before) or
// the machine, and opens the log again, perhaps with further power losses.
func (r *historyRun) restart(closed error) error {
	if closed == nil {
		r.may = []model{r.now()}
	}
	for {
		var f walfs.Faults
		if r.rng.IntN(4) == 0 {
			f.PowerOff, f.Calls = true, r.rng.IntN(25)
		}
		if r.rng.IntN(3) == 0 {
			r.mem = r.mem.Restart()
			r.tally.Killed++
		} else {
			r.mem = r.mem.Crash(r.rng.Uint64())
			r.tally.PowerLost++
		}
		torn := r.torn()
		r.mem.SetFaults(f)
		log, c, err := open(r.fs(true), testDir, testID, 24<<10)
		if errors.Is(err, walfs.ErrPowerOff) {
			continue
		}
		if err != nil {
			return err
		}
		r.tally.Torn += torn
		r.log = log
		log.fs.(*skipFS).opening = false
		return r.compare(c)
	}
}

// torn reports 1 if the log ends in a torn tail.
func (r *historyRun) torn() int {
	if p, err := replay(r.mem, testDir, testID); err == nil && p.tail.torn != "" {
		return 1
	}
	return 0
}

func (r *historyRun) compare(c Contents) error {
	got := contentsText(c)
	for _, m := range r.may {
		if m.text() == got {
			r.may = []model{m}
			return nil
		}
	}
	return fmt.Errorf("the log holds\n%sbut acknowledged was\n%sand last begun (of %d)\n%s",
		got, r.may[0].text(), len(r.may)-1, r.now().text())
}

func (r *historyRun) fs(opening bool) FS { return &skipFS{FS: r.mem, skip: r.skip, opening: opening} }

// call is one call that a broken variant may leave out.
type call struct {
	op, name string
	opening  bool
	data     []byte
}

// skipFS is a file system that pretends to do the calls that skip selects.
type skipFS struct {
	FS
	skip    func(call) bool
	opening bool
}

func (s *skipFS) skips(op, name string, data []byte) bool {
	return s.skip != nil && s.skip(call{op, name, s.opening, data})
}

func (s *skipFS) SyncDir(dir string) error {
	if s.skips("syncdir", dir, nil) {
		return nil
	}
	return s.FS.SyncDir(dir)
}

func (s *skipFS) Open(name string) (File, error)   { return s.wrap(name)(s.FS.Open(name)) }
func (s *skipFS) Create(name string) (File, error) { return s.wrap(name)(s.FS.Create(name)) }

func (s *skipFS) wrap(name string) func(File, error) (File, error) {
	return func(f File, err error) (File, error) { return skipFile{f, s, name}, err }
}

type skipFile struct {
	File
	fs   *skipFS
	name string
}

func (f skipFile) Sync() error {
	if f.fs.skips("sync", f.name, nil) {
		return nil
	}
	return f.File.Sync()
}

func (f skipFile) Truncate(size int64) error {
	if f.fs.skips("truncate", f.name, nil) {
		return nil
	}
	return f.File.Truncate(size)
}

func (f skipFile) WriteAt(p []byte, off int64) (int, error) {
	if f.fs.skips("write", f.name, p) {
		return len(p), nil
	}
	return f.File.WriteAt(p, off)
}
