package message

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// constants reads codes.go, so that no list of them has to be kept.
func constants(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "codes.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatalf("read the codes: %v", err)
	}
	found := make(map[string]string)
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.CONST {
			t.Fatal("codes.go holds constants only")
		}
		for _, s := range gen.Specs {
			v := s.(*ast.ValueSpec)
			for i, name := range v.Names {
				if i >= len(v.Values) {
					t.Fatalf("%s has no value", name.Name)
				}
				lit, ok := v.Values[i].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%s is not a plain string", name.Name)
				}
				code, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatalf("%s: %v", name.Name, err)
				}
				found[name.Name] = code
			}
		}
	}
	return found
}

// TestUses walks the project's Go source. Package cluster can't import this one
// and writes its codes as constants of its own: such a constant must have the
// name that it has here, so that one code never gets two meanings. A call with a
// constant must give as many arguments as its entry names.
func TestUses(t *testing.T) {
	consts := constants(t)
	known := make(map[string]bool)
	for _, code := range consts {
		known[code] = true
	}
	code := regexp.MustCompile(`^"PD\d{4}"$`)
	set := token.NewFileSet()
	say := func(n ast.Node, format string, args ...any) {
		t.Errorf(set.Position(n.Pos()).String()+": "+format, args...)
	}
	walkSource(t, set, func(file *ast.File) {
		compared := make(map[ast.Node]bool)
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.BasicLit:
				// PD0… are codes of no meaning, for tests of whatever carries codes.
				if n.Kind == token.STRING && code.MatchString(n.Value) && !strings.HasPrefix(n.Value, `"PD0`) && !known[strings.Trim(n.Value, `"`)] {
					say(n, "%s is not among the codes of internal/message/codes.go", n.Value)
				}
			case *ast.ValueSpec:
				for i, v := range n.Values {
					lit, ok := v.(*ast.BasicLit)
					if !ok || !code.MatchString(lit.Value) || i >= len(n.Names) {
						continue
					}
					if name := n.Names[i].Name; strconv.Quote(consts[name]) != lit.Value {
						say(n, "%s = %s, but internal/message/codes.go has %s = %q", name, lit.Value, name, consts[name])
					}
				}
			case *ast.CallExpr:
				if last(n.Fun) == "Is" && len(n.Args) == 2 {
					compared[n.Args[1]] = true // by its code alone
				}
				name, given, ok := call(n)
				if given == 0 && compared[n] {
					return true
				}
				if strings.HasSuffix(set.Position(n.Pos()).Filename, "_test.go") {
					return true // tests compare by code
				}
				if want := arity(consts[name]); ok && consts[name] != "" && given != want {
					say(n, "%s takes %d arguments, %d given", name, want, given)
				}
			}
			return true
		})
	})
}

// call recognises message.New(message.Name, …), NewReason, Text and
// cluster.Because, inside cluster and outside, and returns the constant's name
// and the number of arguments after it.
func call(c *ast.CallExpr) (name string, given int, ok bool) {
	at := map[string]int{"New": 0, "NewReason": 0, "Text": 1, "Because": 0, "refuse": 0}
	i, known := at[last(c.Fun)]
	if !known || c.Ellipsis.IsValid() || len(c.Args) <= i {
		return "", 0, false
	}
	return last(c.Args[i]), len(c.Args) - i - 1, true
}

// last is the name at the end of x, p.x or neither.
func last(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

func arity(code string) int {
	e := lookup(code)
	return len(arguments(e.EN + e.CauseEN + e.NextEN))
}

// walkSource parses every Go file of the module outside this package, except
// those that other people are in the middle of writing: the compiler speaks of
// these.
func walkSource(t *testing.T, set *token.FileSet, visit func(*ast.File)) {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(here, "..", ".."), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path == here || name == "testdata" || name == "vendor" || len(name) > 1 && strings.HasPrefix(name, ".") && name != ".." {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		if file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution); err == nil {
			visit(file)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("walk the source: %v", err)
	}
}
