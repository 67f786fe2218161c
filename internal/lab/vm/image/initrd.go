package image

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File is a file put into an initrd.
type File struct {
	// Name is its path in the initrd.
	Name string
	// Path is where its content is; Data is its content if Path is empty.
	Path string
	Data []byte
	// Mode is its permissions; 0 is 0644.
	Mode fs.FileMode
}

// ModuleList is the file of the initrd with a line for each module in the order
// in which to load them: the path in the initrd.
const ModuleList = "modules.list"

// WriteInitrd writes an initrd to path: the program init as /perdure with /init
// as a link to it, the modules as /modules/NN-name.ko and their paths in
// /modules.list, /dev with what the first process needs to be heard, mount points,
// and extra files. init must be linked statically. It isn't compressed: unpacking
// costs the guest more than reading. A reader sees the old initrd or the new one.
func WriteInitrd(path, init string, modules []Module, extra ...File) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-")
	if err != nil {
		return fmt.Errorf("make initrd %s: %w", path, err)
	}
	defer os.Remove(temporary.Name())
	defer temporary.Close()
	buffered := bufio.NewWriterSize(temporary, 1<<20)
	if err := writeInitrd(buffered, init, modules, extra); err != nil {
		return fmt.Errorf("write initrd %s: %w", path, err)
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("write initrd %s: %w", path, err)
	}
	if err := temporary.Chmod(0o644); err != nil {
		return fmt.Errorf("make initrd %s readable: %w", path, err)
	}
	if err := temporary.Close(); err != nil {
		return fmt.Errorf("write initrd %s: %w", path, err)
	}
	if err := os.Rename(temporary.Name(), path); err != nil {
		return fmt.Errorf("put initrd in place: %w", err)
	}
	return nil
}

func writeInitrd(w io.Writer, init string, modules []Module, extra []File) error {
	p := packer{archive: archive{w: w}, made: map[string]bool{".": true}}
	for _, dir := range []string{"dev", "proc", "sys", "run", "tmp", "root", "modules"} {
		if err := p.directory(dir); err != nil {
			return err
		}
	}
	for _, d := range []entry{
		{name: "dev/console", mode: 0o600, major: 5, minor: 1},
		{name: "dev/null", mode: 0o666, major: 1, minor: 3},
		{name: "dev/kmsg", mode: 0o644, major: 1, minor: 11},
	} {
		d.mode |= typeDevice
		if err := p.archive.add(d); err != nil {
			return err
		}
	}
	if err := p.file(File{Name: "perdure", Path: init, Mode: 0o755}); err != nil {
		return err
	}
	const program = "perdure"
	if err := p.archive.add(entry{name: "init", mode: typeLink | 0o777, size: int64(len(program)), content: strings.NewReader(program)}); err != nil {
		return err
	}
	var list strings.Builder
	for i, m := range modules {
		name := fmt.Sprintf("modules/%02d-%s.ko", i, m.Name)
		fmt.Fprintf(&list, "/%s\n", name)
		if err := p.file(File{Name: name, Path: m.Path}); err != nil {
			return err
		}
	}
	if err := p.file(File{Name: ModuleList, Data: []byte(list.String())}); err != nil {
		return err
	}
	for _, f := range extra {
		if err := p.file(f); err != nil {
			return err
		}
	}
	return p.archive.close()
}

// packer puts files into an archive, with the directories above them.
type packer struct {
	archive archive
	made    map[string]bool
}

func (p *packer) directory(name string) error {
	if p.made[name] {
		return nil
	}
	if err := p.directory(path.Dir(name)); err != nil {
		return err
	}
	p.made[name] = true
	return p.archive.add(entry{name: name, mode: typeDirectory | 0o755})
}

func (p *packer) file(f File) error {
	name := strings.TrimPrefix(path.Clean("/"+f.Name), "/")
	if name == "" {
		return fmt.Errorf("a file without a name, from %q", f.Path)
	}
	if err := p.directory(path.Dir(name)); err != nil {
		return err
	}
	mode := uint32(f.Mode.Perm())
	if mode == 0 {
		mode = 0o644
	}
	e := entry{name: name, mode: typeFile | mode}
	if f.Path == "" {
		e.size, e.content = int64(len(f.Data)), strings.NewReader(string(f.Data))
		return p.archive.add(e)
	}
	content, err := os.Open(f.Path)
	if err != nil {
		return fmt.Errorf("open %s for %s: %w", f.Path, name, err)
	}
	defer content.Close()
	info, err := content.Stat()
	if err != nil {
		return fmt.Errorf("look at %s: %w", f.Path, err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s for %s is no plain file", f.Path, name)
	}
	e.size, e.content = info.Size(), content
	return p.archive.add(e)
}
