// Package coapflags holds what the command lines of coap-client and coap-server
// share: flags as getopt(3) takes them, credentials, and the files of lines that
// have three fields. Its errors are flags.Error.
package coapflags

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
)

// A Set is the flags of a command.
type Set struct {
	*pflag.FlagSet
	// Since43 are the short flags that libcoap 4.2 does not have.
	Since43 string
	// Old says that --compat=4.2 is given.
	Old bool
	// Legacy says that --legacy-exit is given.
	Legacy bool
}

// New returns a set with --compat and --legacy-exit.
func New(name, since43 string) *Set {
	s := &Set{FlagSet: pflag.NewFlagSet(name, pflag.ContinueOnError), Since43: since43}
	s.SetOutput(io.Discard)
	s.SortFlags = false
	return s
}

// AddCommon defines --compat, --legacy-exit and --version, which come last in the help.
func (s *Set) AddCommon(legacy string) {
	s.Func("compat", "interpret flags as libcoap `version` 4.2 or 4.3 does", func(v string) error {
		if v != "4.2" && v != "4.3" {
			return errors.New("neither 4.2 nor 4.3")
		}
		s.Old = v == "4.2"
		return nil
	})
	s.BoolVar(&s.Legacy, "legacy-exit", false, legacy)
	s.Bool("version", false, "print the version")
}

// Parse reads the command line. For --help and --version it prints that to stdout and returns
// pflag.ErrHelp.
func (s *Set) Parse(args []string, usage string, stdout io.Writer) error {
	err := s.FlagSet.Parse(s.separate(args))
	if errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintf(stdout, "Usage: %s\n%s", usage, s.FlagUsagesWrapped(80))
		return err
	}
	if err != nil {
		return flags.Errorf("%w", err)
	}
	if s.Changed("version") {
		flags.PrintVersion(stdout, s.Name(), "libcoap "+coap.Version())
		return pflag.ErrHelp
	}
	if s.Old {
		s.Visit(func(f *pflag.Flag) {
			if err == nil && f.Shorthand != "" && strings.Contains(s.Since43, f.Shorthand) {
				err = flags.Errorf("-%s: libcoap 4.2 does not have it, and --compat=4.2 is given", f.Shorthand)
			}
		})
	}
	return err
}

// separate takes arguments such as -Nmput apart into -N -m put, as getopt reads
// them. Left to itself, pflag drops the = of -e=text.
func (s *Set) separate(args []string) (out []string) {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return append(out, args[i:]...)
		case strings.HasPrefix(arg, "--"):
			out = append(out, arg)
			name, _, attached := strings.Cut(arg[2:], "=")
			if f := s.Lookup(name); f != nil && f.NoOptDefVal == "" && !attached && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		case arg == "-" || !strings.HasPrefix(arg, "-"):
			out = append(out, arg)
		default:
			separated, more := s.separateShort(arg[1:])
			out = append(out, separated...)
			if more && i+1 < len(args) {
				i++
				out = append(out, args[i])
			}
		}
	}
	return out
}

// separateShort reports whether the last flag lacks its value.
func (s *Set) separateShort(letters string) (out []string, more bool) {
	for i := range len(letters) {
		f := s.ShorthandLookup(letters[i : i+1])
		switch value := letters[i+1:]; {
		case f == nil:
			return append(out, "-"+letters[i:]), false
		case f.NoOptDefVal != "":
			out = append(out, "-"+f.Shorthand)
		case value != "":
			return append(out, "-"+f.Shorthand, value), false
		default:
			return append(out, "-"+f.Shorthand), true
		}
	}
	return out, false
}

// Number defines a flag for a number from least to most.
func (s *Set) Number(to *int, name, short, usage string, least, most int) {
	s.FuncP(name, short, usage, func(v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least || n > most {
			return fmt.Errorf("not a number from %d to %d", least, most)
		}
		*to = n
		return nil
	})
}

// BlockMode defines -L.
func (s *Set) BlockMode() {
	s.FuncP("block-mode", "L",
		"sum of libcoap's `flags` for block-wise transfers; ignored, except that 1 must be among them",
		func(v string) error {
			n, err := strconv.ParseUint(v, 0, 32)
			if err != nil || n&1 == 0 {
				return errors.New("not a number that includes 1")
			}
			return nil
		})
}
