package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/internal/coverage"
)

// A count says how many places there are of each effort.
type count struct {
	Places  int `json:"places"`
	Simple  int `json:"simple"`
	Thought int `json:"thought"`
	Open    int `json:"open"`
	Unknown int `json:"unknown"`
}

func (c *count) add(effort string) {
	c.Places++
	switch effort {
	case simple:
		c.Simple++
	case thought:
		c.Thought++
	case open:
		c.Open++
	case unknown:
		c.Unknown++
	}
}

func (c *count) String() string {
	if c.Places == 0 {
		return "does not use libcoap or GnuTLS"
	}
	return fmt.Sprintf("%d places: %d simple (%d %%), %d need thought, %d open, %d unknown",
		c.Places, c.Simple, 100*c.Simple/c.Places, c.Thought, c.Open, c.Unknown)
}

// A summary says how much work a program is.
type summary struct {
	Total count            `json:"total"`
	Files map[string]count `json:"files"`
	// Missing are, of each version of a library that is used, the symbols that it
	// lacks.
	Missing map[string]map[string][]string `json:"missing"`
	// Thought are the symbols that need thought or lack something, the most
	// frequent first.
	Thought []frequency `json:"thought"`
}

type frequency struct {
	Symbol string `json:"symbol"`
	Places int    `json:"places"`
}

func summarise(d *coverage.Data, units []unit, a *analysis) *summary {
	s := &summary{Files: map[string]count{}, Missing: map[string]map[string][]string{},
		Thought: []frequency{}}
	for _, u := range units {
		s.Files[u.path] = count{}
	}
	heavy := map[string]int{}
	for _, p := range a.places {
		s.Total.add(p.Effort)
		file := s.Files[p.File]
		file.add(p.Effort)
		s.Files[p.File] = file
		if p.Effort != simple && p.Kind != "callback" {
			heavy[p.Symbol]++
		}
	}
	for _, symbol := range slices.Sorted(maps.Keys(heavy)) {
		s.Thought = append(s.Thought, frequency{symbol, heavy[symbol]})
	}
	slices.SortStableFunc(s.Thought,
		func(x, y frequency) int { return cmp.Compare(y.Places, x.Places) })
	for k := range a.used {
		if s.Missing[k.Library] == nil {
			s.Missing[k.Library] = map[string][]string{}
			for _, v := range d.Versions(k.Library) {
				s.Missing[k.Library][v] = []string{}
			}
		}
		for v, lacks := range s.Missing[k.Library] {
			if !slices.Contains(k.Versions, v) {
				s.Missing[k.Library][v] = append(lacks, k.Name)
			}
		}
	}
	for _, versions := range s.Missing {
		for _, lacks := range versions {
			slices.Sort(lacks)
		}
	}
	return s
}

// some names symbols, but not too many.
func some(symbols []string) string {
	const most = 5
	switch {
	case len(symbols) == 0:
		return "nothing that is used"
	case len(symbols) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(symbols[:most], ", "), len(symbols)-most)
	}
	return strings.Join(symbols, ", ")
}

// goText names what replaces a place in Go.
func (p *place) goText() string {
	switch {
	case p.Kind == "include":
		return p.Note
	case p.notOffered:
		return "not offered"
	case p.Effort == open || p.Effort == unknown:
		return "?"
	case len(p.Go) == 0:
		return "nothing"
	}
	return strings.Join(p.Go, ", ")
}

// printReport writes the report for people. A note follows the first place of its
// symbol.
func printReport(stdout io.Writer, units []unit, a *analysis, s *summary) error {
	out := bufio.NewWriter(stdout)
	noted := map[string]bool{}
	for _, p := range a.places {
		fmt.Fprintf(out, "%s:%d: %s: %s", p.File, p.Line, p.Effort, p.Symbol)
		if p.Registered != "" {
			fmt.Fprintf(out, " (%s)", p.Registered)
		}
		fmt.Fprintf(out, " → %s\n", p.goText())
		about := p.Symbol
		if p.Kind == "callback" {
			about = p.Registered
		}
		if p.Note != "" && p.Kind != "include" && !noted[about] {
			noted[about] = true
			fmt.Fprintf(out, "\t%s\n", p.Note)
		}
	}
	if len(a.places) > 0 {
		fmt.Fprintln(out)
	}
	for _, u := range units {
		c := s.Files[u.path]
		fmt.Fprintf(out, "%s: %s\n", u.path, c.String())
	}
	if len(units) > 1 {
		fmt.Fprintf(out, "all: %s\n", s.Total.String())
	}
	for _, library := range slices.Sorted(maps.Keys(s.Missing)) {
		for _, version := range slices.Sorted(maps.Keys(s.Missing[library])) {
			fmt.Fprintf(out, "%s %s lacks %s.\n", library, version, some(s.Missing[library][version]))
		}
	}
	if len(s.Thought) > 0 {
		fmt.Fprintln(out, "What needs thought, with the number of places:")
		for _, f := range s.Thought {
			fmt.Fprintf(out, "%5d %s\n", f.Places, f.Symbol)
		}
	}
	return out.Flush()
}
