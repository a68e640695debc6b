// Package coverage has, for each public symbol of libcoap and GnuTLS, what replaces it in Go. The
// classification in libcoap.txt and gnutls.txt is written by hand; the lists in symbols/ are made
// from the libraries' headers.
package coverage

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

// A Class is a line of the classification.
type Class struct {
	Name       string   // of a symbol, or a pattern with "*"
	Go         []string // such as "coap.Dial", or "log/slog.Logger"
	Open       bool     // Go lacks it so far
	NotOffered bool     // Go lacks it, and there is no plan for it: Note says why
	Simple     bool     // it can be replaced place by place
	Note       string
	Callback   string // the type of the functions that are registered here, or ""

	Topic *Topic
	line  int
}

// A Topic is a part of the classification.
type Topic struct {
	Library string
	Title   string
}

// A Table is the classification of a library.
type Table struct {
	Library string
	Classes []*Class
	Topics  []*Topic

	exact    map[string]*Class
	patterns []*Class
}

// Find returns the class of a symbol, or nil.
func (t *Table) Find(symbol string) *Class {
	if c := t.exact[symbol]; c != nil {
		return c
	}
	for _, c := range t.patterns {
		if ok, _ := path.Match(c.Name, symbol); ok {
			return c
		}
	}
	return nil
}

// parse parses a file of the classification.
func parse(file, library string, text []byte) (*Table, error) {
	t := &Table{Library: library, exact: map[string]*Class{}}
	number := 0
	for raw := range bytes.Lines(text) {
		number++
		line := strings.TrimSpace(string(raw))
		title, isTitle := strings.CutPrefix(line, "## ")
		switch {
		case isTitle:
			t.Topics = append(t.Topics, &Topic{library, title})
			continue
		case line == "" || line[0] == '#':
			continue
		case len(t.Topics) == 0:
			return nil, fmt.Errorf("%s:%d: no topic", file, number)
		}
		c, err := parseClass(line)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, number, err)
		}
		c.line, c.Topic = number, t.Topics[len(t.Topics)-1]
		switch {
		case t.exact[c.Name] != nil ||
			slices.ContainsFunc(t.patterns, func(p *Class) bool { return p.Name == c.Name }):
			return nil, fmt.Errorf("%s:%d: %s was there before", file, number, c.Name)
		case strings.Contains(c.Name, "*"):
			t.patterns = append(t.patterns, c)
		default:
			t.exact[c.Name] = c
		}
		t.Classes = append(t.Classes, c)
	}
	return t, nil
}

// nameBytes are what names and patterns consist of.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.*"

func parseClass(line string) (*Class, error) {
	fields := strings.Split(line, "|")
	if len(fields) < 4 || len(fields) > 5 {
		return nil, fmt.Errorf("%d fields, not 4 or 5", len(fields))
	}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	c := &Class{Name: fields[0], Note: fields[3]}
	if len(fields) == 5 {
		c.Callback = fields[4]
	}
	if strings.Trim(c.Name, nameBytes) != "" {
		return nil, fmt.Errorf("%q is neither a name nor a pattern", c.Name)
	}
	switch fields[1] {
	case "":
		return nil, fmt.Errorf("%s: no Go name", c.Name)
	case "-":
	case "open":
		c.Open = true
	case "not offered":
		c.NotOffered = true
	default:
		c.Go = strings.Split(strings.ReplaceAll(fields[1], " ", ""), ",")
	}
	switch fields[2] {
	case "simple":
		c.Simple = true
	case "thought":
	default:
		return nil, fmt.Errorf("%s: %q is neither simple nor thought", c.Name, fields[2])
	}
	if c.Note == "" && c.Go == nil {
		return nil, fmt.Errorf("%s: no Go name and no note", c.Name)
	}
	if c.Note != "" && !strings.HasSuffix(c.Note, ".") {
		return nil, fmt.Errorf("%s: the note does not end with a full stop", c.Name)
	}
	return c, nil
}

//go:embed libcoap.txt gnutls.txt symbols/*.txt
var files embed.FS

// Data is the classification with the lists of symbols.
type Data struct {
	Tables []*Table // of libcoap and of GnuTLS
	Lists  []*List  // by library and version, the older first

	symbols map[string][]*Known // by library
	byName  map[string]*Known
}

// Load returns the data that the program carries. They must not be changed.
var Load = sync.OnceValues(func() (*Data, error) { return ReadData(files) })

// ReadData reads the data from the directory of this package.
func ReadData(files fs.FS) (*Data, error) {
	d := &Data{}
	for _, library := range []string{"libcoap", "GnuTLS"} {
		file := strings.ToLower(library) + ".txt"
		text, err := fs.ReadFile(files, file)
		if err != nil {
			return nil, err
		}
		t, err := parse(file, library, text)
		if err != nil {
			return nil, err
		}
		d.Tables = append(d.Tables, t)
	}
	entries, err := fs.ReadDir(files, "symbols")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		text, err := fs.ReadFile(files, path.Join("symbols", e.Name()))
		if err != nil {
			return nil, err
		}
		l, err := parseList(e.Name(), text)
		if err != nil {
			return nil, err
		}
		d.Lists = append(d.Lists, l)
	}
	d.index()
	return d, nil
}

// A Known is a symbol with the versions that have it and its class.
type Known struct {
	Symbol
	Library  string
	Versions []string
	Class    *Class // nil where the symbol is not classified
}

// Symbols returns all symbols of a library, in the order of the newest headers
// that have them.
func (d *Data) Symbols(library string) []*Known { return d.symbols[library] }

// Find returns a symbol of any of the libraries, or nil.
func (d *Data) Find(name string) *Known { return d.byName[name] }

// index makes the symbols out of the lists.
func (d *Data) index() {
	d.symbols, d.byName = map[string][]*Known{}, map[string]*Known{}
	for _, t := range d.Tables {
		for _, l := range slices.Backward(d.Lists) {
			if l.Library != t.Library {
				continue
			}
			for _, s := range l.Symbols {
				k := d.byName[s.Name]
				if k == nil {
					k = &Known{Symbol: s, Library: t.Library, Class: t.Find(s.Name)}
					d.byName[s.Name] = k
					d.symbols[t.Library] = append(d.symbols[t.Library], k)
				}
				k.Versions = slices.Insert(k.Versions, 0, l.Version)
			}
		}
	}
}

// Versions returns the versions of a library that there are lists of, the
// older first.
func (d *Data) Versions(library string) []string {
	var versions []string
	for _, l := range d.Lists {
		if l.Library == library {
			versions = append(versions, l.Version)
		}
	}
	return versions
}

// importPath returns the import path of a package as the classification names it, without the path
// of this module: "netip" is short for net/netip, "native" for coap/native.
func importPath(pkg string) string {
	switch pkg {
	case "netip":
		return "net/netip"
	case "native", "coapdebug":
		return "coap/" + pkg
	}
	return pkg
}
