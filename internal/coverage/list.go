package coverage

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/internal/csource"
)

// A List is what the headers of one version of a library declare.
type List struct {
	Library string // "libcoap" or "GnuTLS"
	Version string
	Symbols []Symbol
}

// A Symbol is a public name of a library.
type Symbol struct {
	csource.Symbol
	Header string // such as "net.h"
}

// Name returns the name of the list's file.
func (l *List) Name() string { return strings.ToLower(l.Library) + "-" + l.Version + ".txt" }

// listHead begins the file of a list.
const listHead = `# What the headers of %s %s declare: kind, name, header, and the type of a field
# that is not one of C itself. Written by "make coverage"; do not edit.
`

// Marshal returns the contents of the list's file.
func (l *List) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, listHead, l.Library, l.Version)
	for _, s := range l.Symbols {
		fmt.Fprintln(&b, strings.TrimSpace(strings.Join([]string{s.What, s.Name, s.Header, s.Of}, " ")))
	}
	return b.Bytes()
}

// parseList parses the contents of a list's file.
func parseList(name string, text []byte) (*List, error) {
	library, version, ok := strings.Cut(strings.TrimSuffix(name, ".txt"), "-")
	l := &List{Version: version}
	switch library {
	case "libcoap":
		l.Library = "libcoap"
	case "gnutls":
		l.Library = "GnuTLS"
	default:
		ok = false
	}
	if !ok {
		return nil, fmt.Errorf("%s: a list is called library-version.txt", name)
	}
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		if len(fields) < 3 || len(fields) > 4 {
			return nil, fmt.Errorf("%s: bad line %q", name, line)
		}
		s := Symbol{Header: fields[2]}
		s.What, s.Name = fields[0], fields[1]
		if len(fields) == 4 {
			s.Of = fields[3]
		}
		l.Symbols = append(l.Symbols, s)
	}
	return l, nil
}

// ReadHeaders returns the lists of the libraries whose headers are in an include
// directory such as /usr/include.
func ReadHeaders(include fs.FS) ([]*List, error) {
	var lists []*List
	for _, dir := range []string{"coap2", "coap3"} {
		files, err := fs.Glob(include, dir+"/*.h")
		if err != nil || len(files) == 0 {
			continue
		}
		// uthash.h is a library of its own, which 4.2.1 installs beside its own headers.
		files = slices.DeleteFunc(files, func(f string) bool { return path.Base(f) == "uthash.h" })
		l, err := readHeaders(include, files, dir+"/coap.h", "LIBCOAP_PACKAGE_VERSION")
		if err != nil {
			return nil, err
		}
		l.Library = "libcoap"
		lists = append(lists, l)
	}
	if _, err := fs.Stat(include, "gnutls/gnutls.h"); err == nil {
		l, err := readHeaders(include, []string{"gnutls/gnutls.h", "gnutls/dtls.h", "gnutls/socket.h"},
			"gnutls/gnutls.h", "GNUTLS_VERSION")
		if err != nil {
			return nil, err
		}
		l.Library = "GnuTLS"
		lists = append(lists, l)
	}
	if len(lists) == 0 {
		return nil, errors.New("no headers of libcoap or GnuTLS")
	}
	return lists, nil
}

// system are names of the C library that headers define where it lacks them.
var system = []string{"INET6_ADDRSTRLEN"}

// readHeaders returns the list of some headers, of which one defines the
// version in a macro.
func readHeaders(include fs.FS, files []string, versionFile, versionMacro string) (*List, error) {
	l := &List{}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := fs.ReadFile(include, file)
		if err != nil {
			return nil, err
		}
		if file == versionFile {
			m := regexp.MustCompile(`(?m)^#\s*define\s+` + versionMacro + `\s+"([0-9.]+)"`).FindSubmatch(
				text)
			if m == nil {
				return nil, fmt.Errorf("%s: no %s", file, versionMacro)
			}
			l.Version = string(m[1])
		}
		tokens, err := csource.Tokens(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		for _, s := range csource.Symbols(tokens) {
			if !seen[s.Name] && !slices.Contains(system, s.Name) {
				seen[s.Name] = true
				l.Symbols = append(l.Symbols, Symbol{s, path.Base(file)})
			}
		}
	}
	return l, nil
}

// WriteList writes a list's file into a directory.
func WriteList(dir string, l *List) error {
	return os.WriteFile(filepath.Join(dir, l.Name()), l.Marshal(), 0o644)
}
