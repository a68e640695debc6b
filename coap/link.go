package coap

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// A Link describes a resource, as a server lists it in /.well-known/core (RFC
// 6690).
type Link struct {
	// Target is a URI reference such as "/sensors/1".
	Target     string
	Attributes []Attribute
}

// An Attribute is an attribute of a Link, such as rt="temperature-c".
type Attribute struct {
	Name  string
	Value string
	// Flag says that the attribute has no value at all, such as obs.
	Flag bool
}

// Get returns the value of the first attribute with a name, without regard to
// case.
func (l Link) Get(name string) (value string, ok bool) {
	for _, a := range l.Attributes {
		if strings.EqualFold(a.Name, name) {
			return a.Value, true
		}
	}
	return "", false
}

// String returns the link in the link format.
func (l Link) String() string {
	var b strings.Builder
	b.WriteString("<" + l.Target + ">")
	for _, a := range l.Attributes {
		b.WriteString(";" + a.Name)
		if a.Flag {
			continue
		}
		b.WriteByte('=')
		if isNumber(a.Value) && (a.Name == "ct" || a.Name == "sz") {
			b.WriteString(a.Value)
			continue
		}
		b.WriteString(`"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(a.Value) + `"`)
	}
	return b.String()
}

func isNumber(s string) bool {
	for _, c := range s {
		if c < '0' || c > '9' {
			return false
		}
	}
	return s != ""
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

// ParseLinks parses the link format.
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
	for p.space(); p.rest != ""; {
		l, err := p.link()
		if err != nil {
			return nil, err
		}
		links = append(links, l)
		if p.space(); p.rest != "" && !p.accept(',') {
			return nil, fmt.Errorf("expected a comma")
		}
	}
	return links, nil
}

func (p *linkParser) link() (l Link, err error) {
	if !p.accept('<') {
		return l, fmt.Errorf("expected <")
	}
	end := strings.IndexByte(p.rest, '>')
	if end < 0 {
		return l, fmt.Errorf("no >")
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
	if a.Name = p.word("=;, \t\r\n\"<>"); a.Name == "" {
		return a, fmt.Errorf("no name of an attribute")
	}
	if !p.accept('=') {
		a.Flag = true
		return a, nil
	}
	if p.accept('"') {
		a.Value, err = p.quoted()
		return a, err
	}
	a.Value = p.word(";, \t\r\n\"<>")
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
	return "", fmt.Errorf("no closing quotation mark")
}

// listAttributes hold several values, separated by spaces (RFC 6690, section 3).
var listAttributes = []string{"rt", "if", "rel", "rev", "ct"}

// FilterLinks returns the links that match all query arguments of the form
// name=value, where a value may end with * (RFC 6690, section 4.1). The name href
// means the target.
func FilterLinks(links []Link, queries []string) []Link {
	return slices.DeleteFunc(slices.Clone(links), func(l Link) bool {
		return slices.ContainsFunc(queries, func(query string) bool { return !l.matches(query) })
	})
}

func (l Link) matches(query string) bool {
	name, pattern, _ := strings.Cut(query, "=")
	match := func(value string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
			return strings.HasPrefix(value, prefix)
		}
		return value == pattern
	}
	if name == "href" {
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
