package csource

import (
	"iter"
	"slices"
	"strings"
)

// What a Symbol is.
const (
	Function = "function"
	Macro    = "macro"
	Type     = "type"
	Constant = "constant" // of an enumeration
	Variable = "variable"
	Field    = "field" // of a structure or union
)

// A Symbol is a name that a header declares.
type Symbol struct {
	Name string // of a field, with its structure: coap_dtls_pki_t.version
	What string
	Of   string // the type of a field, where that has a name of its own, else ""
}

// Symbols returns what a header declares, in its order. Names that begin with
// an underscore are left out, and so are the guards against a second inclusion.
func Symbols(tokens []Token) []Symbol {
	var c collector
	for decl := range declarations(c.withoutDirectives(tokens)) {
		c.declaration(decl)
	}
	return c.symbols
}

type collector struct {
	symbols []Symbol
	seen    map[string]bool
}

func (c *collector) add(name, what, of string) {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	if name == "" || name[0] == '_' || c.seen[name] {
		return
	}
	c.seen[name] = true
	c.symbols = append(c.symbols, Symbol{name, what, of})
}

// withoutDirectives returns the tokens that belong to no directive, and adds
// the macros.
func (c *collector) withoutDirectives(tokens []Token) []Token {
	var rest []Token
	for i := 0; i < len(tokens); i++ {
		if tokens[i].Kind != Directive {
			rest = append(rest, tokens[i])
			continue
		}
		start := i
		for i < len(tokens) && tokens[i].Kind != EndLine {
			i++
		}
		line := tokens[start:i]
		if line[0].Text != "define" || len(line) < 2 {
			continue
		}
		name := line[1].Text
		if guard := len(line) == 2 &&
			(strings.HasSuffix(name, "_H") || strings.HasSuffix(name, "_H_")); !guard {
			c.add(name, Macro, "")
		}
	}
	return rest
}

// declarations yields the declarations of a file, without their semicolons. A
// function's body is left out.
func declarations(tokens []Token) iter.Seq[[]Token] {
	return func(yield func([]Token) bool) {
		var decl []Token
		for i := 0; i < len(tokens); i++ {
			t := tokens[i]
			switch {
			case t.Is(";"), t.Is("}"): // a brace of extern "C" ends here
				if len(decl) > 0 && !yield(decl) {
					return
				}
				decl = nil
			case t.Is("{") && len(decl) > 0 && decl[0].Is("extern"):
				decl = nil
			case t.Is("{"):
				end := Closing(tokens, i)
				if function := len(decl) > 0 && decl[len(decl)-1].Is(")"); function {
					if !yield(decl) {
						return
					}
					decl = nil
				} else {
					decl = append(decl, tokens[i:end+1]...)
				}
				i = end
			case t.Is("("):
				end := Closing(tokens, i)
				decl = append(decl, tokens[i:end+1]...)
				i = end
			default:
				decl = append(decl, t)
			}
		}
	}
}

