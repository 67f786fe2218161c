package ocf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// attributes are what agents keep at the cluster: a value for each name and
// node, each in a file of its own. They are of this node and this boot; what an
// agent asks about another node isn't there.
type attributes struct{ dir string }

const (
	valueMax      = 4 << 10 // bytes of a value
	attributesMax = 1000    // of a node
)

var attributeName = regexp.MustCompile(`^[A-Za-z0-9_#][A-Za-z0-9_.:#+-]{0,199}$`)

var errNoAttribute = errors.New("no such attribute")

func (a attributes) path(node, key string) (string, error) {
	if !attributeName.MatchString(node) || !attributeName.MatchString(key) {
		return "", fmt.Errorf("%q of %q is no name of an attribute", key, node)
	}
	return filepath.Join(a.dir, "attributes", node, key), nil
}

func (a attributes) get(node, key string) (string, error) {
	path, err := a.path(node, key)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", errNoAttribute
	}
	return string(b), err
}

// set sets a value. value++ and value+=n add to a number, as attrd does it.
func (a attributes) set(node, key, value string) error {
	path, err := a.path(node, key)
	if err != nil {
		return err
	}
	if value, err = a.count(node, key, value); err != nil {
		return err
	}
	if len(value) > valueMax {
		return fmt.Errorf("a value has at most %d bytes", valueMax)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if all, err := os.ReadDir(dir); err != nil || len(all) > attributesMax {
		return errors.Join(err, fmt.Errorf("there are more than %d attributes in %s", attributesMax, dir))
	}
	fresh, err := os.CreateTemp(dir, ".new-")
	if err != nil {
		return err
	}
	_, err = fresh.WriteString(value)
	if err = errors.Join(err, fresh.Close()); err == nil {
		err = os.Rename(fresh.Name(), path)
	}
	if err != nil {
		os.Remove(fresh.Name())
	}
	return err
}

func (a attributes) count(node, key, value string) (string, error) {
	add := 0
	switch {
	case value == "value++", value == key+"++":
		add = 1
	case strings.HasPrefix(value, "value+="), strings.HasPrefix(value, key+"+="):
		_, by, _ := strings.Cut(value, "+=")
		n, err := strconv.Atoi(by)
		if err != nil {
			return "", fmt.Errorf("add %q to %s: %w", by, key, err)
		}
		add = n
	default:
		return value, nil
	}
	was, err := a.get(node, key)
	if err != nil && !errors.Is(err, errNoAttribute) {
		return "", err
	}
	n, _ := strconv.Atoi(was)
	return strconv.Itoa(n + add), nil
}

func (a attributes) remove(node, key string) error {
	path, err := a.path(node, key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
