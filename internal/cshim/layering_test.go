package cshim_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/gnucoap/gnucoap/coap" // for TestNothingIsReplacedForTheWholeProcess
	"github.com/gnucoap/gnucoap/internal/testenv"
)

const module = "github.com/gnucoap/gnucoap"

// A source is a Go or C file of the module, with its path from the root.
type source struct {
	path string
	text string
}

func (s source) isC() bool { return path.Ext(s.path) == ".c" || path.Ext(s.path) == ".h" }

func (s source) below(dir string) bool { return strings.HasPrefix(s.path, dir+"/") }

// parse returns the syntax tree of a Go file.
func (s source) parse() (*ast.File, error) {
	return parser.ParseFile(token.NewFileSet(), s.path, s.text,
		parser.ParseComments|parser.SkipObjectResolution)
}

// imports returns the import declarations of a path in a Go file.
func imports(f *ast.File, path string) []*ast.GenDecl {
	var found []*ast.GenDecl
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.IMPORT {
			continue
		}
		for _, spec := range gen.Specs {
			if spec.(*ast.ImportSpec).Path.Value == `"`+path+`"` {
				found = append(found, gen)
			}
		}
	}
	return found
}

var cComment = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)

// cCode returns the C code of s without comments: all of a C file, and the
// preamble of a Go file that imports "C".
func (s source) cCode() (string, error) {
	if s.isC() {
		return clean(s.text), nil
	}
	f, err := s.parse()
	if err != nil {
		return "", err
	}
	var code strings.Builder
	for _, gen := range imports(f, "C") {
		docs := []*ast.CommentGroup{gen.Doc}
		for _, spec := range gen.Specs {
			docs = append(docs, spec.(*ast.ImportSpec).Doc)
		}
		for _, doc := range docs {
			if doc == nil {
				continue
			}
			for _, c := range doc.List {
				text := strings.TrimPrefix(c.Text, "//")
				if inner, ok := strings.CutPrefix(text, "/*"); ok {
					text = strings.TrimSuffix(inner, "*/")
				}
				code.WriteString(text + "\n")
			}
		}
	}
	return clean(code.String()), nil
}

// clean drops comments and joins continued lines.
func clean(code string) string {
	return cComment.ReplaceAllString(strings.ReplaceAll(code, "\\\n", " "), " ")
}

// A rule is one property of the layers that every source file has. check
// returns what breaks it.
type rule struct {
	name  string
	check func(source) ([]string, error)
	good  []source // samples that keep it
	bad   []source // samples that each break it once
}

var (
	gnutlsInclude = regexp.MustCompile(`(?m)^\s*#\s*include\s*[<"]gnutls/`)
	cgoPkgConfig  = regexp.MustCompile(`(?m)^\s*#cgo\b.*?pkg-config:(.*)$`)
	coapInclude   = regexp.MustCompile(`(?m)^\s*#\s*include\s*[<"]coap[23]?/`)
	versionIf     = regexp.MustCompile(`(?m)^\s*#\s*(?:el)?if.*\bGNUTLS_VERSION\w*`)
	coapVersionIf = regexp.MustCompile(
		`(?m)^\s*#\s*(?:el)?if.*\b(?:LIBCOAP_VERSION|CSHIM_LIBCOAP2)\w*`)
	cFunction      = regexp.MustCompile(`(?m)^[a-zA-Z_][\w \t*]*?\b(\w+)[ \t]*\([^;{]*\)\s*[;{]`)
	linkerName     = regexp.MustCompile(`\b(?:__)?asm(?:__)?\s*\(|\balias\s*\(`)
	exportedGnutls = regexp.MustCompile(`^goGnutls[A-Z]\w*$`)
	exportedCoap   = regexp.MustCompile(`^goCoap[A-Z]\w*$`)
)

// Programs in C of which Go takes the context, one for the tests, and an example, which use
// libcoap as any program does; and those that load a library in Go.
var cPrograms = []string{"internal/cshim/cprogram", "examples/adopt", "coap/testdata/library",
	"coap/testdata/program"}

func (s source) isCProgram() bool { return slices.Contains(cPrograms, path.Dir(s.path)) }

