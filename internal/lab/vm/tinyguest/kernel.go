package tinyguest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// cacheDir is where package image keeps what it made, unless PERDURE_LAB_CACHE
// says another place.
const cacheDir = "/var/cache/perdure-lab"

// Kernel is a kernel for QEMU and its modules, not unpacked yet.
type Kernel struct {
	Release string
	// elf or bzImage is the kernel.
	elf, bzImage string
	// modules is the directory of its modules, unless they are in the file system
	// root.
	modules, root string
}

// FindKernel looks at PERDURE_LAB_KERNEL, the directory of an unpacked linux-image
// package (boot, lib/modules), and then for what package image made.
func FindKernel() (Kernel, error) {
	if dir := os.Getenv("PERDURE_LAB_KERNEL"); dir != "" {
		found, _ := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
		if len(found) == 0 {
			return Kernel{}, fmt.Errorf("no kernel in %s/boot", dir)
		}
		release := filepath.Base(found[0])[len("vmlinuz-"):]
		return Kernel{Release: release, bzImage: found[0], modules: filepath.Join(dir, "lib", "modules", release)}, nil
	}
	cache := os.Getenv("PERDURE_LAB_CACHE")
	if cache == "" {
		cache = cacheDir
	}
	manifests, _ := filepath.Glob(filepath.Join(cache, "images-*", "manifest.json"))
	var why error
	for _, m := range manifests {
		k, err := madeKernel(m)
		if err == nil {
			return k, nil
		}
		why = errors.Join(why, err)
	}
	return Kernel{}, errors.Join(fmt.Errorf("no kernel in %s: make the lab's images, or set PERDURE_LAB_KERNEL to an unpacked linux-image package", cache), why)
}

// madeKernel is a kernel of package image.
func madeKernel(manifest string) (Kernel, error) {
	text, err := os.ReadFile(manifest)
	if err != nil {
		return Kernel{}, err
	}
	var m struct {
		Kinds map[string]struct{ Kernel, Release string }
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return Kernel{}, fmt.Errorf("%s: %w", manifest, err)
	}
	dir, made := filepath.Dir(manifest), m.Kinds["qemu"]
	if made.Kernel == "" {
		return Kernel{}, fmt.Errorf("%s: it has no kernel for QEMU", manifest)
	}
	return Kernel{Release: made.Release, elf: filepath.Join(dir, made.Kernel), root: filepath.Join(dir, "root.squashfs")}, nil
}

// unpack puts into dir what is still packed.
func (k Kernel) unpack(ctx context.Context, dir string) (elf, modules string, err error) {
	elf, modules = k.elf, k.modules
	if k.bzImage != "" {
		elf = filepath.Join(dir, "vmlinux")
		if err := cutKernel(ctx, k.bzImage, elf); err != nil {
			return "", "", err
		}
	}
	if k.root != "" {
		inside := filepath.Join("usr", "lib", "modules", k.Release)
		to := filepath.Join(dir, "root")
		cmd := exec.CommandContext(ctx, "unsquashfs", "-n", "-q", "-f", "-d", to, k.root, inside)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", "", fmt.Errorf("unpack the kernel's modules: %w: %s", err, out)
		}
		modules = filepath.Join(to, inside)
	}
	return elf, modules, nil
}

// cutKernel unpacks the ELF inside a bzImage: the boot loader of an emulated
// machine needs 5 s for what xz does in one.
func cutKernel(ctx context.Context, bzImage, to string) error {
	data, err := os.ReadFile(bzImage)
	if err != nil {
		return fmt.Errorf("read kernel: %w", err)
	}
	at := bytes.Index(data, []byte("\xfd7zXZ\x00"))
	if at < 0 {
		return fmt.Errorf("cut the kernel out of %s: no xz stream inside", bzImage)
	}
	// What follows the stream is no xz, and xz says so with status 1.
	out, err := unxz(ctx, data[at:])
	if !bytes.HasPrefix(out, []byte("\x7fELF")) {
		return fmt.Errorf("cut the kernel out of %s: no ELF came out: %w", bzImage, err)
	}
	if err := os.WriteFile(to, out, 0o600); err != nil {
		return fmt.Errorf("write kernel: %w", err)
	}
	return nil
}

func unxz(ctx context.Context, data []byte) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "xz", "-dc")
	cmd.Stdin = bytes.NewReader(data)
	var out bytes.Buffer
	cmd.Stdout = &out
	err := cmd.Run()
	return out.Bytes(), err
}
