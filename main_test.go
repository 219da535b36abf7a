package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxFunc is the longest that a function may be, in lines.
const maxFunc = 90

// sources calls fn for every Go file of the repository.
func sources(t *testing.T, fn func(path string, file *ast.File, fset *token.FileSet)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || path == "results/runs") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		n++
		fn(path, file, fset)
		return nil
	})
	if err != nil || n < 20 {
		t.Fatalf("read %d files: %v", n, err)
	}
}

// TestImports enforces who may import whom, with the reason.
func TestImports(t *testing.T) {
	rules := []struct {
		from, forbidden string
		except          []string // folders that may
		why             string
	}{
		{"modes", "viplab/workload", []string{"modes/modetest"}, "a mode never knows how it is measured"},
		{"modes", "viplab/lab", []string{"modes/modetest", "modes/pipe/conformance_test.go", "modes/kubeproxy/conformance_test.go",
			"modes/catalog/testdata"}, "modes lie below the lab; their tests with real packets need it"},
		{"modes", "viplab/analysis", nil, "modes lie below the analysis"},
		{"modes", "viplab/results", nil, "a mode does not record"},
		{"workload", "viplab/lab", nil, "traffic lies below the lab"},
		{"workload", "viplab/analysis", nil, "traffic is not analysed where it is made"},
		{"workload", "viplab/results", nil, "traffic is recorded by the lab"},
		{"results", "viplab/", nil, "records are read without anything else of ours"},
		{"analysis/summary", "viplab/modes", nil, "only the simulation plans what modes would"},
		{"analysis/plots", "viplab/modes", nil, "only the simulation plans what modes would"},
		{"analysis/compare", "viplab/modes", nil, "only the simulation plans what modes would"},
		{"analysis", "viplab/lab", nil, "a report is made from records of any machine"},
		{"analysis", "viplab/workload", nil, "a report is made from records of any machine"},
	}
	sources(t, func(path string, file *ast.File, _ *token.FileSet) {
		for _, imp := range file.Imports {
			name := strings.Trim(imp.Path.Value, `"`)
			for _, r := range rules {
				exempt := slices.ContainsFunc(r.except, func(at string) bool { return path == at || strings.HasPrefix(path, at+"/") })
				if strings.HasPrefix(path, r.from+"/") && strings.HasPrefix(name, r.forbidden) && !exempt {
					t.Errorf("%s imports %s: %s", path, name, r.why)
				}
			}
			if name == "log" {
				t.Errorf("%s imports log: errors are returned", path)
			}
		}
	})
}

// TestShape holds every package to a doc comment, every exported name to one,
// functions to a screen, and forbids init functions and panics.
func TestShape(t *testing.T) {
	documented := map[string]bool{}
	sources(t, func(path string, file *ast.File, fset *token.FileSet) {
		dir := filepath.Dir(path)
		test := strings.HasSuffix(path, "_test.go")
		documented[dir] = documented[dir] || file.Doc != nil && !test || test && documented[dir]
		if !test && !slices.Contains(keys(documented), dir) {
			documented[dir] = false
		}
		for _, d := range file.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if lines := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; lines > maxFunc {
				t.Errorf("%s: %s has %d lines, more than %d", path, fn.Name.Name, lines, maxFunc)
			}
			if test {
				continue
			}
			if fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: an init function", path)
			}
			if fn.Name.IsExported() && fn.Doc == nil && (fn.Recv == nil || exportedReceiver(fn)) {
				t.Errorf("%s: %s has no doc comment", path, fn.Name.Name)
			}
			ast.Inspect(fn, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if id, ok := call.Fun.(*ast.Ident); ok && id.Name == "panic" {
						t.Errorf("%s: %s panics", path, fn.Name.Name)
					}
				}
				return true
			})
		}
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}

func keys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	return out
}

func exportedReceiver(fn *ast.FuncDecl) bool {
	typ := fn.Recv.List[0].Type
	if star, ok := typ.(*ast.StarExpr); ok {
		typ = star.X
	}
	id, ok := typ.(*ast.Ident)
	return ok && id.IsExported()
}

// TestReadme: what the README shows must exist: targets, commands, files.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile("Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`make ([a-z-]+)`).FindAllStringSubmatch(string(readme), -1) {
		if !regexp.MustCompile(`(?m)^` + m[1] + `:`).Match(makefile) {
			t.Errorf("README names `make %s`, which the Makefile lacks", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(string(readme), -1) {
		if _, err := os.Stat(m[1]); err != nil {
			t.Errorf("README links to %s: %v", m[1], err)
		}
	}
}

// TestTopLevel: the folders are fixed.
func TestTopLevel(t *testing.T) {
	want := []string{".ci", ".gitignore", "LICENSE", "Makefile", "README.md", "analysis", "docs", "go.mod", "go.sum", "lab", "main.go", "main_test.go", "modes", "results", "workload"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if n := e.Name(); !slices.Contains(want, n) && n != ".git" && n != ".build" && n != "viplab" {
			t.Errorf("%s does not belong at the top", n)
		}
	}
}

// TestExtending: the examples of docs/extending.md stand, word for word, in tests that run
// them.
func TestExtending(t *testing.T) {
	doc, err := os.ReadFile("docs/extending.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	files, _ := filepath.Glob("lab/*/extending_test.go")
	for _, f := range append(files, "modes/modetest/modes_test.go", "modes/catalog/testdata/elsewhere/main.go") {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(doc), -1)
	if len(blocks) < 5 {
		t.Errorf("%d examples", len(blocks))
	}
	for _, b := range blocks {
		if code := strings.TrimSpace(b[1]); !strings.Contains(code, "mine.") && !strings.Contains(all.String(), code) {
			t.Errorf("no test has this example:\n%s", code)
		}
	}
}
