package image

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func mkdir(t *testing.T, path ...string) string {
	t.Helper()
	dir := filepath.Join(path...)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// complete puts images of ks into the cache.
func complete(t *testing.T, c cache, in inputs, ks []Kind) (dir string) {
	t.Helper()
	dir = mkdir(t, c.dir, imagePrefix+in.key(ks))
	write(t, filepath.Join(dir, rootName), "root")
	m := manifest{Kinds: make(map[Kind]kindFiles)}
	for _, k := range ks {
		mkdir(t, dir, string(k))
		files := kindFiles{Kernel: string(k) + "/kernel", Release: "1", Modules: []string{string(k) + "/overlay.ko"}}
		write(t, filepath.Join(dir, files.Kernel), "kernel")
		write(t, filepath.Join(dir, files.Modules[0]), "module")
		m.Kinds[k] = files
	}
	if err := m.save(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFind(t *testing.T) {
	c, in := cache{dir: t.TempDir()}, inputs{codename: "bookworm"}
	if _, err := c.find(in, []Kind{UML}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("in an empty cache: %v", err)
	}
	both := complete(t, c, in, kinds)
	images, err := c.find(in, []Kind{UML})
	if err != nil || images.Root != filepath.Join(both, rootName) {
		t.Errorf("those of both kinds serve one: %+v %v", images, err)
	}
	uml := complete(t, c, in, []Kind{UML})
	images, err = c.find(in, []Kind{UML})
	if err != nil || images.Kernel[UML] != filepath.Join(uml, "uml/kernel") || len(images.Modules[UML]) != 1 || images.Modules[UML][0].Name != "overlay" {
		t.Errorf("%+v %v", images, err)
	}
	write(t, filepath.Join(both, rootName), "ro")
	if _, err := c.find(in, kinds); err == nil || !strings.Contains(err.Error(), "2 bytes") {
		t.Errorf("cut by a power failure: %v", err)
	}
	in.codename = "trixie"
	if _, err := c.find(in, []Kind{UML}); err == nil {
		t.Error("images of other inputs were taken")
	}
}

func TestSweepHalfDone(t *testing.T) {
	c := cache{dir: t.TempDir()}
	mkdir(t, c.dir, halfPrefix+"dead", "work", "root")
	good := complete(t, c, inputs{}, kinds)
	if err := c.sweepHalfDone(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(c.dir, halfPrefix+"dead")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half-done images of a dead builder stay: %v", err)
	}
	if _, err := open(good); err != nil {
		t.Errorf("complete images are gone: %v", err)
	}
}

func TestSweepOld(t *testing.T) {
	c := cache{dir: t.TempDir()}
	for name, age := range map[string]time.Duration{"a": 3 * time.Hour, "b": time.Hour, "c": 2 * time.Hour, "new": 9 * time.Hour} {
		when := time.Now().Add(-age)
		if err := os.Chtimes(mkdir(t, c.dir, imagePrefix+name), when, when); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(c.dir, lockName), "")
	if err := c.sweepOld(filepath.Join(c.dir, imagePrefix+"new")); err != nil {
		t.Fatal(err)
	}
	left, err := filepath.Glob(filepath.Join(c.dir, "*"))
	for i := range left {
		left[i] = filepath.Base(left[i])
	}
	if got := strings.Join(left, " "); got != "images-b images-new lock" {
		t.Errorf("left are %s %v", got, err)
	}
}

func TestLock(t *testing.T) {
	c := cache{dir: t.TempDir()}
	synctest.Test(t, func(t *testing.T) {
		unlock, err := c.lock(t.Context(), func() { t.Error("the first waits") })
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		waits := 0
		if _, err := c.lock(ctx, func() { waits++ }); !errors.Is(err, context.DeadlineExceeded) || waits != 1 {
			t.Errorf("the second: %v, %d messages", err, waits)
		}
		got := make(chan func())
		go func() {
			unlock, err := c.lock(t.Context(), func() { waits++ })
			if err != nil {
				t.Error(err)
			}
			got <- unlock
		}()
		synctest.Wait()
		if waits != 2 {
			t.Errorf("the third said %d times that it waits", waits-1)
		}
		unlock()
		(<-got)()
	})
}

func TestRoom(t *testing.T) {
	c := cache{dir: t.TempDir()}
	if err := c.roomFor(1); err != nil {
		t.Error(err)
	}
	if err := c.roomFor(math.MaxUint64); err == nil || !strings.Contains(err.Error(), "PERDURE_LAB_CACHE") {
		t.Errorf("a full disk: %v", err)
	}
}
