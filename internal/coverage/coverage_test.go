package coverage

import (
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

func load(t testing.TB) *Data {
	t.Helper()
	d, err := Load()
	require.NoError(t, err)
	return d
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testenv.Root(), file))
	require.NoError(t, err)
	return text
}

func TestEverySymbolIsClassified(t *testing.T) {
	d := load(t)
	for library, functions := range map[string]string{"libcoap": "coap_new_context",
		"GnuTLS": "gnutls_handshake"} {
		known := d.Symbols(library)
		require.True(t, slices.ContainsFunc(known, func(k *Known) bool { return k.Name == functions }))
		for _, k := range known {
			assert.NotNil(t, k.Class, "%s %s (%s, %s) is not classified", library, k.Name, k.What, k.Header)
		}
	}
}

func TestEveryClassIsOfASymbol(t *testing.T) {
	d := load(t)
	for _, table := range d.Tables {
		used := map[*Class]bool{}
		for _, k := range d.Symbols(table.Library) {
			used[k.Class] = true
		}
		for _, c := range table.Classes {
			assert.True(t, used[c], "%s.txt:%d: no header has %s, or other lines take all of it",
				strings.ToLower(table.Library), c.line, c.Name)
			if c.Callback != "" {
				assert.NotNil(t, table.Find(c.Callback), "%s.txt:%d: there is no type %s",
					strings.ToLower(table.Library), c.line, c.Callback)
			}
		}
	}
}

// core are the headers, of any version, whose functions a program cannot do
// without.
var core = []string{
	"coap_session.h", "net.h", "coap_net.h", "resource.h", "coap_resource.h", "subscribe.h",
	"coap_subscribe.h",
	"block.h", "coap_block.h", "pdu.h", "coap_pdu.h", "option.h", "coap_option.h",
}

func TestNoFunctionOfTheCoreIsOpen(t *testing.T) {
	checked := 0
	var notOffered []string
	for _, k := range load(t).Symbols("libcoap") {
		if k.What == "function" && slices.Contains(core, k.Header) {
			require.NotNil(t, k.Class)
			assert.False(t, k.Class.Open, k.Name)
			if k.Class.NotOffered {
				notOffered = append(notOffered, k.Name)
			}
			checked++
		}
	}
	assert.Greater(t, checked, 200)
	assert.Equal(t, []string{
		"coap_register_ping_handler", "coap_context_set_max_token_size",
		"coap_context_set_max_handshake_sessions", "coap_context_get_max_handshake_sessions",
		"coap_session_set_max_payloads", "coap_session_get_max_payloads",
		"coap_session_set_non_max_retransmit", "coap_session_get_non_max_retransmit",
		"coap_session_set_non_timeout", "coap_session_get_non_timeout",
		"coap_session_set_non_receive_timeout", "coap_session_get_non_receive_timeout",
		"coap_persist_track_funcs", "coap_persist_observe_add", "coap_persist_startup",
		"coap_persist_stop", "coap_persist_set_observe_num", "coap_delete_attr",
	}, notOffered)
}

// names returns what a package exports: "Dial", "Session.Do", "Config.MTU".
func names(t *testing.T, dir string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	fset := token.NewFileSet()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range f.Decls {
			addNames(found, decl)
		}
	}
	require.NotEmpty(t, found, dir)
	return found
}

func addNames(found map[string]bool, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		name := decl.Name.Name
		if decl.Recv != nil {
			typ := decl.Recv.List[0].Type
			if star, ok := typ.(*ast.StarExpr); ok {
				typ = star.X
			}
			if id, ok := typ.(*ast.Ident); ok {
				name = id.Name + "." + name
			}
		}
		found[name] = true
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.ValueSpec:
				for _, id := range spec.Names {
					found[id.Name] = true
				}
			case *ast.TypeSpec:
				found[spec.Name.Name] = true
				var members *ast.FieldList
				switch typ := spec.Type.(type) {
				case *ast.StructType:
					members = typ.Fields
				case *ast.InterfaceType:
					members = typ.Methods
				default:
					continue
				}
				for _, m := range members.List {
					for _, id := range m.Names {
						found[spec.Name.Name+"."+id.Name] = true
					}
				}
			}
		}
	}
}