// programHeader is what C programs include of this module.
const programHeader = "coap/native/gnucoap.h"

// isProgramName reports whether a C function is one that C programs call.
func isProgramName(file, name string) bool {
	return strings.HasPrefix(name, "gnucoap_") &&
		(file == programHeader || file == "internal/cshim/ccoap/program.c")
}

// pure are the packages below coap that are Go alone.
var pure = []string{"coap/internal/wire", "coap/internal/block"}

var rules = []rule{
	{
		name: "only shims import C",
		check: func(s source) ([]string, error) {
			if s.isC() || s.below("internal/cshim") || s.isCProgram() {
				return nil, nil
			}
			return forbidImport(s, "C")
		},
		good: []source{
			{"internal/cshim/cgnutls/a.go", "package cgnutls\nimport \"C\"\n"},
			{"gnutls/a.go", "package gnutls\n// import \"C\"\nconst s = `import \"C\"`\n"},
			{"examples/adopt/a.go", "package main\nimport \"C\"\n"},
		},
		bad: []source{
			{"gnutls/a.go", "package gnutls\nimport \"C\"\n"},
			{"gnutls/a_test.go", "package gnutls\nimport (\n\t\"fmt\"\n\t\"C\"\n)\n"},
			{"internal/cshimmer/a.go", "package cshimmer\nimport \"C\"\n"},
			{"examples/other/a.go", "package main\nimport \"C\"\n"},
		},
	},
	{
		name: "C files lie below the shims",
		check: func(s source) ([]string, error) {
			if s.isC() && !s.below("internal/cshim") && !s.isCProgram() && s.path != programHeader {
				return []string{"C file outside the shims"}, nil
			}
			return nil, nil
		},
		good: []source{{"internal/cshim/cgnutls/a.c", ""}, {"gnutls/a.go", "package gnutls\n"},
			{"coap/native/gnucoap.h", ""}, {"examples/adopt/a.c", ""}},
		bad: []source{{"gnutls/a.c", ""}, {"cmd/x/a.h", ""}, {"coap/a.h", ""},
			{"examples/other/a.c", ""}},
	},
	{
		name: "wire and block know no package of this module but each other",
		check: func(s source) ([]string, error) {
			if !slices.Contains(pure, path.Dir(s.path)) {
				return nil, nil
			}
			f, err := s.parse()
			if err != nil {
				return nil, err
			}
			var found []string
			for _, spec := range f.Imports {
				imported := strings.Trim(spec.Path.Value, `"`)
				dir, ours := strings.CutPrefix(imported, module+"/")
				if imported == "C" || ours && !slices.Contains(pure, dir) {
					found = append(found, "imports "+imported)
				}
			}
			return found, nil
		},
		good: []source{
			{"coap/internal/block/a.go",
				"package block\nimport (\n\t\"io\"\n\t\"github.com/gnucoap/gnucoap/coap/internal/wire\"\n)\n"},
			{"coap/a.go", "package coap\nimport \"github.com/gnucoap/gnucoap/internal/cshim/ccoap\"\n"},
		},
		bad: []source{
			{"coap/internal/wire/a.go", "package wire\nimport \"C\"\n"},
			{"coap/internal/wire/b.go",
				"package wire\nimport \"github.com/gnucoap/gnucoap/internal/cshim/ccoap\"\n"},
			{"coap/internal/block/a_test.go", "package block\nimport \"github.com/gnucoap/gnucoap/coap\"\n"},
		},
	},
	{
		name: "only handle imports go-pointer",
		check: func(s source) ([]string, error) {
			if s.isC() || path.Dir(s.path) == "internal/cshim/handle" {
				return nil, nil
			}
			return forbidImport(s, "github.com/mattn/go-pointer")
		},
		good: []source{{"internal/cshim/handle/a.go",
			"package handle\nimport \"github.com/mattn/go-pointer\"\n"}},
		bad: []source{
			{"internal/cshim/cgnutls/a.go", "package cgnutls\nimport \"github.com/mattn/go-pointer\"\n"},
			{"gnutls/a_test.go", "package gnutls\nimport p \"github.com/mattn/go-pointer\"\n"},
		},
	},
	{
		name: "only cgnutls includes and links GnuTLS",
		check: func(s source) ([]string, error) {
			if path.Dir(s.path) == "internal/cshim/cgnutls" {
				return nil, nil
			}
			code, err := s.cCode()
			found := gnutlsInclude.FindAllString(code, -1)
			for _, m := range cgoPkgConfig.FindAllStringSubmatch(code, -1) {
				if slices.Contains(strings.Fields(m[1]), "gnutls") {
					found = append(found, m[0])
				}
			}
			return found, err
		},
		good: []source{
			{"internal/cshim/cgnutls/a.h", "#include <gnutls/gnutls.h>\n"},
			{"internal/cshim/ccoap/a.go",
				"package ccoap\n/*\n#cgo pkg-config: libcoap-3-gnutls\n*/\nimport \"C\"\n"},
			{"internal/cshim/ccoap/b.c", "/* not\n#include <gnutls/gnutls.h>\n*/\n"},
			{"internal/cshim/b_test.go", "package cshim\nconst s = `\n#include <gnutls/gnutls.h>\n`\n"},
		},
		bad: []source{
			{"internal/cshim/ccoap/a.h", "#include <gnutls/x509.h>\n"},
			{"internal/cshim/ccoap/a.go",
				"package ccoap\n/*\n# include <gnutls/gnutls.h>\n*/\nimport \"C\"\n"},
			{"internal/cshim/ccoap/b.go",
				"package ccoap\n// #cgo !libcoap2 pkg-config: libcoap-3-gnutls gnutls\nimport \"C\"\n"},
		},
	},
	{
		name: "only ccoap includes and links libcoap",
		check: func(s source) ([]string, error) {
			if path.Dir(s.path) == "internal/cshim/ccoap" || s.isCProgram() || s.path == programHeader {
				return nil, nil
			}
			code, err := s.cCode()
			found := coapInclude.FindAllString(code, -1)
			for _, m := range cgoPkgConfig.FindAllStringSubmatch(code, -1) {
				for _, library := range strings.Fields(m[1]) {
					if strings.HasPrefix(library, "libcoap-") {
						found = append(found, m[0])
					}
				}
			}
			return found, err
		},
		good: []source{
			{"internal/cshim/ccoap/compat.h", "#include <coap3/coap.h>\n"},
			{"coap/native/gnucoap.h", "#include <coap3/coap.h>\n"},
			{"examples/adopt/a.go", "package main\n// #cgo pkg-config: libcoap-3-gnutls\nimport \"C\"\n"},
			{"internal/cshim/ccoap/a.go",
				"package ccoap\n/*\n#cgo pkg-config: libcoap-3-gnutls\n*/\nimport \"C\"\n"},
			{"internal/cshim/cgnutls/a.h", "#include <gnutls/gnutls.h>\n/*\n#include <coap3/coap.h>\n*/\n"},
		},
		bad: []source{
			{"internal/cshim/cgnutls/a.h", "#include <coap3/coap.h>\n"},
			{"internal/cshim/cgnutls/b.h", "# include <coap2/coap.h>\n"},
			{"internal/cshim/cgnutls/a.go",
				"package cgnutls\n// #cgo libcoap2 pkg-config: gnutls libcoap-2-gnutls\nimport \"C\"\n"},
		},
	},
	{
		name: "C functions have the prefix cshim_",
		check: func(s source) ([]string, error) {
			if s.isCProgram() {
				return nil, nil
			}
			code, err := s.cCode()
			var found []string
			for _, m := range cFunction.FindAllStringSubmatch(code, -1) {
				declaration, name := m[0], m[1]
				switch {
				case strings.HasPrefix(declaration, "typedef "), strings.HasPrefix(name, "cshim_"):
				case strings.HasPrefix(declaration, "static ") && path.Ext(s.path) == ".c":
				case strings.HasPrefix(declaration, "extern ") && isExportName(s.path, name):
				case isProgramName(s.path, name):
				default:
					found = append(found, name)
				}
			}
			return found, err
		},
		good: []source{
			{"internal/cshim/cgnutls/a.c",
				"int cshim_a(void)\n{\n\treturn b();\n}\nstatic int b(int x,\n\t     int y)\n{\n}\nextern int goGnutlsX(void *);\n"},
			{"internal/cshim/ccoap/program.c", "int gnucoap_lock(coap_context_t *context)\n{\n}\n"},
			{"coap/native/gnucoap.h", "int gnucoap_lock(coap_context_t *context);\n"},
			{"examples/adopt/a.c", "int serve(void)\n{\n}\n"},
			{"internal/cshim/cgnutls/a.h",
				"typedef int (*hook)(int);\nstatic inline void *cshim_a(void)\n{\n}\nint cshim_b(int x,\n\tint y);\n"},
		},
		bad: []source{
			{"internal/cshim/cgnutls/a.c", "int a(void)\n{\n}\n"},
			{"internal/cshim/cgnutls/b.c",
				"const char *session_name(gnutls_session_t s,\n\t\t\t int n)\n{\n}\n"},
			{"internal/cshim/cgnutls/a.h", "static inline int a(void)\n{\n\treturn 0;\n}\n"},
			{"internal/cshim/cgnutls/b.h", "void release(void *);\n"},
			{"internal/cshim/cgnutls/c.c", "extern int onTicket(void *);\n"},
			{"internal/cshim/ccoap/a.c", "int gnucoap_lock(coap_context_t *context)\n{\n}\n"},
			{"internal/cshim/cgnutls/a.go",
				"package cgnutls\n/*\nstatic int a(void) { return 0; }\n*/\nimport \"C\"\n"},
		},
	},
	{
		name: "no C function has another name for the linker",
		check: func(s source) ([]string, error) {
			code, err := s.cCode()
			return linkerName.FindAllString(code, -1), err
		},
		good: []source{{"internal/cshim/ccoap/a.c",
			"/* __asm__(\"recv\") */\nssize_t cshim_a(int fd);\n"}},
		bad: []source{
			{"internal/cshim/ccoap/a.c", "ssize_t cshim_a(int fd)\n\t__asm__(\"recv\");\n"},
			{"internal/cshim/ccoap/b.c", "ssize_t cshim_a(int fd) asm (\"recv\");\n"},
			{"internal/cshim/cgnutls/a.c", "int cshim_a(void) __attribute__((alias(\"b\")));\n"},
		},
	},
	{
		name: "exported callbacks are named goGnutls and goCoap",
		check: func(s source) ([]string, error) {
			if s.isC() {
				return nil, nil
			}
			f, err := s.parse()
			if err != nil {
				return nil, err
			}
			var found []string
			for _, group := range f.Comments {
				for _, c := range group.List {
					if s.isCProgram() {
						continue
					}
					name, ok := strings.CutPrefix(c.Text, "//export ")
					if ok && !isExportName(s.path, strings.TrimSpace(name)) {
						found = append(found, name)
					}
				}
			}
			return found, nil
		},
		good: []source{
			{"internal/cshim/cgnutls/a.go",
				"package cgnutls\n//export goGnutlsPSK\nfunc goGnutlsPSK() {}\n"},
			{"internal/cshim/ccoap/a.go", "package ccoap\n//export goCoapEvent\nfunc goCoapEvent() {}\n"},
		},
		bad: []source{
			{"internal/cshim/cgnutls/a.go", "package cgnutls\n//export onTicket\nfunc onTicket() {}\n"},
			{"internal/cshim/cgnutls/b.go",
				"package cgnutls\n//export goCoapEvent\nfunc goCoapEvent() {}\n"},
			{"gnutls/a.go", "package gnutls\n//export goGnutlsPSK\nfunc goGnutlsPSK() {}\n"},
		},
	},
	{
		name: "package coap gets typed values from the shims",
		check: func(s source) ([]string, error) {
			if path.Dir(s.path) != "coap" || strings.HasSuffix(s.path, "_test.go") {
				return nil, nil
			}
			return unsafePointer.FindAllString(s.text, -1), nil
		},
		good: []source{
			{"coap/a.go", "package coap\nconst n = unsafe.Sizeof(conn{})\n"},
			{"coap/a_test.go", "package coap\nfunc f(p unsafe.Pointer) {}\n"},
			{"coap/native/a.go", "package native\nfunc f(p unsafe.Pointer) {}\n"},
		},
		bad: []source{{"coap/a.go", "package coap\nfunc f(p unsafe.Pointer) {}\n"}},
	},
	{
		name: "only the loop names its mutex",
		check: func(s source) ([]string, error) {
			if path.Dir(s.path) != "coap" || s.isC() || slices.Contains(lockFiles, s.path) {
				return nil, nil
			}
			return loopMutex.FindAllString(s.text, -1), nil
		},
		good: []source{
			{"coap/loop.go", "package coap\nfunc (l *loop) look() { l.mutex.Lock() }\n"},
			{"coap/a.go", "package coap\nfunc (m *Mux) f() { m.mu.Lock() }\n"},
			{"gnutls/a.go", "package gnutls\nfunc (c *Conn) f() { c.mutex.Lock() }\n"},
		},
		bad: []source{
			{"coap/a.go", "package coap\nfunc (s *Session) f() { s.c.l.mutex.Lock() }\n"},
			{"coap/a_test.go", "package coap\nfunc f(l *loop) { l.mutex.Unlock() }\n"},
		},
	},
	{
		name: "what needs the loop locked does not lock it",
		check: func(s source) ([]string, error) {
			if path.Dir(s.path) != "coap" || s.isC() || slices.Contains(lockFiles, s.path) {
				return nil, nil
			}
			return locksInside(s)
		},
		good: []source{
			{"coap/loop.go", "package coap\nfunc (l *loop) f() { l.enter() }\n"},
			{"coap/a.go",
				"package coap\nfunc (s *Session) f() { s.c.l.look(); s.c.l.endLook() }\nfunc (c *conn) enter() { c.arm() }\n"},
			{"coap/b.go",
				"package coap\nfunc (p program) f() { p.l.enter() }\nfunc f(l *loop) { l.enter() }\n"},
			{"gnutls/a.go", "package gnutls\nfunc (c *Conn) f() { c.enter() }\n"},
		},
		bad: []source{
			{"coap/a.go", "package coap\nfunc (c *conn) f() error { return c.l.enter() }\n"},
			{"coap/b.go", "package coap\nfunc (l *loop) f() { l.look() }\n"},
			{"coap/c.go",
				"package coap\nfunc (q queue[E]) f(l *loop) { l.later(func() { l.enterAnyway() }) }\n"},
		},
	},
	{
		name: "only library.h asks for the version of GnuTLS",
		check: func(s source) ([]string, error) {
			if s.path == "internal/cshim/cgnutls/library.h" {
				return nil, nil
			}
			code, err := s.cCode()
			return versionIf.FindAllString(code, -1), err
		},
		good: []source{
			{"internal/cshim/cgnutls/library.h", "#if GNUTLS_VERSION_NUMBER < 0x030701\n#endif\n"},
			{"internal/cshim/cgnutls/a.c", "#ifdef CSHIM_HAVE_X\n#endif\n/* #if GNUTLS_VERSION_NUMBER */\n"},
		},
		bad: []source{
			{"internal/cshim/cgnutls/a.c", "#if GNUTLS_VERSION_NUMBER >= 0x030806\n#endif\n"},
			{"internal/cshim/cgnutls/b.h", "#if defined(X) && \\\n    GNUTLS_VERSION_MAJOR == 3\n#endif\n"},
			{"internal/cshim/cgnutls/c.c", "#if 0\n# elif GNUTLS_VERSION_MINOR > 6\n#endif\n"},
			{"internal/cshim/cgnutls/a.go",
				"package cgnutls\n// #if GNUTLS_VERSION_NUMBER > 1\n// #endif\nimport \"C\"\n"},
		},
	},
	{
		name: "only compat.h asks for the version of libcoap",
		check: func(s source) ([]string, error) {
			if s.path == "internal/cshim/ccoap/compat.h" {
				return nil, nil
			}
			code, err := s.cCode()
			return coapVersionIf.FindAllString(code, -1), err
		},
		good: []source{
			{"internal/cshim/ccoap/compat.h", "#if LIBCOAP_VERSION < 4003001U\n#endif\n"},
			{"internal/cshim/ccoap/a.c", "#ifdef CSHIM_HAVE_X\n#endif\n/* #if LIBCOAP_VERSION */\n"},
		},
		bad: []source{
			{"internal/cshim/ccoap/a.c", "#if LIBCOAP_VERSION >= 4003004U\n#endif\n"},
			{"internal/cshim/ccoap/a.c", "#ifndef CSHIM_LIBCOAP2\n#endif\n"},
			{"internal/cshim/ccoap/b.h", "#if defined(X) && \\\n    LIBCOAP_VERSION > 4\n#endif\n"},
			{"internal/cshim/ccoap/a.go",
				"package ccoap\n// #ifdef LIBCOAP_VERSION\n// #endif\nimport \"C\"\n"},
		},
	},
}

