package meta

import (
	"bytes"
	"errors"
	"flag"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/device/memory"
)

var rewrite = flag.Bool("rewrite", false, "write the test vectors anew: only for a new format version")

func example() Superblock {
	return Superblock{
		Sequence: 7, Volume: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, Name: "data", Cluster: "c-42", Node: 3, Copy: 2,
		DataSize: 6 << 20, DeviceSize: 8 << 20, BlockSize: 4096, ExtentSize: 4 << 20, Slots: 256,
		Epoch: Epoch{2, 9}, SetVersion: 17, Members: 3, Source: true, Consistent: true, Boot: [16]byte{0xb0, 0x07},
		Since: [Copies]uint64{0, 0, 12}, UndoActive: true, UndoEpoch: Epoch{2, 8}, UndoVersion: 15,
	}
}

// TestVectors: what this release writes is byte for byte what is described, and is
// read again.
func TestVectors(t *testing.T) {
	s := example()
	var sb, alg, page [Block]byte
	s.Encode(sb[:])
	hot := []uint32{3, NoExtent, 1}
	EncodeActivity(alg[:], s.Volume, 66, hot)
	bits := make([]byte, PageBits/8)
	bits[0], bits[len(bits)-1] = 0x81, 0x80
	EncodePage(page[:], 5, bits)
	for name, got := range map[string][]byte{"superblock-v1": sb[:], "activity-v1": alg[:], "page-v1": page[:]} {
		path := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is written otherwise than the vector (%v)", name, err)
		}
	}
	if got, err := DecodeSuperblock(sb[:]); err != nil || got != s {
		t.Errorf("read back: %+v %v", got, err)
	}
	if seq, got, err := DecodeActivity(alg[:], s.Volume); err != nil || seq != 66 || len(got) != 3 || got[0] != 3 || got[1] != NoExtent || got[2] != 1 {
		t.Errorf("read back: %d %v %v", seq, got, err)
	}
	back := make([]byte, PageBits/8)
	if !DecodePage(page[:], 5, back) || !bytes.Equal(back, bits) {
		t.Error("the page isn't read back")
	}
	if DecodePage(page[:], 6, back) || back[100] != 0xff {
		t.Error("another page's content was taken")
	}
}

func TestEveryBitOfASuperblockCounts(t *testing.T) {
	s := example()
	var b [Block]byte
	s.Encode(b[:])
	for i := range b {
		b[i] ^= 1 << (i % 8)
		if _, err := DecodeSuperblock(b[:]); err == nil {
			t.Fatalf("a turned bit at %d went unnoticed", i)
		}
		b[i] ^= 1 << (i % 8)
	}
}