// goNames checks names such as "coap.Dial" and "net/netip.Addr".
type goNames map[string]map[string]bool

// have reports whether a package exports a name.
func (g goNames) have(t *testing.T, name string) bool {
	t.Helper()
	dir, base := path.Split(name)
	pkg, symbol, ok := strings.Cut(base, ".")
	if !ok || !ast.IsExported(symbol[strings.LastIndexByte(symbol, '.')+1:]) {
		return false
	}
	importPath := importPath(dir + pkg)
	if g[importPath] == nil {
		source := filepath.Join(build.Default.GOROOT, "src", importPath)
		if root, _, _ := strings.Cut(importPath, "/"); root == "coap" || root == "gnutls" {
			source = filepath.Join(testenv.Root(), importPath)
		}
		g[importPath] = names(t, source)
	}
	return g[importPath][symbol]
}

func TestGoNamesExist(t *testing.T) {
	found := goNames{}
	for _, table := range load(t).Tables {
		for _, c := range table.Classes {
			for _, name := range c.Go {
				assert.True(t, found.have(t, name), "%s.txt:%d: there is no %s", strings.ToLower(table.Library),
					c.line, name)
			}
		}
	}
}

func TestGoNamesThatDoNotExistAreFound(t *testing.T) {
	found := goNames{}
	for _, name := range []string{"coap.Dial", "coap.Session.Do", "coap.Config.MTU",
		"coap.ResponseWriter.SetCode", "native.Borrow", "netip.Addr.Zone", "time.Now",
		"crypto/rand.Read"} {
		assert.True(t, found.have(t, name), name)
	}
	for _, name := range []string{"coap.Dail", "coap.Dial.Do", "coap.loop", "coap.Session.conn",
		"coap", "coap.Borrow", "native.Dial", "netip.Adr"} {
		assert.False(t, found.have(t, name), name)
	}
}

func TestBadClassificationIsRefused(t *testing.T) {
	const topic = "## T\n"
	for text, want := range map[string]string{
		"a | x.Y | simple |\n": "f.txt:1: no topic",
		topic + "a | x.Y\n":    "f.txt:2: 2 fields",
		topic +
			"a[b | x.Y | simple |\n": `f.txt:2: "a[b" is neither a name nor a pattern`,
		topic + "a | | simple | N.\n": "f.txt:2: a: no Go name",
		topic +
			"a | x.Y | easy |\n": `f.txt:2: a: "easy" is neither simple nor thought`,
		topic + "a | - | simple |\n":           "f.txt:2: a: no Go name and no note",
		topic + "a | open | simple |\n":        "f.txt:2: a: no Go name and no note",
		topic + "a | not offered | simple |\n": "f.txt:2: a: no Go name and no note",
		topic +
			"a | x.Y | simple | note\n": "f.txt:2: a: the note does not end with a full stop",
		topic + "a | x.Y | simple |\n\n# c\na | x.Y | simple |\n": "f.txt:5: a was there before",
	} {
		_, err := parse("f.txt", "libcoap", []byte(text))
		assert.ErrorContains(t, err, want, text)
	}
}

func TestWholeNamesGoBeforePatterns(t *testing.T) {
	table, err := parse("f.txt", "libcoap",
		[]byte(
			"## T\ncoap_z | not offered | simple | Zero.\ncoap_x_* | - | simple | One.\ncoap_* | open | thought | Two.\ncoap_x_y | x.Y, x.Z | simple | |cb_t\n"))
	require.NoError(t, err)
	assert.Equal(t, []string{"x.Y", "x.Z"}, table.Find("coap_x_y").Go)
	assert.Equal(t, "cb_t", table.Find("coap_x_y").Callback)
	assert.Equal(t, "One.", table.Find("coap_x_z").Note)
	assert.True(t, table.Find("coap_a").Open)
	assert.False(t, table.Find("coap_a").NotOffered)
	assert.True(t, table.Find("coap_z").NotOffered)
	assert.False(t, table.Find("coap_z").Open)
	assert.Nil(t, table.Find("xcoap_a"))
}

