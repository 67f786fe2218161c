package image

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// member is what a reader finds in an archive.
type member struct {
	name         string
	mode, inode  uint64
	major, minor uint64
	content      string
}

// readArchive reads an archive of format newc, by the format's description and
// not by our writer.
func readArchive(b []byte) ([]member, error) {
	var all []member
	for at := 0; ; {
		if len(b) < at+110 || string(b[at:at+6]) != "070701" {
			return nil, fmt.Errorf("no header at %d", at)
		}
		var field [13]uint64
		for i := range field {
			n, err := strconv.ParseUint(string(b[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				return nil, fmt.Errorf("header at %d: %w", at, err)
			}
			field[i] = n
		}
		name, size := int(field[11]), int(field[6])
		if name == 0 || len(b) < at+110+name || b[at+110+name-1] != 0 {
			return nil, fmt.Errorf("name at %d", at)
		}
		m := member{inode: field[0], mode: field[1], major: field[9], minor: field[10], name: string(b[at+110 : at+110+name-1])}
		at = (at + 110 + name + 3) &^ 3
		if len(b) < at+size {
			return nil, fmt.Errorf("content of %s", m.name)
		}
		m.content = string(b[at : at+size])
		at = (at + size + 3) &^ 3
		if m.name == "TRAILER!!!" {
			if at != len(b) {
				return nil, errors.New("something behind the end")
			}
			return all, nil
		}
		all = append(all, m)
	}
}

func testInitrd(t *testing.T) (path string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path = filepath.Join(dir, "initrd")
	err := WriteInitrd(path, write("agent", "program"),
		[]Module{{Name: "virtio", Path: write("a.ko", "m1")}, {Name: "overlay", Path: write("b.ko", "module 2")}},
		File{Name: "/etc/perdure/cluster.toml", Data: []byte("x = 1\n"), Mode: 0o600},
		File{Name: "etc/empty"},
		File{Name: "../sneaky", Path: write("c", "c")})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInitrd(t *testing.T) {
	path := testInitrd(t)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	members, err := readArchive(content)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	inodes := make(map[uint64]bool)
	for _, m := range members {
		fmt.Fprintf(&got, "%06o %s %d,%d %q\n", m.mode, m.name, m.major, m.minor, m.content)
		if inodes[m.inode] {
			t.Errorf("%s has the inode of another file: it would become a link", m.name)
		}
		inodes[m.inode] = true
	}
	const want = `040755 dev 0,0 ""
040755 proc 0,0 ""
040755 sys 0,0 ""
040755 run 0,0 ""
040755 tmp 0,0 ""
040755 root 0,0 ""
040755 modules 0,0 ""
020600 dev/console 5,1 ""
020666 dev/null 1,3 ""
020644 dev/kmsg 1,11 ""
100755 perdure 0,0 "program"
120777 init 0,0 "perdure"
100644 modules/00-virtio.ko 0,0 "m1"
100644 modules/01-overlay.ko 0,0 "module 2"
100644 modules.list 0,0 "/modules/00-virtio.ko\n/modules/01-overlay.ko\n"
040755 etc 0,0 ""
040755 etc/perdure 0,0 ""
100600 etc/perdure/cluster.toml 0,0 "x = 1\n"
100644 etc/empty 0,0 ""
100644 sneaky 0,0 "c"
`
	if got.String() != want {
		t.Errorf("the initrd has:\n%s\nwanted:\n%s", got.String(), want)
	}
	if rest, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".initrd-*")); err != nil || len(rest) > 0 {
		t.Errorf("left behind: %v %v", rest, err)
	}
}

// TestInitrdByCpio asks another reader.
func TestInitrdByCpio(t *testing.T) {
	if _, err := exec.LookPath("cpio"); err != nil {
		t.Skip("SKIPPED: there is no cpio to read the archive")
	}
	f, err := os.Open(testInitrd(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.CommandContext(t.Context(), "cpio", "-it", "--quiet")
	cmd.Stdin = f
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	names := strings.Fields(string(out))
	for _, want := range []string{"dev/console", "init", "perdure", "modules/01-overlay.ko", "etc/perdure/cluster.toml", "sneaky"} {
		if !slices.Contains(names, want) {
			t.Errorf("cpio doesn't see %s: %q", want, names)
		}
	}
}

func TestInitrdRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "initrd")
	if err := WriteInitrd(path, filepath.Join(dir, "nothing"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a program: %v", err)
	}
	if err := WriteInitrd(path, dir, nil); err == nil {
		t.Error("a directory as program was taken")
	}
	if err := WriteInitrd(path, os.Args[0], nil, File{Data: []byte("x")}); err == nil {
		t.Error("a file without a name was taken")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestArchiveShortContent(t *testing.T) {
	a := archive{w: new(bytes.Buffer)}
	if err := a.add(entry{name: "x", mode: typeFile, size: 9, content: strings.NewReader("short")}); err == nil {
		t.Error("a file that became shorter was taken")
	}
	if err := a.add(entry{name: "x", mode: typeFile, size: mostBytes + 1}); err == nil {
		t.Error("a file larger than the format allows was taken")
	}
}
