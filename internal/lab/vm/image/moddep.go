package image

import (
	"fmt"
	"path"
	"strings"
)

// dependencies is a modules.dep: for each module's name its file and the files of
// all that it needs. Files are relative to the directory of the kernel's release.
type dependencies map[string]struct {
	file  string
	needs []string
}

// parseDependencies reads a modules.dep: lines of "file: needed needed", all
// that a module needs even indirectly, the last to be loaded first.
func parseDependencies(text string) (dependencies, error) {
	d := make(dependencies)
	for i, line := range strings.Split(text, "\n") {
		if strings.TrimSpace(line) == "" {
			continue
		}
		file, needs, found := strings.Cut(line, ":")
		name := moduleName(file)
		if !found || name == "" {
			return nil, fmt.Errorf("modules.dep, line %d: %.80q is no module with what it needs", i+1, line)
		}
		m := d[name]
		m.file, m.needs = file, strings.Fields(needs)
		d[name] = m
	}
	return d, nil
}

// moduleName is a module's name by its file: underscores whatever the file has.
func moduleName(file string) string {
	name, _, found := strings.Cut(path.Base(file), ".ko")
	if !found {
		return ""
	}
	return strings.ReplaceAll(name, "-", "_")
}

// order is the files to load so that names are there, each file once and after
// all that it needs.
func (d dependencies) order(names []string) ([]string, error) {
	var files []string
	done := make(map[string]bool)
	add := func(file string) {
		if !done[file] {
			done[file] = true
			files = append(files, file)
		}
	}
	for _, name := range names {
		m, ok := d[name]
		if !ok {
			return nil, fmt.Errorf("the kernel has no module %s", name)
		}
		for i := len(m.needs) - 1; i >= 0; i-- {
			add(m.needs[i])
		}
		add(m.file)
	}
	return files, nil
}
