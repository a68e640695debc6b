// Package docs_test holds the documents to the code: Go code in them compiles,
// links in them lead somewhere, and exported names have comments.
package docs_test

import (
	"fmt"
	"go/ast"
	"go/doc"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

const module = "github.com/gnucoap/gnucoap"

// documents returns the paths of the documents, from the root of the module.
func documents(t *testing.T) []string {
	t.Helper()
	root := os.DirFS(testenv.Root())
	var list []string
	for _, pattern := range []string{"*.md", "*/*.md", "docs/*/*.md"} {
		found, err := fs.Glob(root, pattern)
		require.NoError(t, err)
		list = append(list, found...)
	}
	require.Contains(t, list, "README.md")
	require.Contains(t, list, "docs/architecture.md")
	return list
}

func read(t *testing.T, document string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), document))
	require.NoError(t, err)
	return string(text)
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// goBlocks returns the blocks of Go code in a document.
func goBlocks(text string) []string {
	var blocks []string
	for _, m := range goBlock.FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// packages that documents may use, by name.
var packages = []string{
	"context", "errors", "expvar", "fmt", "io", "log", "net", "net/http", "net/netip", "os",
	"sync/atomic", "time", "unsafe",
	module + "/coap", module + "/coap/coapdebug", module + "/coap/native", module + "/gnutls",
}

// program makes a file of a block of declarations or statements, and imports
// the packages that the block names.
func program(block string) string {
	var file strings.Builder
	file.WriteString("package main\n\n")
	for _, p := range packages {
		if regexp.MustCompile(`\b` + path.Base(p) + `\.[A-Z]`).MatchString(block) {
			fmt.Fprintf(&file, "import %q\n", p)
		}
	}
	_, err := parser.ParseFile(token.NewFileSet(), "", "package main\n"+block,
		parser.SkipObjectResolution)
	if err == nil {
		return file.String() + block + "\nfunc main() {}\n"
	}
	// A reader goes on from what the last line has declared.
	uses := regexp.MustCompile(`(?m)^(\w+), err := .*\n\z`).ReplaceAllString(block,
		"${0}_, _ = $1, err\n")
	return file.String() + "func main() {\n" + uses + "}\n"
}

// build compiles a program.
func build(t *testing.T, text string) error {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "main.go")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "program"), file)
	cmd.Dir = testenv.Root()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, out, text)
	}
	return nil
}

func TestGoCodeInDocumentsCompiles(t *testing.T) {
	blocks := 0
	for _, document := range documents(t) {
		for i, block := range goBlocks(read(t, document)) {
			t.Run(fmt.Sprintf("%s/%d", document, i+1), func(t *testing.T) {
				formatted, err := format.Source([]byte(block))
				require.NoError(t, err)
				assert.Equal(t, string(formatted), block, "gofmt")
				assert.NoError(t, build(t, program(block)))
			})
			blocks++
		}
	}
	assert.GreaterOrEqual(t, blocks, 4)
}

func TestGoCodeThatDoesNotCompileIsFound(t *testing.T) {
	blocks := goBlocks(
		"text\n```go\nconn, err := gnutls.Dail(\"tcp\", \"\", nil)\n```\n```sh\nls\n```\n```go\nfunc f() { gnutls.Listen() }\n```\n")
	require.Len(t, blocks, 2)
	assert.ErrorContains(t, build(t, program(blocks[0])), "undefined: gnutls.Dail")
	assert.ErrorContains(t, build(t, program(blocks[1])), "not enough arguments")
	assert.NoError(t, build(t, program("conn, err := gnutls.Dial(\"tcp\", \"\", nil)\n")))
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// brokenLinks returns the targets of a document's links, as paths from the
// root, that do not exist. Links to other sites are not followed.
func brokenLinks(document, text string) []string {
	var broken []string
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		target, _, _ := strings.Cut(m[1], "#")
		if target == "" || strings.Contains(target, "://") {
			continue
		}
		target = path.Join(path.Dir(document), target)
		if _, err := os.Stat(filepath.Join(testenv.Root(), target)); err != nil {
			broken = append(broken, target)
		}
	}
	return broken
}

