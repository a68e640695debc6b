package cshim_test

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/csource"
)

// A cFile is what one C file defines, and what it uses.
type cFile struct {
	includes  []string            // headers in quotation marks
	functions []string            // those that other files can call
	macros    map[string][]string // and inline functions: the names in the body of each
	uses      []string            // the names in other functions, and in initialisers
}

// readC reads a C file. It sees every branch of conditional code.
func readC(text string) (cFile, error) {
	file := cFile{macros: map[string][]string{}}
	tokens, err := csource.Tokens([]byte(text))
	var code []csource.Token
	for i := 0; i < len(tokens); i++ {
		if tokens[i].Kind != csource.Directive {
			code = append(code, tokens[i])
			continue
		}
		start := i
		for i < len(tokens) && tokens[i].Kind != csource.EndLine {
			i++
		}
		file.directive(tokens[start:i])
	}
	file.declarations(code)
	return file, err
}

func (f *cFile) directive(line []csource.Token) {
	switch {
	case len(line) < 2:
	case line[0].Text == "include" && strings.HasPrefix(line[1].Text, `"`):
		f.includes = append(f.includes, strings.Trim(line[1].Text, `"`))
	case line[0].Text == "define":
		f.macros[line[1].Text] = append(f.macros[line[1].Text], identifiers(line[2:])...)
	}
}

// declarations looks at what stands outside all braces. The bodies of structures and
// enumerations use no function.
func (f *cFile) declarations(code []csource.Token) {
	start := 0
	for i := 0; i < len(code); i++ {
		switch {
		case code[i].Is(";"):
			start = i + 1
		case code[i].Is("("):
			i = csource.Closing(code, i)
		case code[i].Is("{"):
			head, end := code[start:i], csource.Closing(code, i)
			switch body := identifiers(code[i:end]); {
			case code[max(i-1, 0)].Is(")"):
				f.function(head, body)
				start = end + 1
			case code[max(i-1, 0)].Is("="):
				f.uses = append(f.uses, body...)
			}
			i = end
		}
	}
}

// function notes a function with its body.
func (f *cFile) function(head []csource.Token, body []string) {
	name := ""
	if i := slices.IndexFunc(head, func(t csource.Token) bool { return t.Is("(") }); i > 0 {
		name = head[i-1].Text
	}
	switch words := identifiers(head); {
	case slices.Contains(words, "inline"):
		f.macros[name] = append(f.macros[name], body...)
		return
	case !slices.Contains(words, "static"):
		f.functions = append(f.functions, name)
	}
	f.uses = append(f.uses, body...)
}

func identifiers(tokens []csource.Token) []string {
	var names []string
	for _, t := range tokens {
		if t.Kind == csource.Ident {
			names = append(names, t.Text)
		}
	}
	return names
}

// A graph tells which other files each C file of a directory needs, and for what.
type graph map[string]map[string]string

// readGraph returns the graph of the C files of one directory. A file needs the headers that it
// includes, and the files whose functions it uses. What a macro or an inline function uses counts
// for the files that use that. What is not in the directory is left out.
func readGraph(sources []source) (graph, error) {
	files, macros, definers := map[string]cFile{}, map[string][]string{}, map[string][]string{}
	for _, s := range sources {
		file, err := readC(s.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.path, err)
		}
		name := path.Base(s.path)
		files[name] = file
		for macro, body := range file.macros {
			macros[macro] = append(macros[macro], body...)
		}
		for _, function := range file.functions {
			definers[function] = append(definers[function], name)
		}
	}
	g := graph{}
	for name, file := range files {
		g[name] = map[string]string{}
		for _, header := range file.includes {
			if _, ok := files[header]; ok {
				g[name][header] = "includes it"
			}
		}
		for use := range expand(file.uses, macros) {
			_, isMacro := macros[use]
			if isMacro || slices.Contains(definers[use], name) {
				continue
			}
			for _, other := range definers[use] {
				g[name][other] = "uses " + use
			}
		}
	}
	return g, nil
}

// expand returns the names, and those in the macros among them.
func expand(names []string, macros map[string][]string) map[string]bool {
	all := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if !all[name] {
			all[name] = true
			names = append(names, macros[name]...)
		}
	}
	return all
}

// circle returns the files of a circle, the first one at the end again, with what each needs
// the next one for; or nil.
func (g graph) circle() []string {
	for _, first := range slices.Sorted(maps.Keys(g)) {
		before := map[string]string{}
		for queue := []string{first}; len(queue) > 0; queue = queue[1:] {
			for _, next := range slices.Sorted(maps.Keys(g[queue[0]])) {
				if _, ok := before[next]; ok {
					continue
				}
				before[next] = queue[0]
				queue = append(queue, next)
			}
		}
		if _, ok := before[first]; ok {
			return g.describe(first, before)
		}
	}
	return nil
}

