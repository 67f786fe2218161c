package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/perdure-ha/perdure"

// source is one Go file of the project, whatever system it is built for.
type source struct {
	path string // from the top of the module, with slashes
	text string
	set  *token.FileSet
	file *ast.File
}

// dir is the package's path below the module, such as internal/core.
func (s source) dir() string { return path.Dir(s.path) }

func (s source) isTest() bool { return strings.HasSuffix(s.path, "_test.go") }

func (s source) isGenerated() bool { return ast.IsGenerated(s.file) }

// at is the place of a node, for a finding.
func (s source) at(n ast.Node) string {
	return s.path + ":" + strconv.Itoa(s.set.Position(n.Pos()).Line)
}

// imports are the file's imports with their places.
func (s source) imports() map[string]*ast.ImportSpec {
	found := make(map[string]*ast.ImportSpec)
	for _, i := range s.file.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			found[p] = i
		}
	}
	return found
}

// calls reports whether e is name.function of the imported package p.
func (s source) selects(e ast.Expr, p string) (function string, ok bool) {
	sel, isSel := e.(*ast.SelectorExpr)
	if !isSel {
		return "", false
	}
	id, isID := sel.X.(*ast.Ident)
	if !isID {
		return "", false
	}
	spec, imported := s.imports()[p]
	if !imported {
		return "", false
	}
	name := path.Base(p)
	if name == "v2" {
		name = path.Base(path.Dir(p))
	}
	if spec.Name != nil {
		name = spec.Name.Name
	}
	return sel.Sel.Name, id.Name == name
}

// parse makes a source of a text; path says where it would stand.
func parse(path, text string) (source, error) {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.ParseComments|parser.SkipObjectResolution)
	return source{path: path, text: text, set: set, file: file}, err
}

// tree reads every Go file of the module once. A file that doesn't parse is
// the compiler's business.
var tree = sync.OnceValues(func() ([]source, error) {
	var all []source
	top := filepath.Join("..", "..")
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if rel != "." && (strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") || name == "testdata" || name == "vendor" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		if s, err := parse(filepath.ToSlash(rel), string(text)); err == nil {
			all = append(all, s)
		}
		return nil
	})
	return all, err
})

func sources(t *testing.T) []source {
	t.Helper()
	all, err := tree()
	if err != nil {
		t.Fatalf("read the source tree: %v", err)
	}
	if len(all) == 0 {
		t.Fatal("no Go file was found: the rules would hold of nothing")
	}
	return all
}

// rule looks at one file and says what breaks it, a line each.
type rule func(s source) []string

func enforce(t *testing.T, r rule) {
	t.Helper()
	for _, s := range sources(t) {
		for _, finding := range r(s) {
			t.Error(finding)
		}
	}
}
