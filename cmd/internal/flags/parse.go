package flags

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime/debug"

	"github.com/gnucoap/gnucoap/gnutls"
)

// New returns a set of flags with -version.
func New(name string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Bool("version", false, "print the version")
	return fs
}

// Parse parses the flags of a set from New. Where the help or the version is asked for, it prints
// that and returns flag.ErrHelp. libraries are those that the command uses beside GnuTLS, with
// their versions.
func Parse(fs *flag.FlagSet, args []string, usage string, stdout io.Writer,
	libraries ...string) error {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintln(stdout, "Usage:", usage)
		fs.SetOutput(stdout)
		fs.PrintDefaults()
		return err
	case err != nil:
		return Errorf("%w", err)
	case fs.Lookup("version").Value.String() == "true":
		PrintVersion(stdout, fs.Name(), libraries...)
		return flag.ErrHelp
	}
	return nil
}

// PrintVersion prints the versions of a command, of GnuTLS, and of other libraries.
func PrintVersion(w io.Writer, name string, libraries ...string) {
	version := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	fmt.Fprintf(w, "%s %s\nGnuTLS %s\n", name, version, gnutls.LibraryVersion())
	for _, library := range libraries {
		fmt.Fprintln(w, library)
	}
}
