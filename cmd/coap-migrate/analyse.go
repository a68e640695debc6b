package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/internal/coverage"
	"github.com/gnucoap/gnucoap/internal/csource"
)

// How much work a place is.
const (
	simple  = "simple"  // it can be replaced as it stands
	thought = "thought" // the program has to change around it
	open    = "open"    // Go has nothing for it yet
	unknown = "unknown" // it is in no public header
)

// A place is a use of a library in a C source.
type place struct {
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Kind    string   `json:"kind"` // include, callback, unknown, or the kind of the symbol
	Symbol  string   `json:"symbol"`
	Library string   `json:"library,omitempty"`
	Go      []string `json:"go"`
	Effort  string   `json:"effort"`
	Note    string   `json:"note"`
	// Registered is the function that is registered at this place, or the type of
	// the callback that this function is.
	Registered string `json:"registered,omitempty"`

	notOffered bool // Go lacks it, and there is no plan for it
}

// A unit is a C source.
type unit struct {
	path   string
	tokens []csource.Token
}

// An analysis goes through the units of a program.
type analysis struct {
	data      *coverage.Data
	functions map[string]bool   // that the program defines
	defined   map[string]bool   // functions, macros and types that the program defines
	callbacks map[string]string // the types of functions that are registered
	headers   map[string]bool   // of the libraries
	places    []place
	used      map[*coverage.Known]bool
}

// analyse returns the places of a program in the order of its units, and the
// symbols that it uses.
func analyse(d *coverage.Data, units []unit) *analysis {
	a := &analysis{
		data: d, used: map[*coverage.Known]bool{},
		functions: map[string]bool{}, defined: map[string]bool{}, callbacks: map[string]string{},
		headers: map[string]bool{},
	}
	for _, l := range d.Lists {
		for _, s := range l.Symbols {
			a.headers[s.Header] = true
		}
	}
	for _, u := range units {
		a.define(u.tokens)
	}
	for _, u := range units {
		(&walk{analysis: a, unit: u}).run()
	}
	a.addCallbacks(units)
	return a
}

// define notes what the program itself defines.
func (a *analysis) define(tokens []csource.Token) {
	for _, s := range csource.Symbols(tokens) {
		if s.What != csource.Field {
			a.defined[s.Name] = true
		}
	}
	depth := 0
	for i, t := range tokens {
		depth = deeper(depth, t)
		if depth == 0 && isDefinition(tokens, i) {
			a.functions[t.Text] = true
			a.defined[t.Text] = true
		}
	}
}

// deeper returns how many braces are open after a token. One at the very left
// closes a function, whatever conditional code has opened twice.
func deeper(depth int, t csource.Token) int {
	switch {
	case t.Is("{"):
		return depth + 1
	case t.Is("}") && t.Left:
		return 0
	case t.Is("}"):
		return max(depth-1, 0)
	}
	return depth
}

// isDefinition reports whether a function is defined whose name is at i.
func isDefinition(tokens []csource.Token, i int) bool {
	if tokens[i].Kind != csource.Ident || i+1 == len(tokens) || !tokens[i+1].Is("(") {
		return false
	}
	end := csource.Closing(tokens, i+1)
	for end+1 < len(tokens) && tokens[end+1].Kind == csource.Ident && !declares(tokens[end+1].Text) {
		end++ // an attribute
	}
	return end+1 < len(tokens) && tokens[end+1].Is("{")
}

// declares reports whether a word begins a declaration.
func declares(word string) bool {
	return slices.Contains([]string{"struct", "static", "extern", "typedef", "enum", "union"}, word)
}

// A walk goes through one unit.
type walk struct {
	*analysis
	unit
	at        int
	depth     int
	directive string
	globals   map[string]string // types of variables
	locals    map[string]string
	literals  []string // types of the variables whose initialisers are open
}

func (w *walk) run() {
	w.globals, w.locals = map[string]string{}, map[string]string{}
	for w.at = 0; w.at < len(w.tokens); w.at++ {
		t := w.tokens[w.at]
		switch {
		case t.Kind == csource.Directive:
			w.directive = t.Text
		case t.Kind == csource.EndLine:
			w.directive = ""
		case t.Kind == csource.Header:
			w.include(t)
		case t.Kind == csource.Ident:
			w.ident(t)
		case t.Is("{"):
			w.literals = append(w.literals, w.initialised())
		case t.Is("}") && len(w.literals) > 0:
			w.literals = w.literals[:len(w.literals)-1]
		}
		if w.depth = deeper(w.depth, t); w.depth == 0 && t.Is("}") {
			w.literals = nil
		}
	}
}