// lockFiles may name the mutex of a loop (coap/loop.go tells the contract).
var lockFiles = []string{"coap/loop.go", "coap/loop_mutex.go", "coap/loop_program.go"}

var unsafePointer = regexp.MustCompile(`\bunsafe\.Pointer\b`)

var loopMutex = regexp.MustCompile(`\.mutex\b`)

// lockers are the types of package coap whose methods lock the loop by themselves: those of all
// others are called with the loop locked.
var lockers = []string{
	"Node", "Session", "Server", "Resource", "driver", "program", "batch", "job", "notification",
	"observation", "transfer",
}

// locksInside returns the calls that lock the loop in methods that are called with it locked.
func locksInside(s source) ([]string, error) {
	f, err := s.parse()
	if err != nil {
		return nil, err
	}
	var found []string
	for _, d := range f.Decls {
		method, ok := d.(*ast.FuncDecl)
		if !ok || method.Recv == nil || slices.Contains(lockers, receiverType(method)) {
			continue
		}
		ast.Inspect(method, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if sel, ok := call.Fun.(*ast.SelectorExpr); ok &&
				slices.Contains([]string{"enter", "enterAnyway", "look"}, sel.Sel.Name) {
				found = append(found, receiverType(method)+"."+method.Name.Name+" calls "+sel.Sel.Name)
			}
			return true
		})
	}
	return found, nil
}