func create(t *testing.T, d Device, s Superblock, overwrite bool) *Area {
	t.Helper()
	a, err := Create(d, "disk", s, overwrite)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func open(t *testing.T, d Device, want Want) *Area {
	t.Helper()
	a, err := Open(d, "disk", want)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

func wants(s Superblock) Want { return Want{s.Volume, s.Name, s.Cluster} }

func TestFit(t *testing.T) {
	for _, size := range []int64{4 << 20, 4<<20 + 512, 100 << 20, 1 << 40, 17 << 40} {
		data, err := Fit(size, 4096)
		if err != nil {
			t.Fatal(err)
		}
		l := LayoutFor(data, 4096)
		if data+l.Size > size || data < size-l.Size-2<<20 {
			t.Errorf("%d bytes: %d for data and %d for metadata", size, data, l.Size)
		}
		if l.BitmapOf(Copies)+l.Pages*Block > l.Superblocks[1] {
			t.Errorf("%d bytes: the bitmaps reach into the superblock", size)
		}
	}
	if _, err := Fit(1<<20, 4096); err == nil {
		t.Error("a device that is too small was accepted")
	}
}

// TestPowerLossWhileWriting writes superblocks, transactions and pages and cuts the
// power at each point: what was acknowledged is always found.
func TestPowerLossWhileWriting(t *testing.T) {
	s := example()
	s.Side = true
	d := memory.New(1<<20, 512)
	a := create(t, d, s, false)
	hot := []uint32{}
	sequence := uint64(1)
	for round := range 100 {
		next := a.Superblock()
		next.SetVersion++
		// One of the two is under way when the power goes.
		d.Hold()
		done := make(chan error)
		transaction := round%2 == 0
		newer := append([]uint32{uint32(round)}, hot...)
		if len(newer) > 100 {
			newer = newer[:100]
		}
		go func() {
			if transaction {
				done <- a.WriteActivity(sequence+1, newer)
			} else {
				done <- a.WriteSuperblock(next)
			}
		}()
		for d.Held() == 0 {
		}
		d.Release(nil)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		before := a.Superblock().SetVersion
		if transaction {
			hot, sequence = newer, sequence+1
		}
		// A torn write over what comes next.
		crashed := d.Crash(int64(round))
		at := a.ActivityAt(sequence + 1)
		if round%3 == 0 {
			at = a.Base() + a.Layout().Superblocks[(a.Superblock().Sequence+1)%2]
		}
		if err := block.Do(crashed, &block.Request{Op: block.Write, Offset: at, Data: bytes.Repeat([]byte{0xee}, 1024)}); err != nil {
			t.Fatal(err)
		}
		b := open(t, crashed, wants(s))
		if got := b.Superblock().SetVersion; got != before {
			t.Fatalf("round %d: set version %d, %d was acknowledged", round, got, before)
		}
		seq, got, whole, err := b.Activity()
		if err != nil || !whole || seq != sequence || len(got) != len(hot) || len(hot) > 0 && got[0] != hot[0] {
			t.Fatalf("round %d: transaction %d (whole %v) %v, %d was acknowledged: %v", round, seq, whole, err, sequence, hot)
		}
	}
	// Damage that no cut-off write explains.
	d.Corrupt(a.ActivityAt(sequence-5), 512)
	if _, _, whole, err := open(t, d, wants(s)).Activity(); whole || err != nil {
		t.Errorf("a damaged transaction in the middle went unnoticed: %v", err)
	}
}

func TestBitmap(t *testing.T) {
	s := example()
	s.DataSize, s.DeviceSize, s.Side = 200<<20, 200<<20, true // more than one page
	d := memory.New(2<<20, 512)
	a := create(t, d, s, false)
	bits := make([]byte, a.Layout().Pages*PageBits/8)
	rand.New(rand.NewSource(1)).Read(bits)
	if err := a.WriteBitmap(4, bits); err != nil {
		t.Fatal(err)
	}
	b := open(t, d.Crash(1), wants(s))
	got, damaged, err := b.Bitmap(4)
	if err != nil || damaged != 0 || !bytes.Equal(got, bits) {
		t.Fatalf("read back otherwise: %d pages damaged, %v", damaged, err)
	}
	d.Corrupt(a.PageAt(4, 1)+100, 1)
	got, damaged, err = open(t, d, wants(s)).Bitmap(4)
	if err != nil || damaged != 1 {
		t.Fatalf("%d pages damaged, %v", damaged, err)
	}
	page := PageBits / 8
	if !bytes.Equal(got[:page], bits[:page]) || got[page] != 0xff || got[2*page-1] != 0xff {
		t.Error("a damaged page doesn't count as all marked")
	}
	if _, damaged, _ := b.Bitmap(5); damaged == 0 {
		t.Error("marks that were never written count as none")
	}
}

func TestRefusals(t *testing.T) {
	s := example()
	fresh := func() *memory.Device { return memory.New(8<<20, 512) }
	made := fresh()
	a := create(t, made, s, false)
	content := made.Content()
	other := s
	other.Volume[0] = 99
	other.Name = "else"

	_, err := Open(fresh(), "disk", wants(s))
	has(t, "an empty disk", err, message.VolumeMetaNone)
	_, err = Open(made, "disk", wants(other))
	has(t, "another volume", err, message.VolumeForeign)
	_, err = Open(made, "disk", Want{s.Volume, s.Name, "other cluster"})
	has(t, "another cluster", err, message.VolumeForeign)
	_, err = Create(made, "disk", s, true)
	has(t, "the same volume again", err, message.VolumeDeviceHolds)
	_, err = Create(made, "disk", other, false)
	has(t, "a volume over a volume", err, message.VolumeDeviceHolds)
	if !bytes.Equal(made.Content(), content) {
		t.Fatal("a refusal changed the disk")
	}

	newer := fresh()
	put(t, newer, content)
	at := a.Base() + a.Layout().Superblocks[0]
	forge(t, newer, at, func(b []byte) { b[8] = Version + 1 })
	_, err = Open(newer, "disk", wants(s))
	has(t, "a newer format", err, message.VolumeMetaNewer)
	_, err = Create(newer, "disk", other, false)
	has(t, "a volume over one of a newer format", err, message.VolumeMetaNewer)
	flags := fresh()
	put(t, flags, content)
	forge(t, flags, at, func(b []byte) { b[11] |= 0x80 })
	_, err = Open(flags, "disk", wants(s))
	has(t, "an unknown flag", err, message.VolumeMetaNewer)

	one, both := made.Crash(0), made.Crash(0)
	one.Corrupt(at+20, 1)
	if b := open(t, one, wants(s)); b.Superblock().Name != "data" {
		t.Error("one damaged superblock is too much")
	}
	both.Corrupt(at+20, 1)
	both.Corrupt(at+20-Block, 1)
	_, err = Open(both, "disk", wants(s))
	has(t, "two damaged superblocks", err, message.VolumeMetaDamaged)
	_, err = Create(both, "disk", other, false)
	has(t, "a volume over a damaged one", err, message.VolumeMetaDamaged)

	shrunk := memory.New(4<<20, 512)
	put(t, shrunk, append(make([]byte, 4<<20-2*Block), content[8<<20-2*Block:]...))
	_, err = Open(shrunk, "disk", wants(s))
	has(t, "a device that has shrunk", err, message.VolumeDeviceShrunk)
	small := memory.New(6<<20, 512)
	_, err = Create(small, "disk", s, false)
	has(t, "a device that is too small", err, message.VolumeDeviceShrunk)

	used := fresh()
	put(t, used, append(make([]byte, 7<<20), "something"...))
	_, err = Create(used, "disk", s, false)
	has(t, "data where the metadata go", err, message.VolumeDeviceHolds)
	create(t, used, s, true)

	if err := a.Erase(); err != nil {
		t.Fatal(err)
	}
	_, err = Open(made, "disk", wants(s))
	has(t, "an erased one", err, message.VolumeMetaNone)
}

func has(t *testing.T, what string, err error, code string) {
	t.Helper()
	if !message.Has(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

func put(t *testing.T, d *memory.Device, content []byte) {
	t.Helper()
	padded := make([]byte, (len(content)+511)/512*512)
	copy(padded, content)
	if err := block.Do(d, &block.Request{Op: block.Write, Data: padded, Flags: block.FUA}); err != nil {
		t.Fatal(err)
	}
}

// forge changes a superblock and makes its checksum right.
func forge(t *testing.T, d *memory.Device, at int64, change func([]byte)) {
	t.Helper()
	b := d.Content()[at : at+Block]
	change(b)
	seal(b)
	if err := block.Do(d, &block.Request{Op: block.Write, Offset: at, Data: b, Flags: block.FUA}); err != nil {
		t.Fatal(err)
	}
}

// TestFileSystemsThatReachIntoTheMetadata makes real ones.
func TestFileSystemsThatReachIntoTheMetadata(t *testing.T) {
	for _, c := range []struct {
		kind, mkfs, size string
		args             []string
	}{
		{"ext2/3/4", "mkfs.ext4", "24M", []string{"-q", "-F"}},
		{"ext2/3/4", "mkfs.ext4", "16M", []string{"-q", "-F", "-O", "64bit"}},
	} {
		if _, err := exec.LookPath(c.mkfs); err != nil {
			t.Skipf("SKIPPED: no %s here", c.mkfs)
		}
		file := filepath.Join(t.TempDir(), "fs")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(file, 24<<20); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), c.mkfs, append(c.args, file, c.size)...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := memory.New(24<<20, 512)
		put(t, d, content)
		s := example()
		s.DeviceSize = 24 << 20
		if s.DataSize, err = Fit(s.DeviceSize, s.BlockSize); err != nil {
			t.Fatal(err)
		}
		_, err = Create(d, "disk", s, true)
		if full := c.size == "24M"; full && !message.Has(err, message.VolumeNoRoom) || !full && err != nil {
			t.Errorf("%s of %s on 24 MiB: %v", c.kind, c.size, err)
		}
		if !bytes.Equal(d.Content()[:16<<20], content[:16<<20]) {
			t.Error("data were changed")
		}
	}
}

func TestReadErrors(t *testing.T) {
	d := memory.New(8<<20, 512)
	create(t, d, example(), false)
	d.Fail(func(*block.Request) error { return block.ErrIO })
	if _, err := Open(d, "disk", wants(example())); !errors.Is(err, block.ErrIO) {
		t.Errorf("a disk that can't be read: %v", err)
	}
}
