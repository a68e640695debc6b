// Command coap-migrate reports what replaces each use of libcoap in a C program in Go.
//
//	coap-migrate server.c resources.c
//	coap-migrate --json server.c
//
// It reads C sources and prints a line for each use of libcoap or GnuTLS: where
// it is, how much work it is, and its counterpart in packages coap and gnutls
// or in Go's standard library. A note on what to think of follows the first use
// of a symbol. The functions that the program registers as callbacks are listed
// where they are defined, and calls that register one name it.
//
//	server.c:12: simple: coap_new_context → coap.NewNode
//
// The work is one of
//
//	simple   the use can be replaced as it stands, or goes away
//	thought  the program has to change around it
//	open     Go lacks it; if the report says "not offered", there is no plan for it
//	unknown  no public header of a supported version of libcoap has it, or it is
//	         in another part of GnuTLS than TLS
//
// A summary follows: the numbers of uses, what versions of the libraries lack of
// them, and which symbols need thought.
//
// It needs neither the libraries nor a C compiler. The sources are read as they
// are: without what they include, and with all branches of conditional code apart
// from #if 0. Fields of structures are found where their variable is declared in
// the same file. All sources of a program should be given together: a callback may
// be registered in one and defined in another.
//
// With --json the report is one object: places is a list of objects with the keys
// file, line, kind, symbol, library, go, effort, note and registered, and summary
// has the keys total, files, missing and thought.
//
// # Exit status
//
//	0  the report is there
//	2  bad usage, or a file that cannot be read or is not C: the report covers the others
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gnucoap/gnucoap/internal/coverage"
	"github.com/gnucoap/gnucoap/internal/csource"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run makes the report and returns the exit status.
func run(args []string, stdout, stderr io.Writer) int {
	err := migrate(args, stdout)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		for _, line := range strings.Split(err.Error(), "\n") {
			fmt.Fprintln(stderr, "coap-migrate:", line)
		}
		return 2
	}
	return 0
}

func migrate(args []string, stdout io.Writer) error {
	asJSON, files, err := parse(args, stdout)
	if err != nil {
		return err
	}
	var units []unit
	var unread error
	for _, file := range files {
		tokens, err := read(file)
		if err != nil {
			unread = errors.Join(unread, err)
			continue
		}
		units = append(units, unit{file, tokens})
	}
	if len(units) == 0 {
		return unread
	}
	if err := report(units, asJSON, stdout); err != nil {
		return err
	}
	return unread
}

func report(units []unit, asJSON bool, stdout io.Writer) error {
	data, err := coverage.Load()
	if err != nil {
		return err
	}
	a := analyse(data, units)
	s := summarise(data, units, a)
	if !asJSON {
		return printReport(stdout, units, a, s)
	}
	enc := json.NewEncoder(stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	return enc.Encode(struct {
		Places  []place  `json:"places"`
		Summary *summary `json:"summary"`
	}{a.places, s})
}

// parse reads the command line, on which flags may also follow files. It prints
// the help to stdout where that is asked for, and then returns flag.ErrHelp.
func parse(args []string, stdout io.Writer) (asJSON bool, files []string, err error) {
	fs := flag.NewFlagSet("coap-migrate", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&asJSON, "json", false, "print the report as a JSON object")
	for {
		if err := fs.Parse(args); errors.Is(err, flag.ErrHelp) {
			fs.SetOutput(stdout)
			fmt.Fprintln(stdout, "Usage: coap-migrate [--json] FILE.c…")
			fs.PrintDefaults()
			return false, nil, err
		} else if err != nil {
			return false, nil, err
		}
		if fs.NArg() == 0 {
			break
		}
		for _, f := range files {
			if f == fs.Arg(0) {
				return false, nil, fmt.Errorf("%q is given twice", f)
			}
		}
		files = append(files, fs.Arg(0))
		args = fs.Args()[1:]
	}
	if len(files) == 0 {
		return false, nil, errors.New("no C source is given")
	}
	return asJSON, files, nil
}

// read reads a C source.
func read(file string) ([]csource.Token, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		var path *os.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	tokens, err := csource.Tokens(text)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", file, err)
	}
	return tokens, nil
}