// receiverType returns the name of the type that a method belongs to.
func receiverType(method *ast.FuncDecl) string {
	t := method.Recv.List[0].Type
	if p, ok := t.(*ast.StarExpr); ok {
		t = p.X
	}
	if g, ok := t.(*ast.IndexExpr); ok {
		t = g.X
	}
	return t.(*ast.Ident).Name
}

func forbidImport(s source, path string) ([]string, error) {
	f, err := s.parse()
	if err != nil {
		return nil, err
	}
	if len(imports(f, path)) == 0 {
		return nil, nil
	}
	return []string{"imports " + path}, nil
}

// isExportName reports whether a Go function that C calls, declared in a file,
// is named after the library of its package.
func isExportName(file, name string) bool {
	switch path.Dir(file) {
	case "internal/cshim/cgnutls":
		return exportedGnutls.MatchString(name)
	case "internal/cshim/ccoap":
		return exportedCoap.MatchString(name)
	}
	return false
}

// sources returns the Go and C files of the module. Directories with a go.mod
// of their own are other modules.
func sources(t *testing.T) []source {
	t.Helper()
	var files []source
	root := testenv.Root()
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			hidden := strings.HasPrefix(d.Name(), ".") || d.Name() == "vendor"
			if name != root && (err == nil || hidden) {
				return fs.SkipDir
			}
			return nil
		}
		switch filepath.Ext(name) {
		case ".go", ".c", ".h":
		default:
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		files = append(files, source{filepath.ToSlash(rel), string(text)})
		return err
	})
	require.NoError(t, err)
	return files
}

