package nbd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device"
)

// program finds a client of others; a test without it is seen to be skipped.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: no %s here (Debian package %s)", name, pkg)
	}
	return path
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = t.TempDir() // fio leaves files where it runs
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// serveFile serves a file of 16 MiB by each engine that there is.
func serveFile(t *testing.T, f func(t *testing.T, uri, socket, file string)) {
	for _, e := range []device.Engine{device.EngineRing, device.EngineWorkers} {
		t.Run(string(e), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "backing")
			if err := os.WriteFile(file, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(file, 16<<20); err != nil {
				t.Fatal(err)
			}
			pool, err := block.NewPool(16<<20, 2<<20)
			if err != nil {
				t.Fatal(err)
			}
			d, err := device.Open(file, device.Options{Engine: e, Buffered: true})
			if err != nil {
				t.Skipf("SKIPPED: engine %s: %v", e, err)
			}
			t.Cleanup(func() {
				if err := d.Close(); err != nil {
					t.Error(err)
				}
				if err := pool.Close(); err != nil {
					t.Error(err)
				}
			})
			socket := serve(t, Config{Exports: exports{{name: "vol1", d: d}}, Pool: pool})
			f(t, "nbd+unix:///vol1?socket="+socket, socket, file)
		})
	}
}

func TestNBDInfo(t *testing.T) {
	program(t, "nbdinfo", "libnbd-bin")
	serveFile(t, func(t *testing.T, uri, _, _ string) {
		var info struct {
			Structured bool `json:"structured"`
			Exports    []struct {
				Name       string `json:"export-name"`
				Size       int64  `json:"export-size"`
				FUA        bool   `json:"can_fua"`
				Flush      bool   `json:"can_flush"`
				Trim       bool   `json:"can_trim"`
				Zero       bool   `json:"can_zero"`
				FastZero   bool   `json:"can_fast_zero"`
				MultiConn  bool   `json:"can_multi_conn"`
				DF         bool   `json:"can_df"`
				ReadOnly   bool   `json:"is_read_only"`
				BlockSize  int    `json:"block_size_minimum"`
				BlockMost  int    `json:"block_size_maximum"`
				Preferred  int    `json:"block_size_preferred"`
				Rotational bool   `json:"is_rotational"`
			} `json:"exports"`
		}
		if err := json.Unmarshal([]byte(run(t, "nbdinfo", "--json", uri)), &info); err != nil {
			t.Fatal(err)
		}
		if len(info.Exports) != 1 {
			t.Fatalf("%d exports", len(info.Exports))
		}
		e := info.Exports[0]
		if !info.Structured || e.Size != 16<<20 || !e.FUA || !e.Flush || !e.Trim || !e.Zero || !e.FastZero || !e.MultiConn || !e.DF || e.ReadOnly || e.BlockMost != 2<<20 {
			t.Errorf("nbdinfo sees %+v", e)
		}
		if list := run(t, "nbdinfo", "--list", strings.Replace(uri, "/vol1", "/", 1)); !strings.Contains(list, "vol1") {
			t.Errorf("nbdinfo lists %s", list)
		}
	})
}

// TestCopies has nbdcopy and qemu-img write an image and read it back.
func TestCopies(t *testing.T) {
	program(t, "nbdcopy", "libnbd-bin")
	program(t, "qemu-img", "qemu-utils")
	serveFile(t, func(t *testing.T, uri, socket, file string) {
		image := filepath.Join(t.TempDir(), "image")
		content := make([]byte, 16<<20)
		r := rand.New(rand.NewSource(1))
		for at := 0; at < len(content); at += 1 << 20 { // with holes
			r.Read(content[at : at+r.Intn(1<<20)])
		}
		if err := os.WriteFile(image, content, 0o600); err != nil {
			t.Fatal(err)
		}
		same := func(who, path string) {
			t.Helper()
			got, err := os.ReadFile(path)
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: other content (%v)", who, err)
			}
		}
		run(t, "nbdcopy", "--flush", image, uri)
		same("nbdcopy to the volume", file)
		run(t, "nbdcopy", uri, image+".back")
		same("nbdcopy from the volume", image+".back")
		r.Read(content[4<<20 : 5<<20])
		if err := os.WriteFile(image, content, 0o600); err != nil {
			t.Fatal(err)
		}
		q := "nbd:unix:" + socket + ":exportname=vol1"
		run(t, "qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, q)
		same("qemu-img to the volume", file)
		if out := run(t, "qemu-img", "compare", "-f", "raw", "-F", "raw", image, q); !strings.Contains(out, "identical") {
			t.Error(out)
		}
	})
}

func TestQEMUIO(t *testing.T) {
	program(t, "qemu-io", "qemu-utils")
	serveFile(t, func(t *testing.T, _, socket, _ string) {
		out := run(t, "qemu-io", "-f", "raw", "-t", "none",
			"-c", "write -P 0xab 1M 4k", "-c", "write -f -P 0xcd 1052672 4k", "-c", "flush", "-c", "read -P 0xab 1M 4k", "-c", "read -P 0xcd 1052672 4k",
			"-c", "write -z 1M 4k", "-c", "read -P 0 1M 4k", "-c", "write -z -u 1052672 4k", "-c", "read -P 0 1052672 4k",
			"-c", "write -P 0x11 2M 3M", "-c", "discard 3M 1M", "-c", "read -P 0x11 2M 1M", "-c", "read -P 0x11 4M 1M",
			"-c", "aio_write -P 0x22 8M 64k", "-c", "aio_read 9M 64k", "-c", "aio_flush", "-c", "read -P 0x22 8M 64k",
			"nbd:unix:"+socket+":exportname=vol1")
		if strings.Contains(out, "failed") || strings.Contains(out, "error") {
			t.Error(out)
		}
	})
}

func TestFio(t *testing.T) {
	program(t, "fio", "fio")
	serveFile(t, func(t *testing.T, uri, _, _ string) {
		for _, depth := range []int{1, 32} {
			out := run(t, "fio", "--name=x", "--ioengine=nbd", "--uri="+uri, "--rw=randwrite", "--bsrange=4k-64k", "--size=8M",
				fmt.Sprintf("--iodepth=%d", depth), "--verify=crc32c", "--do_verify=1", "--verify_fatal=1", "--randseed=7")
			if !strings.Contains(out, "err= 0") {
				t.Error(out)
			}
		}
	})
}