// before returns the nth token before the position, or an empty one.
func (w *walk) before(n int) csource.Token { return w.token(w.at - n) }

func (w *walk) token(i int) csource.Token {
	if i < 0 || i >= len(w.tokens) {
		return csource.Token{Kind: csource.EndLine}
	}
	return w.tokens[i]
}

// initialised returns the type of the variable whose initialiser opens here.
func (w *walk) initialised() string {
	if !w.before(1).Is("=") {
		return ""
	}
	return w.typeOf(w.before(2).Text)
}

func (w *walk) typeOf(variable string) string {
	if typ, ok := w.locals[variable]; ok {
		return typ
	}
	return w.globals[variable]
}

var libraryFolder = regexp.MustCompile(`^(coap[0-9]*|gnutls)/`)

// isOfLibrary reports whether a header is one of libcoap's or GnuTLS's: as their programs
// include it, or libcoap's own sources. A project may have a coap_client.h of its own.
func (w *walk) isOfLibrary(header string, quoted bool) bool {
	if libraryFolder.MatchString(header) {
		return true
	}
	if quoted && w.besides(header) {
		return false
	}
	return slices.Contains([]string{"coap.h", "coap_config.h", "libcoap.h"}, header) ||
		strings.HasPrefix(header, "coap") && w.headers[header]
}

// besides reports whether a file lies where the unit does.
func (w *walk) besides(name string) bool {
	_, err := os.Stat(filepath.Join(filepath.Dir(w.path), filepath.FromSlash(name)))
	return err == nil
}

func (w *walk) include(t csource.Token) {
	if !w.isOfLibrary(strings.Trim(t.Text, `<>"`), t.Text[0] == '"') {
		return
	}
	p := place{Kind: "include", Symbol: strings.Trim(t.Text, `<>"`), Library: "libcoap",
		Effort: simple, Note: `import "github.com/gnucoap/gnucoap/coap"`}
	if strings.Contains(t.Text, "gnutls") {
		p.Library, p.Note = "GnuTLS", `import "github.com/gnucoap/gnucoap/gnutls"`
	}
	w.add(t.Line, p)
}

func (w *walk) add(line int, p place) {
	p.File, p.Line = w.path, line
	if p.Go == nil {
		p.Go = []string{}
	}
	w.places = append(w.places, p)
}

// ident looks at a name.
func (w *walk) ident(t csource.Token) {
	if w.depth == 0 && w.directive == "" && isDefinition(w.tokens, w.at) {
		w.locals = map[string]string{}
	}
	prev := w.before(1)
	switch {
	case prev.Is(".") && (w.before(2).Is("{") || w.before(2).Is(",")):
		if len(w.literals) > 0 {
			w.fieldsFrom(w.literals[len(w.literals)-1], w.at)
		}
		return
	case prev.Is("."), prev.Is(">") && w.before(2).Is("-"):
		return // of a value whose type is not known, or seen before
	}
	if typ := w.typeOf(t.Text); typ != "" {
		if next := w.next(w.at + 1); w.token(next-1).Is(".") || w.token(next-1).Is(">") {
			w.fieldsFrom(typ, next)
		}
		return
	}
	k := w.data.Find(t.Text)
	switch {
	case w.defined[t.Text]:
	case k != nil:
		w.used[k] = true
		if k.What == csource.Type {
			w.variables(k.Name)
		}
		w.symbol(k, w.at)
	case w.directive == "" && w.looksForeign(t.Text):
		note := "No public header of a supported version has it."
		if strings.HasPrefix(strings.ToLower(t.Text), "gnutls_") {
			note = "It is in another part of GnuTLS than TLS: " +
				"for certificates and keys there is crypto/x509."
		}
		w.add(t.Line, place{Kind: unknown, Symbol: t.Text, Effort: unknown, Note: note})
	}
}

// next returns the index of the field that follows a value at i, or i where
// none does: "x[0].f" and "x->f".
func (w *walk) next(i int) int {
	for w.token(i).Is("[") {
		i = csource.Closing(w.tokens, i) + 1
	}
	switch {
	case w.token(i).Is("."):
		return i + 1
	case w.token(i).Is("-") && w.token(i+1).Is(">"):
		return i + 2
	}
	return i
}

