package coap

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Link describes a resource in a list such as /.well-known/core (RFC 6690).
type Link struct {
	// Target is a URI reference such as "/sensors/1".
	Target     string
	Attributes []Attribute
}

// An Attribute is an attribute of a Link, such as rt="temperature-c".
type Attribute struct {
	Name  string // a token, without spaces and delimiters
	Value string // without quotation marks
	// Flag says that the attribute has no value, such as obs.
	Flag bool
}

// Get returns the value of the first attribute with a name. It ignores case.
func (l Link) Get(name string) (value string, ok bool) {
	for _, a := range l.Attributes {
		if strings.EqualFold(a.Name, name) {
			return a.Value, true
		}
	}
	return "", false
}

// String returns the link in the link format. In the target it percent-encodes characters that a
// URI reference cannot contain.
func (l Link) String() string {
	var b strings.Builder
	b.WriteByte('<')
	for i := range len(l.Target) {
		if c := l.Target[i]; c <= ' ' || c == 0x7f || strings.IndexByte(`<>"`, c) >= 0 {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	b.WriteByte('>')
	for _, a := range l.Attributes {
		b.WriteString(";" + a.Name)
		switch {
		case a.Flag:
		case a.bare():
			b.WriteString("=" + a.Value)
		default:
			b.WriteString(`="`)
			for i := range len(a.Value) {
				if c := a.Value[i]; c == '"' || c == '\\' {
					b.WriteByte('\\')
				}
				b.WriteByte(a.Value[i])
			}
			b.WriteByte('"')
		}
	}
	return b.String()
}

// bare reports whether the value is written without quotation marks. It is if a single value has no
// other form (RFC 6690, section 2; RFC 7252, section 7.2.1).
func (a Attribute) bare() bool {
	switch name := strings.ToLower(a.Name); {
	case name == "ct", name == "sz", name == "hreflang", strings.HasSuffix(name, "*"):
		return a.Value != "" && !strings.ContainsAny(a.Value, valueEnds+`\`)
	}
	return false
}

// FormatLinks returns links in the link format.
func FormatLinks(links []Link) []byte {
	var b bytes.Buffer
	for i, l := range links {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(l.String())
	}
	return b.Bytes()
}

// The characters that end the name of an attribute, and a value without quotation marks.
const (
	nameEnds  = "=" + valueEnds
	valueEnds = ";, \t\r\n\"<>"
)

// ParseLinks parses the link format. The error says at which byte it is malformed.
func ParseLinks(data []byte) ([]Link, error) {
	p := &linkParser{rest: string(data)}
	links, err := p.links()
	if err != nil {
		return nil, fmt.Errorf("coap: links: %w at byte %d", err, len(data)-len(p.rest))
	}
	return links, nil
}

type linkParser struct{ rest string }

func (p *linkParser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *linkParser) accept(c byte) bool {
	p.space()
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

func (p *linkParser) links() (links []Link, err error) {
	if p.space(); p.rest == "" {
		return nil, nil
	}
	for {
		l, err := p.link()
		if err != nil {
			return nil, err
		}
		links = append(links, l)
		if p.space(); p.rest == "" {
			return links, nil
		}
		if !p.accept(',') {
			return nil, errors.New("expected a comma")
		}
	}
}

func (p *linkParser) link() (l Link, err error) {
	if !p.accept('<') {
		return l, errors.New("expected <")
	}
	end := strings.IndexByte(p.rest, '>')
	if end < 0 {
		return l, errors.New("no >")
	}
	l.Target, p.rest = p.rest[:end], p.rest[end+1:]
	for p.accept(';') {
		a, err := p.attribute()
		if err != nil {
			return l, err
		}
		l.Attributes = append(l.Attributes, a)
	}
	return l, nil
}

func (p *linkParser) attribute() (a Attribute, err error) {
	p.space()
	if a.Name = p.word(nameEnds); a.Name == "" {
		return a, errors.New("expected the name of an attribute")
	}
	if !p.accept('=') {
		a.Flag = true
		return a, nil
	}
	if p.accept('"') {
		a.Value, err = p.quoted()
		return a, err
	}
	a.Value = p.word(valueEnds)
	return a, nil
}

// word takes what comes before any of the characters.
func (p *linkParser) word(ends string) string {
	end := strings.IndexAny(p.rest, ends)
	if end < 0 {
		end = len(p.rest)
	}
	word := p.rest[:end]
	p.rest = p.rest[end:]
	return word
}

// quoted takes a string up to its closing quotation mark.
func (p *linkParser) quoted() (string, error) {
	var b strings.Builder
	for i := 0; i < len(p.rest); i++ {
		switch c := p.rest[i]; c {
		case '"':
			p.rest = p.rest[i+1:]
			return b.String(), nil
		case '\\':
			if i++; i < len(p.rest) {
				b.WriteByte(p.rest[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("no closing quotation mark")
}

// listAttributes hold several values, separated by spaces (RFC 6690, section 3).
var listAttributes = []string{"rt", "if", "rel", "rev", "ct"}

// FilterLinks returns the links that match all query arguments (RFC 6690, section 4.1). An argument
// has the form name=value; a value that ends with * matches every value with that prefix. The name
// href stands for the target. If an attribute is a list, such as rt="a b", one of its values must
// match. An argument that is only a name, such as obs, matches links that have the attribute, with
// any value or none.
func FilterLinks(links []Link, queries []string) []Link {
	return slices.DeleteFunc(slices.Clone(links), func(l Link) bool {
		return slices.ContainsFunc(queries, func(query string) bool { return !l.matches(query) })
	})
}

func (l Link) matches(query string) bool {
	name, pattern, hasPattern := strings.Cut(query, "=")
	match := func(value string) bool {
		if !hasPattern {
			return true
		}
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(value, prefix)
		}
		return value == pattern
	}
	if strings.EqualFold(name, "href") {
		return match(l.Target)
	}
	for _, a := range l.Attributes {
		if !strings.EqualFold(a.Name, name) {
			continue
		}
		values := []string{a.Value}
		if slices.Contains(listAttributes, strings.ToLower(name)) {
			values = append(values, strings.Fields(a.Value)...)
		}
		if slices.ContainsFunc(values, match) {
			return true
		}
	}
	return false
}