// Where the installed headers are of a version that there is a list of, they
// must say the same.
func TestListsAreThoseOfTheHeaders(t *testing.T) {
	installed, err := ReadHeaders(os.DirFS("/usr/include"))
	require.NoError(t, err)
	require.NotEmpty(t, installed)
	for _, l := range installed {
		assert.Greater(t, len(l.Symbols), 500, l.Library)
		text, err := fs.ReadFile(files, "symbols/"+l.Name())
		if err == nil {
			assert.Equal(t, string(l.Marshal()), string(text), "run make coverage")
		}
	}
}

func TestListsHaveTheSupportedVersions(t *testing.T) {
	d := load(t)
	assert.Equal(t, []string{"4.2.1", "4.3.1", "4.3.4", "4.3.5"}, d.Versions("libcoap"))
	assert.Equal(t, []string{"3.7.1", "3.7.9", "3.8.9"}, d.Versions("GnuTLS"))
}

func TestDocumentsAreUpToDate(t *testing.T) {
	d := load(t)
	prose, all := string(read(t, "docs/coverage.md")), ""
	for _, table := range d.Tables {
		text := string(d.Markdown(table))
		assert.True(t, text == string(read(t, table.Document())), "%s: run make coverage",
			table.Document())
		for _, k := range d.Symbols(table.Library) {
			assert.Contains(t, text, "`"+k.Name+"`")
		}
		assert.Contains(t, prose, list(d.Versions(table.Library)), table.Library)
		all += text
	}
	for _, want := range []string{
		"\n| `coap_mcast_set_hops` (4.3.1, 4.3.4, 4.3.5) | `coap.Config.MulticastHops` |",
		"| `coap.Session`, `native.WrapSession` |",
		"\n| `coap_session_max_pdu_size` | `coap.Session.MaxPDUSize` |  |\n",
		"\n| `coap_context_set_psk2` (4.3.1, 4.3.4, 4.3.5) | `coap.Node.SetPSK`, `coap.Config.ServerPSK` |",
		"\n| `gnutls_rehandshake` | not offered | Renegotiation",
	} {
		assert.Contains(t, all, want)
	}
}

// inDocument finds names of libcoap, and patterns, in a document's tables.
var inDocument = regexp.MustCompile(
	"`((?:coaps?_|COAPS?_|LIBCOAP_|LOG_|contiki_|lwip_)[A-Za-z0-9_*]+|PCHAR|ssize_t|in_port_t)`")

func TestMigrationNamesEverythingOfTheDefaultVersion(t *testing.T) {
	d := load(t)
	var mentions []string
	for _, m := range inDocument.FindAllSubmatch(read(t, "docs/migration.md"), -1) {
		mentions = append(mentions, string(m[1]))
	}
	named := func(symbol string) bool {
		return slices.ContainsFunc(mentions,
			func(m string) bool { ok, _ := path.Match(m, symbol); return ok })
	}
	checked := 0
	for _, l := range d.Lists {
		for _, s := range l.Symbols {
			if l.Name() == "libcoap-4.3.1.txt" &&
				(s.What == "function" || s.What == "macro" || s.What == "type") {
				assert.True(t, named(s.Name), "docs/migration.md lacks the %s %s", s.What, s.Name)
				checked++
			}
		}
	}
	assert.Greater(t, checked, 500)
	for _, m := range mentions {
		assert.True(t, slices.ContainsFunc(d.Symbols("libcoap"), func(k *Known) bool {
			ok, _ := path.Match(m, k.Name)
			return ok
		}), "docs/migration.md: no header has %s", m)
	}
}
