package image

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// A finished image is a directory with these files and one directory for each
// kind with its kernel and modules.
const (
	manifestName = "manifest.json"
	rootName     = "root.squashfs"
)

// manifest says what is in an image's directory; paths are relative to it.
type manifest struct {
	Kinds map[Kind]kindFiles `json:"kinds"`
	// Sizes of all files in bytes: after a power cut a file may be shorter.
	Sizes map[string]int64 `json:"sizes"`
}

type kindFiles struct {
	Kernel  string   `json:"kernel"`
	Release string   `json:"release"`
	Modules []string `json:"modules"`
}

// save measures the files and writes the manifest into dir.
func (m manifest) save(dir string) error {
	m.Sizes = make(map[string]int64)
	for _, name := range m.files() {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return fmt.Errorf("measure a part of the image: %w", err)
		}
		m.Sizes[name] = info.Size()
	}
	text, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, manifestName), text, 0o644); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

func (m manifest) files() []string {
	names := []string{rootName}
	for _, k := range m.Kinds {
		names = append(append(names, k.Kernel), k.Modules...)
	}
	return names
}

// open is the images in dir, if they are complete.
func open(dir string) (Images, error) {
	text, err := os.ReadFile(filepath.Join(dir, manifestName))
	if err != nil {
		return Images{}, fmt.Errorf("read manifest: %w", err)
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return Images{}, fmt.Errorf("read manifest of %s: %w", dir, err)
	}
	for _, name := range m.files() {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return Images{}, fmt.Errorf("a part of the image is missing: %w", err)
		}
		if info.Size() != m.Sizes[name] {
			return Images{}, fmt.Errorf("%s in %s has %d bytes, it was made with %d", name, dir, info.Size(), m.Sizes[name])
		}
	}
	images := Images{
		Root:    filepath.Join(dir, rootName),
		Kernel:  make(map[Kind]string),
		Release: make(map[Kind]string),
		Modules: make(map[Kind][]Module),
	}
	for k, files := range m.Kinds {
		images.Kernel[k] = filepath.Join(dir, files.Kernel)
		images.Release[k] = files.Release
		for _, name := range files.Modules {
			images.Modules[k] = append(images.Modules[k], Module{Name: moduleName(name), Path: filepath.Join(dir, name)})
		}
	}
	return images, nil
}
