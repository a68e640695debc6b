package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/gnucoap/gnucoap/cmd/internal/progress"
)

// longRun is the number of further connections that a progress bar shows up
// for.
const longRun = 10

// A report tells the user about the results.
type report struct {
	opts    *options
	out     io.Writer
	results []result
	bar     *progressbar.ProgressBar // nil if there is none
}

func newReport(opts *options, stdout, stderr io.Writer) *report {
	rep := &report{opts: opts, out: stdout}
	if opts.n >= longRun && !opts.json && progress.IsTerminal(stderr) {
		rep.bar = progress.NewBar(stderr, int64(opts.n+1), "connecting", progressbar.OptionShowCount())
	}
	return rep
}

// add takes in the next result.
func (rep *report) add(r result) {
	rep.results = append(rep.results, r)
	if rep.opts.json {
		enc := json.NewEncoder(rep.out)
		enc.SetEscapeHTML(false)
		enc.Encode(r)
	}
	if rep.bar != nil {
		rep.bar.Add(1)
	}
}

// good reports whether every connection was made and went as it should.
func (rep *report) good() bool {
	for _, r := range rep.results {
		if r.Error != "" {
			return false
		}
	}
	return len(rep.results) == rep.opts.n+1
}

// finish prints the table and the conclusion, unless the output is JSON or
// there was no connection at all.
func (rep *report) finish() {
	if rep.bar != nil {
		rep.bar.Finish()
	}
	if rep.opts.json || len(rep.results) == 0 || rep.results[0].Version == "" {
		return
	}
	w := tabwriter.NewWriter(rep.out, 0, 0, 2, ' ', 0)
	early := rep.opts.early != ""
	header := "#\tversion\tcipher\tgroup\tresumed\ttickets\tlifetime\thandshake\t"
	if early {
		header += "early data\t"
	}
	fmt.Fprintln(w, header+"note")
	for _, r := range rep.results {
		lifetime := "-"
		if r.TicketLifetime > 0 {
			lifetime = (time.Duration(r.TicketLifetime) * time.Second).String()
		}
		tickets := fmt.Sprint(r.Tickets)
		if r.ExpectedTickets != nil {
			tickets += fmt.Sprintf(" of %d", *r.ExpectedTickets)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\t%s\t%s\t%.1f ms\t", r.Connection,
			dash(r.Version), dash(r.Cipher), dash(r.Group), yesNo(r.Resumed), tickets, lifetime,
			r.HandshakeMs)
		if early {
			fmt.Fprintf(w, "%s\t", yesNo(r.EarlyData))
		}
		fmt.Fprintln(w, r.Error)
	}
	w.Flush()
	fmt.Fprintln(rep.out)
	fmt.Fprintln(rep.out, rep.conclusion())
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// conclusion sums the results up in a sentence, and says why where nothing
// resumed.
func (rep *report) conclusion() string {
	further, resumed := 0, 0
	var why *result
	for i, r := range rep.results {
		if !r.further {
			continue
		}
		further++
		if r.Resumed {
			resumed++
		} else if why == nil {
			why = &rep.results[i]
		}
	}
	if resumed > 0 || why == nil {
		return fmt.Sprintf("%d of %d further connections resumed.", resumed, further)
	}
	s := "Nothing was resumed: " + strings.TrimSuffix(why.Error, ".") + "."
	if why.advice != "" {
		s += " " + why.advice
	}
	return s
}