func TestLayersOfTheSources(t *testing.T) {
	files := sources(t)
	for _, known := range []string{"gnutls/conn.go", "gnutls/main_test.go",
		"internal/cshim/cgnutls/session.c", "internal/cshim/cgnutls/library.h"} {
		require.True(t, slices.ContainsFunc(files, func(s source) bool { return s.path == known }), known)
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, s := range files {
				found, err := r.check(s)
				assert.NoError(t, err)
				assert.Empty(t, found, s.path)
			}
		})
	}
}

func TestRulesFindWhatBreaksThem(t *testing.T) {
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			require.NotEmpty(t, r.good)
			require.NotEmpty(t, r.bad)
			for _, s := range r.good {
				found, err := r.check(s)
				assert.NoError(t, err)
				assert.Empty(t, found, s.text)
			}
			for _, s := range r.bad {
				found, err := r.check(s)
				assert.NoError(t, err)
				assert.Len(t, found, 1, s.text)
			}
		})
	}
}

// goTool runs the go command in the root of the module.
func goTool(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = testenv.Root()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	return string(out)
}

// coapPackages returns those of the packages that have to do with CoAP.
func coapPackages(packages []string) []string {
	var found []string
	for _, p := range packages {
		for _, coap := range []string{module + "/coap", module + "/internal/cshim/ccoap"} {
			if p == coap || strings.HasPrefix(p, coap+"/") {
				found = append(found, p)
			}
		}
	}
	return found
}

