package tinyguest

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Modules are what the guest loads in QEMU. softdog is not among them: it would
// be the first watchdog. crc32c_generic is needed by libcrc32c and not named by it.
var Modules = []string{"virtio_pci", "virtio_console", "virtio_net", "virtio_blk", "i6300esb", "pvpanic-mmio", "crc32c_generic", "nf_tables", "ptp_kvm"}

// Image is a guest ready to boot.
type Image struct {
	Kernel, Initrd string
	// Modules is the directory of the kernel's modules, for other initrds.
	Modules string
}

// Build puts a guest together in dir: the kernel, and an initrd of program (static;
// it calls Main) and modules.
func Build(ctx context.Context, dir string, kernel Kernel, program string, modules []string) (Image, error) {
	elf, modulesDir, err := kernel.unpack(ctx, dir)
	if err != nil {
		return Image{}, err
	}
	image := Image{Kernel: elf, Initrd: filepath.Join(dir, "initrd"), Modules: modulesDir}
	return image, BuildInitrd(ctx, image.Initrd, modulesDir, program, modules)
}

// BuildInitrd writes an initrd with program as /init and the modules with all
// that they depend on, numbered in the order in which they are to be loaded.
func BuildInitrd(ctx context.Context, to, modulesDir, program string, modules []string) error {
	init, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read the guest's program: %w", err)
	}
	tree, err := readModules(modulesDir)
	if err != nil {
		return err
	}
	var out cpio
	for _, d := range []string{"proc", "sys", "dev", "modules"} {
		out.add(d, 0o040755, nil)
	}
	out.add("init", 0o100755, init)
	loaded := make(map[string]bool)
	for _, m := range modules {
		if err := tree.add(ctx, &out, loaded, m); err != nil {
			return err
		}
	}
	if err := os.WriteFile(to, out.bytes(), 0o600); err != nil {
		return fmt.Errorf("write initrd: %w", err)
	}
	return nil
}

// modules are the files of a kernel's modules by name, with underscores.
type modules map[string]string

func moduleName(name string) string { return strings.ReplaceAll(name, "-", "_") }

func readModules(dir string) (modules, error) {
	all := make(modules)
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(p), ".ko"); ok && err == nil && !d.IsDir() {
			all[moduleName(name)] = p
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read kernel modules: %w", err)
	}
	return all, nil
}

// add puts a module behind those that it depends on. One that the kernel does
// not have is left out: it may be built in.
func (m modules) add(ctx context.Context, out *cpio, loaded map[string]bool, name string) error {
	name = moduleName(name)
	path, ok := m[name]
	if !ok || loaded[name] {
		return nil
	}
	loaded[name] = true
	data, err := os.ReadFile(path)
	if err == nil && strings.HasSuffix(path, ".xz") {
		data, err = unxz(ctx, data)
	}
	if err != nil {
		return fmt.Errorf("read module %s: %w", name, err)
	}
	depends, err := dependencies(data)
	if err != nil {
		return fmt.Errorf("read module %s: %w", name, err)
	}
	for _, d := range depends {
		if err := m.add(ctx, out, loaded, d); err != nil {
			return err
		}
	}
	out.add(fmt.Sprintf("modules/%03d-%s.ko", out.count, name), 0o100644, data)
	return nil
}

func dependencies(module []byte) ([]string, error) {
	f, err := elf.NewFile(bytes.NewReader(module))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, errors.New("it has no .modinfo")
	}
	info, err := section.Data()
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(string(info), "\x00") {
		if list, ok := strings.CutPrefix(entry, "depends="); ok {
			return slices.DeleteFunc(strings.Split(list, ","), func(s string) bool { return s == "" }), nil
		}
	}
	return nil, nil
}

// cpio is an archive in the form "newc", which the kernel unpacks.
// Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
type cpio struct {
	out   bytes.Buffer
	count int
}

func (c *cpio) add(name string, mode uint32, data []byte) {
	c.count++
	fmt.Fprintf(&c.out, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		c.count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	c.out.WriteString(name + "\x00")
	c.pad()
	c.out.Write(data)
	c.pad()
}

func (c *cpio) pad() {
	for c.out.Len()%4 != 0 {
		c.out.WriteByte(0)
	}
}

func (c *cpio) bytes() []byte {
	c.add("TRAILER!!!", 0, nil)
	return c.out.Bytes()
}
