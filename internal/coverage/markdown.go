package coverage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// kinds are the kinds of symbols, in the order of the summary.
var kinds = []string{"function", "macro", "type", "field", "constant", "variable"}

const intro = `# Coverage of libcoap and GnuTLS

Every public symbol of libcoap %s, and of GnuTLS's TLS interface (gnutls.h, dtls.h,
socket.h) %s, with what stands for it in Go. Written by "make coverage" from the
libraries' headers and from internal/coverage; do not edit. A test fails when a
symbol is missing, or a Go name does not exist.

A dash means that Go needs nothing: the note says why. "Open" is what Go lacks.
Where a symbol is not in all versions, the versions that have it are named. How a
program moves is in [migration.md](migration.md), and
` + "`coap-migrate FILE.c…`" + ` goes through its source.
`

// Markdown returns docs/coverage.md.
func (d *Data) Markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, intro, list(d.Versions("libcoap")), list(d.Versions("GnuTLS")))
	for _, t := range d.Tables {
		known := d.Symbols(t.Library)
		fmt.Fprintf(&b, "\n## %s\n\n", t.Library)
		summary(&b, known)
		for _, topic := range t.Topics {
			fmt.Fprintf(&b, "\n### %s: %s\n\n| %s | Go | |\n|---|---|---|\n", t.Library, topic.Title, t.Library)
			for _, c := range t.Classes {
				if c.Topic == topic {
					rows(&b, c, known, d.Versions(t.Library))
				}
			}
		}
	}
	return b.Bytes()
}

// list joins words: "a, b and c".
func list(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// summary writes the numbers of symbols.
func summary(b *bytes.Buffer, known []*Known) {
	fmt.Fprint(b, "| | Go name | not needed | open |\n|---|--:|--:|--:|\n")
	for _, kind := range kinds {
		var named, unneeded, open int
		for _, k := range known {
			switch {
			case k.What != kind || k.Class == nil:
			case k.Class.Open:
				open++
			case k.Class.Go != nil:
				named++
			default:
				unneeded++
			}
		}
		if named+unneeded+open > 0 {
			fmt.Fprintf(b, "| %ss | %d | %d | %d |\n", kind, named, unneeded, open)
		}
	}
}

// rows writes the symbols of a class: those of the same versions in one row.
func rows(b *bytes.Buffer, c *Class, known []*Known, all []string) {
	var versions []string
	symbols := map[string][]string{}
	for _, k := range known {
		if k.Class != c {
			continue
		}
		v := strings.Join(k.Versions, ", ")
		if !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
		symbols[v] = append(symbols[v], "`"+k.Name+"`")
	}
	goes := "–"
	switch {
	case c.Open:
		goes = "open"
	case c.Go != nil:
		goes = "`" + strings.Join(c.Go, "`, `") + "`"
	}
	for _, v := range versions {
		symbols := strings.Join(symbols[v], ", ")
		if v != strings.Join(all, ", ") {
			symbols += " (" + v + ")"
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", symbols, goes, c.Note)
	}
}