func TestGnutlsDoesNotImportCoap(t *testing.T) {
	deps := strings.Fields(goTool(t, "list", "-deps", "./gnutls"))
	assert.Contains(t, deps, module+"/internal/cshim/cgnutls")
	assert.Empty(t, coapPackages(deps))

	assert.Equal(t, []string{module + "/coap", module + "/internal/cshim/ccoap"},
		coapPackages([]string{"fmt", module + "/coap", module + "/gnutls",
			module + "/internal/cshim/ccoap", module + "/coapt"}))
}

// linked reports which of the libraries are GnuTLS and libcoap.
func linked(libraries []string) (gnutls, coap bool) {
	for _, l := range libraries {
		gnutls = gnutls || strings.HasPrefix(l, "libgnutls.so")
		coap = coap || strings.HasPrefix(l, "libcoap")
	}
	return gnutls, coap
}

func TestProgramWithGnutlsAloneDoesNotLinkLibcoap(t *testing.T) {
	dir := t.TempDir()
	program, exe := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	text := fmt.Sprintf(
		"package main\n\nimport %q\n\nfunc main() { println(gnutls.LibraryVersion()) }\n", module+
			"/gnutls")
	require.NoError(t, os.WriteFile(program, []byte(text), 0o600))
	goTool(t, "build", "-o", exe, program)
	f, err := elf.Open(exe)
	require.NoError(t, err)
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	require.NoError(t, err)
	gnutls, coap := linked(libraries)
	assert.True(t, gnutls, "%v", libraries)
	assert.False(t, coap, "%v", libraries)

	gnutls, coap = linked([]string{"libcoap-3-gnutls.so.3", "libc.so.6"})
	assert.False(t, gnutls)
	assert.True(t, coap)
}

