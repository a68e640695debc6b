package coverage

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// kinds are the kinds of symbols, in the order of the summary.
var kinds = []string{"function", "macro", "type", "field", "constant", "variable"}

const intro = `# Coverage of %s

Written by "make coverage"; do not edit. [coverage.md](../coverage.md) explains the tables. The
versions are %s.

`

// Markdown returns the document of a library, docs/coverage/*.md.
func (d *Data) Markdown(t *Table) []byte {
	var b bytes.Buffer
	known := d.Symbols(t.Library)
	fmt.Fprintf(&b, intro, t.Library, list(d.Versions(t.Library)))
	summary(&b, known)
	for _, topic := range t.Topics {
		fmt.Fprintf(&b, "\n## %s\n\n| %s | Go | |\n|---|---|---|\n", topic.Title, t.Library)
		for _, c := range t.Classes {
			if c.Topic == topic {
				rows(&b, c, known, d.Versions(t.Library))
			}
		}
	}
	return b.Bytes()
}

// Document returns the name of the document of a library.
func (t *Table) Document() string { return "docs/coverage/" + strings.ToLower(t.Library) + ".md" }

// list joins words: "a, b and c".
func list(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// summary writes the numbers of symbols.
func summary(b *bytes.Buffer, known []*Known) {
	fmt.Fprint(b, "| | Go name | not needed | open | of these, not offered |\n|---|--:|--:|--:|--:|\n")
	for _, kind := range kinds {
		var named, unneeded, open, notOffered int
		for _, k := range known {
			switch {
			case k.What != kind || k.Class == nil:
			case k.Class.Open:
				open++
			case k.Class.NotOffered:
				open++
				notOffered++
			case k.Class.Go != nil:
				named++
			default:
				unneeded++
			}
		}
		if named+unneeded+open > 0 {
			fmt.Fprintf(b, "| %ss | %d | %d | %d | %d |\n", kind, named, unneeded, open, notOffered)
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
	case c.NotOffered:
		goes = "not offered"
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
