package image

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// kernel is a kernel with the modules of its package.
type kernel struct {
	file    string // to boot
	release string
	modules string // directory that holds kernel/ and modules.builtin
}

// The UML kernel as its package installs it.
const (
	umlProgram = "/usr/bin/linux.uml"
	umlModules = "/usr/lib/uml/modules"
)

// collect finds the versions of what the images are made from.
func collect(ctx context.Context, wanted []Kind) (inputs, error) {
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return inputs{}, fmt.Errorf("find this machine's release of Debian: %w", err)
	}
	in := inputs{codename: osRelease(string(release))["VERSION_CODENAME"], versions: make(map[Kind]string)}
	for _, k := range kinds {
		version, err := kernelPackage(ctx, k)
		if err != nil {
			for _, w := range wanted {
				if w == k {
					return inputs{}, err
				}
			}
			continue
		}
		in.versions[k] = version
	}
	return in, nil
}

// kernelPackage is the package with the kernel of a kind as package=version.
func kernelPackage(ctx context.Context, k Kind) (string, error) {
	if k == UML {
		version, err := output(ctx, "dpkg-query", "-W", "-f", "${Package}=${Version}", "user-mode-linux")
		if err != nil {
			return "", fmt.Errorf("find the version of user-mode-linux: %w", err)
		}
		return version, nil
	}
	text, err := output(ctx, "apt-cache", "show", "--no-all-versions", "linux-image-amd64")
	if err != nil {
		return "", fmt.Errorf("find Debian's kernel (apt-get update may help): %w", err)
	}
	pkg := kernelDepends(text)
	if pkg == "" {
		return "", errors.New("apt doesn't say which kernel linux-image-amd64 is: apt-get update may help")
	}
	return pkg, nil
}

var dependsOnKernel = regexp.MustCompile(`(?m)^Depends:.*\b(linux-image-[0-9][^ ,]*) \(= ([^)]+)\)`)

// kernelDepends is the package=version of the kernel that a record of
// linux-image-amd64 depends on.
func kernelDepends(record string) string {
	m := dependsOnKernel.FindStringSubmatch(record)
	if m == nil {
		return ""
	}
	return m[1] + "=" + m[2]
}

// umlKernel is the installed one.
func umlKernel() (kernel, error) {
	release, err := only(umlModules)
	if err != nil {
		return kernel{}, fmt.Errorf("find the modules of user-mode-linux: %w", err)
	}
	return kernel{file: umlProgram, release: release, modules: filepath.Join(umlModules, release)}, nil
}

// debianKernel fetches the package of Debian's kernel and unpacks it.
func (b builder) debianKernel(ctx context.Context) (kernel, error) {
	b.enter(stepKernel)
	debs, tree := filepath.Join(b.work, "debs"), filepath.Join(b.work, "kernel")
	for _, dir := range []string{debs, tree} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return kernel{}, fmt.Errorf("make room for the kernel: %w", err)
		}
	}
	err := run(ctx, command{
		argv: []string{"apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", b.in.versions[QEMU]}, dir: debs, limit: 10 * time.Minute})
	if err != nil {
		return kernel{}, fmt.Errorf("fetch %s (if it is out of date, apt-get update helps): %w", b.in.versions[QEMU], err)
	}
	deb, err := only(debs)
	if err != nil {
		return kernel{}, fmt.Errorf("fetch %s: %w", b.in.versions[QEMU], err)
	}
	b.enter(stepUnpack)
	if err := run(ctx, command{argv: []string{"dpkg-deb", "-x", filepath.Join(debs, deb), tree}, limit: 10 * time.Minute}); err != nil {
		return kernel{}, fmt.Errorf("unpack the kernel: %w", err)
	}
	b.enter(stepExtract)
	// Older packages have /lib, newer ones /usr/lib.
	modules := filepath.Join(tree, "lib/modules")
	if _, err := os.Stat(modules); err != nil {
		modules = filepath.Join(tree, "usr/lib/modules")
	}
	release, err := only(modules)
	if err != nil {
		return kernel{}, fmt.Errorf("find the kernel's modules: %w", err)
	}
	k := kernel{file: filepath.Join(b.work, "vmlinux"), release: release, modules: filepath.Join(modules, release)}
	return k, unpackKernel(ctx, filepath.Join(tree, "boot", "vmlinuz-"+release), k.file)
}

// unpackKernel writes the ELF inside a bzImage: booted directly it costs the
// guest half, because it needn't unpack it with an emulated processor.
func unpackKernel(ctx context.Context, bzimage, vmlinux string) error {
	packed, err := os.ReadFile(bzimage)
	if err != nil {
		return fmt.Errorf("read the kernel: %w", err)
	}
	payload, err := xzPayload(packed)
	if err != nil {
		return fmt.Errorf("look into %s: %w", filepath.Base(bzimage), err)
	}
	f, err := os.Create(vmlinux)
	if err != nil {
		return fmt.Errorf("unpack the kernel: %w", err)
	}
	defer f.Close()
	if err := run(ctx, command{argv: []string{"xz", "-dc"}, stdin: bytes.NewReader(payload), stdout: f, limit: 5 * time.Minute}); err != nil {
		return fmt.Errorf("unpack the kernel: %w", err)
	}
	if err := checkPVH(vmlinux); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("write the kernel: %w", err)
	}
	return nil
}