// Closing returns the index of the bracket that closes the one at i, or the
// last index.
func Closing(tokens []Token, i int) int {
	depth := 0
	for ; i < len(tokens); i++ {
		if tokens[i].Kind != Punct {
			continue
		}
		switch tokens[i].Text {
		case "(", "{", "[":
			depth++
		case ")", "}", "]":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(tokens) - 1
}

// attributes take arguments in parentheses without being functions.
var attributes = []string{"__attribute__", "__declspec", "__attribute"}

// withoutAttributes drops attributes and their arguments.
func withoutAttributes(tokens []Token) []Token {
	var rest []Token
	for i := 0; i < len(tokens); i++ {
		if slices.Contains(attributes, tokens[i].Text) && i+1 < len(tokens) && tokens[i+1].Is("(") {
			i = Closing(tokens, i+1)
			continue
		}
		rest = append(rest, tokens[i])
	}
	return rest
}

func (c *collector) declaration(decl []Token) {
	decl = withoutAttributes(decl)
	typedef := len(decl) > 0 && decl[0].Is("typedef")
	body := slices.IndexFunc(decl, func(t Token) bool { return t.Is("{") })
	call := slices.IndexFunc(decl, func(t Token) bool { return t.Is("(") })
	switch {
	case body >= 0 && (call < 0 || body < call):
		end := Closing(decl, body)
		tag := tagBefore(decl, body)
		name := tag
		if after := declarator(decl[end+1:]); typedef && after != "" {
			name = after
			c.add(tag, Type, "")
		}
		if typedef || end == len(decl)-1 {
			c.add(name, Type, "")
		} else if after := declarator(decl[end+1:]); after != "" {
			c.add(after, Variable, "")
		}
		if slices.ContainsFunc(decl[:body], func(t Token) bool { return t.Is("enum") }) {
			c.constants(decl[body+1 : end])
		} else {
			c.fields(name, decl[body+1:end])
		}
	case typedef:
		c.add(declarator(decl[1:]), Type, "")
	case call > 0 && decl[call-1].Kind == Ident:
		c.add(decl[call-1].Text, Function, "")
	case len(decl) > 1 && decl[0].Is("extern"):
		c.add(declarator(decl), Variable, "")
	}
}

// tagBefore returns the tag of the structure or enumeration whose body opens
// at i, or "".
func tagBefore(decl []Token, i int) string {
	if i > 0 && decl[i-1].Kind == Ident &&
		!slices.Contains([]string{"struct", "union", "enum"}, decl[i-1].Text) {
		return decl[i-1].Text
	}
	return ""
}

// declarator returns the name that a declaration declares.
func declarator(decl []Token) string {
	for i, t := range decl {
		if t.Is("(") {
			if i+1 < len(decl) && decl[i+1].Is("*") { // of a pointer to a function
				return declarator(decl[i+2 : Closing(decl, i)])
			}
			return declarator(decl[:i])
		}
		if t.Is("[") || t.Is(":") || t.Is("=") {
			return declarator(decl[:i])
		}
	}
	for _, t := range slices.Backward(decl) {
		if t.Kind == Ident {
			return t.Text
		}
	}
	return ""
}

func (c *collector) constants(body []Token) {
	for part := range split(body, ",") {
		if part[0].Kind == Ident {
			c.add(part[0].Text, Constant, "")
		}
	}
}

// split yields the parts between separators outside brackets, apart from empty
// ones.
func split(tokens []Token, separator string) iter.Seq[[]Token] {
	return func(yield func([]Token) bool) {
		start := 0
		for i := 0; i <= len(tokens); i++ {
			switch {
			case i == len(tokens) || tokens[i].Is(separator):
				if i > start && !yield(tokens[start:i]) {
					return
				}
				start = i + 1
			case tokens[i].Is("("), tokens[i].Is("{"), tokens[i].Is("["):
				i = Closing(tokens, i)
			}
		}
	}
}

// fields adds the fields of a structure.
func (c *collector) fields(of string, body []Token) {
	if of == "" {
		return
	}
	for member := range split(body, ";") {
		member = withoutAttributes(member)
		open := slices.IndexFunc(member, func(t Token) bool { return t.Is("{") })
		if open < 0 {
			parts := slices.Collect(split(member, ","))
			for _, part := range parts {
				c.add(of+"."+declarator(part), Field, typeName(parts[0]))
			}
			continue
		}
		end := Closing(member, open)
		switch name := declarator(member[end+1:]); {
		case slices.ContainsFunc(member[:open], func(t Token) bool { return t.Is("enum") }):
			c.constants(member[open+1 : end])
			c.add(of+"."+name, Field, "")
		case name == "": // its fields are those of the structure around it
			c.fields(of, member[open+1:end])
		default:
			c.add(of+"."+name, Field, of+"."+name)
			c.fields(of+"."+name, member[open+1:end])
		}
	}
}

// notTypes are words of a field's type that do not name it.
var notTypes = []string{"const", "volatile", "struct", "union", "enum", "unsigned", "signed", "int",
	"char", "short", "long", "void"}

func typeName(member []Token) string {
	for _, t := range member {
		if t.Kind == Ident && !slices.Contains(notTypes, t.Text) {
			if t.Text == declarator(member) {
				return ""
			}
			return t.Text
		}
	}
	return ""
}