func (g graph) describe(first string, before map[string]string) []string {
	var steps []string
	for at := first; len(steps) == 0 || at != first; at = before[at] {
		steps = append(steps, fmt.Sprintf("%s: %s (%s)", before[at], at, g[before[at]][at]))
	}
	slices.Reverse(steps)
	return steps
}

// A shim's C files are layers: what a file needs does not need that file.
func TestNoCirclesAmongCFiles(t *testing.T) {
	for _, dir := range []string{"internal/cshim/ccoap", "internal/cshim/cgnutls"} {
		var files []source
		for _, s := range sources(t) {
			if s.isC() && path.Dir(s.path) == dir {
				files = append(files, s)
			}
		}
		require.NotEmpty(t, files)
		g, err := readGraph(files)
		require.NoError(t, err)
		assert.Empty(t, g.circle(), dir)
	}
}

func TestCirclesAreFound(t *testing.T) {
	for name, c := range map[string]struct {
		files []source
		want  []string
	}{
		"none": {
			files: []source{
				{"a.h", "struct b;\nvoid cshim_a(struct b *b);\n"},
				{"a.c", "#include \"a.h\"\nvoid cshim_a(struct b *b)\n{\n}\n"},
				{"b.c", "#include <stdlib.h>\n#include \"a.h\"\nvoid cshim_b(void)\n{\n\tcshim_a(NULL);\n}\n"},
			},
		},
		"functions of the same name for their files alone": {
			files: []source{
				{"a.c", "static void drop(void)\n{\n}\nvoid cshim_a(void)\n{\n\tdrop();\n}\n"},
				{"b.c", "static void drop(void)\n{\n\tcshim_a();\n}\n"},
			},
		},
		"a name in a comment, a structure, an enumeration and a declaration": {
			files: []source{
				{"a.c", "/* cshim_b() */\nstruct s { int cshim_b; };\nenum { A, cshim_b };\n" +
					"void cshim_b(void);\nvoid cshim_a(void)\n{\n}\n"},
				{"b.c", "void cshim_b(void)\n{\n\tcshim_a();\n}\n"},
			},
		},
		"calls": {
			files: []source{
				{"a.c", "void cshim_a(void)\n{\n\tcshim_b();\n}\n"},
				{"b.c", "void cshim_b(void)\n{\n\tcshim_c();\n}\n"},
				{"c.c", "void cshim_c(void)\n{\n\tif (1) {\n\t\tcshim_a();\n\t}\n}\n"},
			},
			want: []string{"a.c: b.c (uses cshim_b)", "b.c: c.c (uses cshim_c)", "c.c: a.c (uses cshim_a)"},
		},
		"a table": {
			files: []source{
				{"a.c", "static f *const table[] = { cshim_b };\nf *cshim_a(void)\n{\n\treturn table[0];\n}\n"},
				{"b.c", "void cshim_b(void)\n{\n\tcshim_a();\n}\n"},
			},
			want: []string{"a.c: b.c (uses cshim_b)", "b.c: a.c (uses cshim_a)"},
		},
		"a macro": {
			files: []source{
				{"a.c", "#include \"m.h\"\nvoid cshim_a(void)\n{\n\tCALL(1);\n}\n"},
				{"b.c", "#include \"m.h\"\nvoid cshim_b(void)\n{\n\tcshim_a();\n}\n"},
				{"m.h", "#define INNER(x) \\\n\tcshim_b()\n#define CALL(x) INNER(x)\n"},
			},
			want: []string{"a.c: b.c (uses cshim_b)", "b.c: a.c (uses cshim_a)"},
		},
		"an inline function": {
			files: []source{
				{"a.c", "#include \"i.h\"\nvoid cshim_a(void)\n{\n\tcshim_i();\n}\n"},
				{"b.c", "void cshim_b(void)\n{\n\tcshim_a();\n}\n"},
				{"i.h", "static inline void cshim_i(void)\n{\n\tcshim_b();\n}\n"},
			},
			want: []string{"a.c: b.c (uses cshim_b)", "b.c: a.c (uses cshim_a)"},
		},
		"headers": {
			files: []source{
				{"a.h", "#include \"b.h\"\n"},
				{"b.h", "#ifdef X\n#include \"a.h\"\n#endif\n"},
			},
			want: []string{"a.h: b.h (includes it)", "b.h: a.h (includes it)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g, err := readGraph(c.files)
			require.NoError(t, err)
			assert.Equal(t, c.want, g.circle())
		})
	}
}