func TestLinksInDocumentsLeadSomewhere(t *testing.T) {
	for _, document := range documents(t) {
		assert.Empty(t, brokenLinks(document, read(t, document)), document)
	}
	assert.Equal(t, []string{"docs/none.md"},
		brokenLinks("docs/a.md",
			"[a](none.md#x) [b](../README.md) [c](https://example.org/none) [d](#e)"))
}

// testNames finds the tests and examples that a text names.
var testNames = regexp.MustCompile(`\b(?:Test|Example)[A-Z]\w+`)

func TestTestsThatDocumentsNameExist(t *testing.T) {
	var sources strings.Builder
	require.NoError(t,
		filepath.WalkDir(testenv.Root(), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			if err == nil && strings.HasSuffix(path, "_test.go") {
				text, err := os.ReadFile(path)
				sources.Write(text)
				return err
			}
			return err
		}))
	for _, document := range documents(t) {
		for _, name := range testNames.FindAllString(read(t, document), -1) {
			assert.True(t, strings.Contains(sources.String(), "func "+name), "%s: there is no %s", document,
				name)
		}
	}
}

// undocumented returns the exported names of a package that have no comment.
// A comment on a group of constants or variables is one for each of them.
func undocumented(t *testing.T, importPath string, fset *token.FileSet,
	files []*ast.File) []string {
	t.Helper()
	pkg, err := doc.NewFromFiles(fset, files, importPath)
	require.NoError(t, err)
	var names []string
	check := func(comment, name string) {
		if strings.TrimSpace(comment) == "" {
			names = append(names, name)
		}
	}
	check(pkg.Doc, "package "+pkg.Name)
	values := func(list []*doc.Value) {
		for _, v := range list {
			for _, spec := range v.Decl.Specs {
				spec := spec.(*ast.ValueSpec)
				for _, name := range spec.Names {
					if name.IsExported() {
						check(v.Doc+spec.Doc.Text()+spec.Comment.Text(), name.Name)
					}
				}
			}
		}
	}
	funcs := func(prefix string, list []*doc.Func) {
		for _, f := range list {
			check(f.Doc, prefix+f.Name)
		}
	}
	values(pkg.Consts)
	values(pkg.Vars)
	funcs("", pkg.Funcs)
	for _, typ := range pkg.Types {
		check(typ.Doc, typ.Name)
		values(typ.Consts)
		values(typ.Vars)
		funcs("", typ.Funcs)
		funcs(typ.Name+".", typ.Methods)
	}
	return names
}

// publicPackages returns the directories of the packages that others import.
func publicPackages(t *testing.T) []string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-f",
		`{{if and .GoFiles (ne .Name "main")}}{{.ImportPath}}{{end}}`, "./...")
	cmd.Dir = testenv.Root()
	out, err := cmd.Output()
	require.NoError(t, err)
	var dirs []string
	for _, p := range strings.Fields(string(out)) {
		if dir := strings.TrimPrefix(p, module+"/"); !strings.Contains("/"+dir, "/internal/") {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

func TestExportedNamesHaveComments(t *testing.T) {
	dirs := publicPackages(t)
	require.Contains(t, dirs, "gnutls")
	for _, dir := range dirs {
		names, err := filepath.Glob(filepath.Join(testenv.Root(), dir, "*.go"))
		require.NoError(t, err)
		fset := token.NewFileSet()
		var files []*ast.File
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
			require.NoError(t, err)
			files = append(files, f)
		}
		assert.Empty(t, undocumented(t, module+"/"+dir, fset, files), dir)
	}
}

func TestNamesWithoutCommentsAreFound(t *testing.T) {
	const text = `package p

// A is documented.
type A int

type B int

// F is.
func (A) F() {}
func (A) G() {}
func (A) g() {}

func NewA() A { return 0 }

// These are.
const (
	C = 1
	D = 2
)

var (
	E = 1 // is
	H = 2
)
`
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, "p.go", text, parser.ParseComments)
	require.NoError(t, err)
	assert.ElementsMatch(t, []string{"package p", "B", "A.G", "NewA", "H"},
		undocumented(t, "example/p", fset, []*ast.File{f}))
}
