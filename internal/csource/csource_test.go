package csource

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// texts returns the tokens of a source in short.
func texts(t *testing.T, src string) []string {
	t.Helper()
	tokens, err := Tokens([]byte(src))
	require.NoError(t, err)
	var list []string
	for _, token := range tokens {
		switch token.Kind {
		case Directive:
			list = append(list, "#"+token.Text)
		case EndLine:
			list = append(list, "$")
		default:
			list = append(list, token.Text)
		}
	}
	return list
}

func TestTokens(t *testing.T) {
	for src, want := range map[string][]string{
		"a+=b1; // c\nd":               {"a", "+", "=", "b1", ";", "d"},
		"a/* b\n*/c":                   {"a", "c"},
		`x = "a\"b /*" 'c' '\'';`:      {"x", "=", `"a\"b /*"`, "'c'", `'\''`, ";"},
		"0x1fUL 1.5e3 .5 p.q":          {"0x1fUL", "1.5e3", ".5", "p", ".", "q"},
		"#include <coap3/coap.h> // x": {"#include", "<coap3/coap.h>", "$"},
		"# define A(x) \\\n  f(x)\nb": {"#define", "A", "(", "x", ")", "f", "(", "x",
			")", "$", "b"},
		"#define A /* b\n c */ d\ne": {"#define", "A", "d", "$", "e"},
		"#error don't\nb":            {"#error", "$", "b"},
		"#if 0\ndon't\n#endif\nb":    {"#if", "0", "$", "#endif", "$", "b"},
		"#if 0\n#if X\n#endif\na\n#else\nb\n#endif\nc": {"#if", "0", "$", "#else", "$", "b", "#endif",
			"$", "c"},
		"#if X\na\n#endif": {"#if", "X", "$", "a", "#endif", "$"},
		"#if 0\nnever":     {"#if", "0", "$"},
		"a \\\n b":         {"a", "b"},
		"a\r\n#b\r\nc":     {"a", "#b", "$", "c"},
		"":                 nil,
	} {
		assert.Equal(t, want, texts(t, src), src)
	}
}

func TestTokensKnowTheirLines(t *testing.T) {
	tokens, err := Tokens([]byte("a /* \n\n */ b\n\"x\\\ny\" c\n#if 0\nd\n#endif\n  }\n}"))
	require.NoError(t, err)
	lines := map[string]int{}
	left := map[int]bool{}
	for _, token := range tokens {
		lines[token.Text] = token.Line
		left[token.Line] = token.Left
	}
	assert.Equal(t, map[string]int{"a": 1, "b": 3, "\"x\\\ny\"": 4, "c": 5, "if": 6, "0": 6,
		"endif": 8, "": 8, "}": 10}, lines)
	assert.False(t, left[9])
	assert.True(t, left[10])
}

func TestSourcesThatAreNoCAreRefused(t *testing.T) {
	for src, want := range map[string]string{
		"a\n/* b\nc":     "line 2: the comment has no end",
		"a\n\"b\n\"":     `line 2: the literal that starts with " has no end`,
		"'":              "line 1: the literal that starts with ' has no end",
		"a\n\n\x00":      "line 3: a NUL byte: this is not a C source",
		"#define A 'b\n": "line 1: the literal that starts with ' has no end",
	} {
		_, err := Tokens([]byte(src))
		assert.EqualError(t, err, want, src)
	}
}

func TestSymbols(t *testing.T) {
	for src, want := range map[string][]Symbol{
		"#ifndef A_H_\n#define A_H_\n#define B 1\n#define F(x) x\n#endif": {{"B", Macro, ""},
			{"F", Macro, ""}},
		"extern \"C\" {\nint f(void);\n}\nvoid g(int (*h)(int));": {{"f", Function, ""},
			{"g", Function, ""}},
		"COAP_API const char *f(int a) __attribute__((pure(1)));": {{"f", Function, ""}},
		"__attribute__((x)) int f(void);":                         {{"f", Function, ""}},
		"static inline int f(int a) { return g(a); } int h(void);": {{"f", Function, ""},
			{"h", Function, ""}},
		"typedef int (*cb_t)(int a, void *b);":  {{"cb_t", Type, ""}},
		"typedef void f_t(int a);":              {{"f_t", Type, ""}},
		"typedef unsigned char buf_t[8];":       {{"buf_t", Type, ""}},
		"typedef struct s s_t; struct s;":       {{"s_t", Type, ""}},
		"extern int v; extern const char a[4];": {{"v", Variable, ""}, {"a", Variable, ""}},
		"enum e { A, B = (1 << 2), C };": {{"e", Type, ""}, {"A", Constant, ""},
			{"B", Constant, ""}, {"C", Constant, ""}},
		"typedef enum { A } e_t;":          {{"e_t", Type, ""}, {"A", Constant, ""}},
		"int _hidden(void);\n#define _H 1": nil,
		"int f(void); int f(void);":        {{"f", Function, ""}},
		"struct s { int a, *b; x_t c[2]; unsigned d : 1; void (*e)(int); };": {
			{"s", Type, ""}, {"s.a", Field, ""}, {"s.b", Field, ""}, {"s.c", Field, "x_t"},
			{"s.d", Field, ""}, {"s.e", Field, ""}},
		"typedef struct s { struct t *n; union { x_t a; } u; struct { int b; }; enum { E } k; } s_t;": {
			{"s", Type, ""}, {"s_t", Type, ""}, {"s_t.n", Field, "t"}, {"s_t.u", Field, "s_t.u"},
			{"s_t.u.a", Field, "x_t"},
			{"s_t.b", Field, ""}, {"E", Constant, ""}, {"s_t.k", Field, ""}},
	} {
		tokens, err := Tokens([]byte(src))
		require.NoError(t, err)
		assert.Equal(t, want, Symbols(tokens), src)
	}
}