// fieldsFrom adds the field at i of a structure, and the fields of that.
func (w *walk) fieldsFrom(typ string, i int) {
	for {
		k := w.data.Find(typ + "." + w.token(i).Text)
		if k == nil {
			return
		}
		w.used[k] = true
		w.symbol(k, i)
		next := w.next(i + 1)
		if next == i+1 {
			return
		}
		typ, i = k.Of, next
	}
}

// variables notes the variables that are declared with a type.
func (w *walk) variables(typ string) {
	for i := w.at + 1; ; i++ {
		for w.token(i).Is("*") || w.token(i).Is("const") {
			i++
		}
		name := w.token(i)
		if name.Kind != csource.Ident {
			return
		}
		if w.depth == 0 && !w.isParameter() {
			w.globals[name.Text] = typ
		} else {
			w.locals[name.Text] = typ
		}
		if i++; w.token(i).Is("[") {
			i = csource.Closing(w.tokens, i) + 1
		}
		if !w.token(i).Is(",") || w.isParameter() {
			return
		}
	}
}

// isParameter reports whether the position is between parentheses.
func (w *walk) isParameter() bool {
	depth := 0
	for i := w.at - 1; i >= 0; i-- {
		switch t := w.tokens[i]; {
		case t.Is(")"):
			depth++
		case t.Is("("):
			if depth--; depth < 0 {
				return true
			}
		case t.Is(";"), t.Is("{"), t.Is("}"), t.Kind == csource.EndLine:
			return false
		}
	}
	return false
}

var (
	foreign     = regexp.MustCompile(`^(coaps?_|COAPS?_|LIBCOAP_|gnutls_|GNUTLS_)`)
	foreignType = regexp.MustCompile(`^(coap|gnutls)_\w+_t$`)
)

// looksForeign reports whether a name must be one of a library.
func (w *walk) looksForeign(name string) bool {
	return foreign.MatchString(name) &&
		(w.token(w.at+1).Is("(") || foreignType.MatchString(name) || strings.ToUpper(name) == name)
}

// symbol adds a known symbol at i, with the functions that it registers.
func (w *walk) symbol(k *coverage.Known, i int) {
	line := w.token(i).Line
	p := place{Kind: k.What, Symbol: k.Name, Library: k.Library, Effort: thought}
	c := k.Class
	p.Go, p.Note = c.Go, c.Note
	switch {
	case c.Open, c.NotOffered:
		p.Effort, p.notOffered = open, c.NotOffered
	case c.Simple:
		p.Effort = simple
	}
	if c.Callback != "" {
		p.Registered = w.register(i, c.Callback)
	}
	w.add(line, p)
}

// register finds the function of the program that a call, or an assignment to
// a field, registers as a callback of a type.
func (w *walk) register(i int, typ string) string {
	end := i
	switch {
	case w.token(i + 1).Is("("):
		end = csource.Closing(w.tokens, i+1)
	case w.token(i+1).Is("=") && !w.token(i+2).Is("="):
		for !w.token(end).Is(";") && !w.token(end).Is(",") && w.token(end).Kind != csource.EndLine {
			end++
		}
	}
	for ; i < end; i++ {
		if name := w.token(i).Text; w.functions[name] && w.token(i).Kind == csource.Ident &&
			!w.token(i+1).Is("(") {
			w.callbacks[name] = typ
			return name
		}
	}
	return ""
}

// addCallbacks adds the functions that are registered, where they are defined.
func (a *analysis) addCallbacks(units []unit) {
	for _, u := range units {
		depth := 0
		for i, t := range u.tokens {
			depth = deeper(depth, t)
			typ := a.callbacks[t.Text]
			if typ == "" || depth > 0 || !isDefinition(u.tokens, i) {
				continue
			}
			w := &walk{analysis: a, unit: u}
			w.symbol(a.data.Find(typ), i)
			p := &a.places[len(a.places)-1]
			p.Kind, p.Symbol, p.Registered = "callback", t.Text, typ
		}
	}
	order := map[string]int{}
	for i, u := range units {
		order[u.path] = i
	}
	slices.SortStableFunc(a.places, func(x, y place) int {
		if d := order[x.File] - order[y.File]; d != 0 {
			return d
		}
		return x.Line - y.Line
	})
}