// functions returns the names of the functions that a program or a library gives to others.
func functions(t *testing.T, name string) []string {
	t.Helper()
	f, err := elf.Open(name)
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	require.NoError(t, err)
	var names []string
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && elf.ST_TYPE(s.Info) == elf.STT_FUNC {
			names = append(names, s.Name)
		}
	}
	return names
}

// Functions of libcoap's and GnuTLS's are replaced for libcoap alone (ccoap/interpose.h): nothing
// else in a process may find ours.
func TestNothingIsReplacedForTheWholeProcess(t *testing.T) {
	exe, err := os.Executable() // a program that imports coap
	require.NoError(t, err)
	libraries, err := exec.CommandContext(t.Context(), "ldd", exe).Output()
	require.NoError(t, err)
	foreign := map[string]string{}
	for _, m := range regexp.MustCompile(
		`=> (\S+/lib(?:c|gnutls|coap\S*)\.so\S*) `).FindAllStringSubmatch(string(libraries), -1) {
		for _, name := range functions(t, m[1]) {
			foreign[name] = m[1]
		}
	}
	for _, known := range []string{"recv", "gnutls_init", "coap_new_context"} {
		assert.Contains(t, foreign, known)
	}
	for _, name := range functions(t, exe) {
		assert.NotContains(t, foreign, name)
	}
}
