package image

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sourceDate is the time of every file that is younger, and of the image, so that
// equal content gives an equal image: seconds since 1970, 2025-01-01.
const sourceDate = "SOURCE_DATE_EPOCH=1735689600"

// bootstrapSteps are the lines by which mmdebstrap says what it does now.
var bootstrapSteps = []struct{ prefix, step string }{
	{"I: running apt-get update", stepLists},
	{"I: downloading packages", stepDownload},
	{"I: extracting archives", stepUnpackRoot},
	{"I: installing essential packages", stepEssential},
	{"I: installing remaining packages", stepPackages},
	{"I: running --customize-hook", stepConfigure},
}

// bootstrap makes the root file system from packages.
func (b builder) bootstrap(ctx context.Context, root string) error {
	b.enter(stepLists)
	sources, err := b.hostSources()
	if err != nil {
		return err
	}
	options, err := hostAptOptions(ctx)
	if err != nil {
		return err
	}
	exclude, err := b.script("exclude.sh")
	if err != nil {
		return err
	}
	configure, err := b.script("configure.sh")
	if err != nil {
		return err
	}
	argv := []string{"mmdebstrap", "--mode=root", "--format=directory", "--variant=minbase", "--architectures=amd64",
		"--include=" + strings.Join(recipeList("packages.txt"), ","), "--essential-hook=" + exclude, "--customize-hook=" + configure}
	for _, o := range options {
		argv = append(argv, "--aptopt="+o)
	}
	// A power cut throws the directory away: nothing in it need reach the disk.
	argv = append(argv, "--dpkgopt=force-unsafe-io", b.in.codename, root, sources)
	err = run(ctx, command{
		argv: argv, limit: time.Hour, env: []string{sourceDate, "TMPDIR=" + b.work},
		line: func(line string) {
			for _, s := range bootstrapSteps {
				if strings.HasPrefix(line, s.prefix) {
					b.enter(s.step)
				}
			}
		},
	})
	if err != nil {
		return fmt.Errorf("install Debian %s (is its archive reachable? apt-get update tells): %w", b.in.codename, err)
	}
	scrub, err := b.script("scrub.sh")
	if err != nil {
		return err
	}
	if err := run(ctx, command{argv: []string{scrub, root}, limit: 2 * time.Minute}); err != nil {
		return fmt.Errorf("clean the root file system: %w", err)
	}
	return nil
}

// script writes a script of the recipe to be run.
func (b builder) script(name string) (string, error) {
	path := filepath.Join(b.work, name)
	if err := os.WriteFile(path, []byte(recipeFile(name)), 0o755); err != nil {
		return "", fmt.Errorf("write script %s: %w", name, err)
	}
	return path, nil
}

// hostSources writes a file with those of this machine's sources of packages that
// are Debian's, so that a mirror set up here is used.
func (b builder) hostSources() (string, error) {
	files, err := filepath.Glob("/etc/apt/sources.list.d/*")
	if err != nil {
		return "", fmt.Errorf("look for sources of packages: %w", err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return filepath.Ext(f) != ".list" && filepath.Ext(f) != ".sources" })
	var stanzas []string
	for _, file := range append([]string{"/etc/apt/sources.list"}, files...) {
		text, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			return "", fmt.Errorf("read sources of packages: %w", err)
		}
		for _, s := range debian(parseSources(string(text)), b.in.codename) {
			if stanza := s.stanza(); !slices.Contains(stanzas, stanza) {
				stanzas = append(stanzas, stanza)
			}
		}
	}
	if len(stanzas) == 0 {
		return "", fmt.Errorf("apt has no source of Debian %s main: add one in /etc/apt/sources.list", b.in.codename)
	}
	path := filepath.Join(b.work, "debian.sources")
	if err := os.WriteFile(path, []byte(strings.Join(stanzas, "\n")), 0o644); err != nil {
		return "", fmt.Errorf("write sources of packages: %w", err)
	}
	return path, nil
}

// aptOptions are the settings of this machine's apt that a download needs too.
var aptOptions = []string{"Acquire::http::", "Acquire::https::", "Acquire::Check-", "Acquire::Retries", "Acquire::ForceIPv"}

func hostAptOptions(ctx context.Context) ([]string, error) {
	text, err := output(ctx, "apt-config", "dump", "--no-empty")
	if err != nil {
		return nil, fmt.Errorf("read the settings of apt: %w", err)
	}
	var options []string
	for _, line := range strings.Split(text, "\n") {
		if slices.ContainsFunc(aptOptions, func(prefix string) bool { return strings.HasPrefix(line, prefix) }) {
			options = append(options, strings.TrimSuffix(line, ";"))
		}
	}
	return options, nil
}

// squash packs the root.
func (b builder) squash(ctx context.Context, root string) error {
	// Guests read little pieces here and there. Measured, booting and using some
	// programs, CPU s in QEMU / UML, each the median of three on a noisy machine:
	// lz4 in 32 KiB 6.5 / 9.6, lz4 in 128 KiB 8.9 / 10.6, not packed 6.6 / 9.4 (but
	// 450 MiB), zstd 7.9 / 11.1, gzip 7.0 / 9.3.
	// UML's kernel has no extended attributes in squashfs. Times are clamped by the
	// environment.
	argv := []string{"mksquashfs", root, filepath.Join(b.out, rootName), "-comp", "lz4", "-b", "32K", "-noappend", "-no-xattrs", "-no-progress",
		"-no-exports", "-quiet"}
	if err := run(ctx, command{argv: argv, env: []string{sourceDate}, limit: 20 * time.Minute}); err != nil {
		return fmt.Errorf("pack the root file system: %w", err)
	}
	return nil
}