// checkPVH says whether a hypervisor can boot this ELF: it needs the note with
// the entry point, XEN_ELFNOTE_PHYS32_ENTRY.
func checkPVH(vmlinux string) error {
	f, err := elf.Open(vmlinux)
	if err != nil {
		return fmt.Errorf("look into the unpacked kernel: %w", err)
	}
	defer f.Close()
	entry := []byte("\x04\x00\x00\x00\x08\x00\x00\x00\x12\x00\x00\x00Xen\x00")
	short := bytes.Replace(entry, []byte{8}, []byte{4}, 1) // an entry of 4 bytes
	for _, p := range f.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes, err := io.ReadAll(p.Open())
		if err != nil {
			return fmt.Errorf("read the kernel's notes: %w", err)
		}
		if bytes.Contains(notes, entry) || bytes.Contains(notes, short) {
			return nil
		}
	}
	return errors.New("the kernel has no PVH entry: QEMU can't boot it unpacked")
}

// only is the name of the one entry of a directory.
func only(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", fmt.Errorf("list %s: %w", dir, err)
	}
	if len(entries) != 1 {
		return "", fmt.Errorf("%s has %d entries, expected is one", dir, len(entries))
	}
	return entries[0].Name(), nil
}

// install puts the kernel's modules into the root, and the kernel with the
// modules of the initrd into the image.
func (b builder) install(ctx context.Context, root string, k Kind, kern kernel) (kindFiles, error) {
	files := kindFiles{Kernel: filepath.Join(string(k), "vmlinux"), Release: kern.release}
	if k == UML {
		files.Kernel = filepath.Join(string(k), filepath.Base(umlProgram))
	}
	if err := os.Mkdir(filepath.Join(b.out, string(k)), 0o755); err != nil {
		return files, fmt.Errorf("make room for the kernel: %w", err)
	}
	if err := copyFile(kern.file, filepath.Join(b.out, files.Kernel), 0o755); err != nil {
		return files, err
	}
	inRoot := filepath.Join(root, "usr/lib/modules", kern.release)
	if err := copyModules(ctx, kern.modules, inRoot); err != nil {
		return files, err
	}
	if err := run(ctx, command{argv: []string{"depmod", "-b", root, kern.release}, limit: 2 * time.Minute}); err != nil {
		return files, fmt.Errorf("list what modules depend on: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(inRoot, "modules.dep"))
	if err != nil {
		return files, fmt.Errorf("read what modules depend on: %w", err)
	}
	deps, err := parseDependencies(string(text))
	if err != nil {
		return files, fmt.Errorf("kernel %s: %w", kern.release, err)
	}
	order, err := deps.order(early[k])
	if err != nil {
		return files, fmt.Errorf("kernel %s: %w", kern.release, err)
	}
	for _, module := range order {
		name := filepath.Join(string(k), moduleName(module)+".ko")
		if err := plainModule(ctx, filepath.Join(inRoot, module), filepath.Join(b.out, name)); err != nil {
			return files, err
		}
		files.Modules = append(files.Modules, name)
	}
	return files, nil
}

// plainModule copies a module, unpacked if it is packed: the initrd has no tool.
func plainModule(ctx context.Context, from, to string) error {
	if strings.HasSuffix(from, ".ko") {
		return copyFile(from, to, 0o644)
	}
	f, err := os.Create(to)
	if err != nil {
		return fmt.Errorf("unpack a module: %w", err)
	}
	defer f.Close()
	if err := run(ctx, command{argv: []string{"xz", "-dc", from}, stdout: f, limit: time.Minute}); err != nil {
		return fmt.Errorf("unpack module %s: %w", from, err)
	}
	return nil
}

// copyModules copies a kernel's modules without those that no guest wants.
func copyModules(ctx context.Context, from, to string) error {
	unwanted := make(map[string]bool)
	for _, dir := range recipeList("unwanted.txt") {
		unwanted[dir] = true
	}
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case unwanted[name] && d.IsDir():
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case d.Type().IsRegular():
			return copyFile(path, filepath.Join(to, name), 0o644)
		}
		return nil // links to the sources of the kernel
	})
	if err != nil {
		return fmt.Errorf("copy modules from %s: %w", from, err)
	}
	return nil
}

func copyFile(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return fmt.Errorf("copy %s: %w", from, err)
	}
	if err := out.Close(); err != nil {
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return nil
}
