package gnutls

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/secretfile"
)

const (
	maxFileKeys    = 4
	maxRetiredKeys = 4
	// ticketKeyInterval is the least time between two looks at a file.
	ticketKeyInterval = time.Second
)

// A TicketKeyFile is a file with the ticket keys that the replicas of a server
// share, for Config.TicketKeyFile. It holds one to four keys of TicketKeySize
// bytes, one after the other: tickets are encrypted with the first and accepted
// with any.
//
// The file is read again, at most once a second, when a connection starts its
// handshake; existing connections are not affected. When another key becomes the
// first, this process still accepts tickets of the previous one for as
// long as they live (gnutls_db_get_default_cache_expiration, 6 hours), even if
// the file no longer contains it. It does so for the last four such keys.
//
// When the file is missing or cannot be used, the keys stay as they are. The error
// is logged once by Config.Logger, and Err returns it until the file is good again.
//
// The group and others must not be able to write the file. They may be able to
// read it, because secrets are often mounted into containers that way: make sure
// that only the server can access them. The file must be replaced as a whole, as
// WriteTicketKeyFile does, or by changing a symbolic link.
//
// A TicketKeyFile keeps no file open. It may be shared by configurations and
// goroutines.
type TicketKeyFile struct {
	name string
	open func() (fs.File, error)
	now  func() time.Time

	mu      sync.Mutex // guards what follows
	reading bool
	checked time.Time    // when the file was read last
	keys    []*TicketKey // in the file
	retired []retiredKey // the newest first
	usable  []cgnutls.TicketKey
	err     error
}

// A retiredKey was the first in the file.
type retiredKey struct {
	key   *TicketKey
	until time.Time
}

// OpenTicketKeyFile reads the keys in a file. Its errors contain the file's name and
// what is wrong with it.
func OpenTicketKeyFile(path string) (*TicketKeyFile, error) {
	return openTicketKeys(path, func() (fs.File, error) {
		// Without O_NONBLOCK the opening of a pipe would wait for its writer.
		return os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	})
}

// OpenTicketKeyFS is like OpenTicketKeyFile for a file of a file system, which must be
// safe for concurrent use.
func OpenTicketKeyFS(fsys fs.FS, name string) (*TicketKeyFile, error) {
	return openTicketKeys(name, func() (fs.File, error) { return fsys.Open(name) })
}

func openTicketKeys(name string, open func() (fs.File, error)) (*TicketKeyFile, error) {
	f := &TicketKeyFile{name: name, open: open, now: time.Now}
	keys, err := f.read()
	if err != nil {
		return nil, err
	}
	f.keys = keys
	f.checked = f.now()
	f.prepare()
	return f, nil
}

// WriteTicketKeyFile writes one to four keys for OpenTicketKeyFile. Tickets will be
// encrypted with the first. The file gets mode 0600 and replaces an existing file, or
// symbolic link, in one step.
func WriteTicketKeyFile(path string, keys ...*TicketKey) error {
	if len(keys) == 0 || len(keys) > maxFileKeys || slices.Contains(keys, nil) {
		return fmt.Errorf(
			"gnutls: ticket key file %q: it takes 1 to %d keys, none of them nil; these are %d", path,
			maxFileKeys, len(keys))
	}
	var data []byte
	for _, k := range keys {
		data = append(data, k.key[:]...)
	}
	defer clear(data)
	pending, err := secretfile.Create(path)
	if err == nil {
		err = pending.Replace(data)
	}
	if err != nil {
		return fmt.Errorf("gnutls: ticket key file %q: %w", path, err)
	}
	return nil
}

// Err returns why the last attempt to read the file again failed, or nil. After a
// failure the keys of the last successful reading are in use.
func (f *TicketKeyFile) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// String does not reveal the keys.
func (f *TicketKeyFile) String() string { return fmt.Sprintf("TicketKeyFile(%q)", f.name) }

// GoString does not reveal the keys either.
func (f *TicketKeyFile) GoString() string { return f.String() }

// read returns the keys in the file.
func (f *TicketKeyFile) read() ([]*TicketKey, error) {
	keys, err := f.readFile()
	if err == nil {
		return keys, nil
	}
	var pathErr *fs.PathError // whose path is in the message already
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return nil, fmt.Errorf("gnutls: ticket key file %q: %w", f.name, err)
}

func (f *TicketKeyFile) readFile() ([]*TicketKey, error) {
	const most = maxFileKeys * TicketKeySize
	file, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return nil, fmt.Errorf("its mode %04o lets others than the owner write it", mode)
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1))
	defer clear(data)
	if err != nil {
		return nil, err
	}
	if len(data) > most {
		return nil, fmt.Errorf("it has more than %d keys of %d bytes", maxFileKeys, TicketKeySize)
	}
	if len(data) == 0 || len(data)%TicketKeySize != 0 {
		return nil, fmt.Errorf("it has %d bytes, which are not 1 to %d keys of %d bytes", len(data),
			maxFileKeys, TicketKeySize)
	}
	var keys []*TicketKey
	for b := range slices.Chunk(data, TicketKeySize) {
		key := &TicketKey{[TicketKeySize]byte(b)}
		if key.same(new(TicketKey)) {
			return nil, errors.New("a key consists of zeros")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func (k *TicketKey) same(other *TicketKey) bool { return bytes.Equal(k.key[:], other.key[:]) }

// current returns the keys for a connection that starts. It reads the file first if
// it has not been read for a while.
func (f *TicketKeyFile) current(log func(level slog.Level, msg string,
	args ...any)) []cgnutls.TicketKey {
	if f.due() {
		f.reload(log)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.usable
}

// due reports whether the caller is to read the file. Other callers do not read it
// meanwhile, and do not wait.
func (f *TicketKeyFile) due() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.reading || f.now().Sub(f.checked) < ticketKeyInterval {
		return false
	}
	f.reading = true
	return true
}

func (f *TicketKeyFile) reload(log func(level slog.Level, msg string, args ...any)) {
	keys, err := f.read()
	f.mu.Lock()
	news := err != nil && (f.err == nil || f.err.Error() != err.Error())
	changed := err == nil && !slices.EqualFunc(keys, f.keys, (*TicketKey).same)
	if changed {
		f.replace(keys)
	}
	f.err = err
	f.reading = false
	f.checked = f.now()
	f.prepare()
	f.mu.Unlock()
	switch {
	case news:
		log(slog.LevelWarn, "ticket keys not reloaded", "error", err)
	case changed:
		log(slog.LevelInfo, "ticket keys reloaded", "file", f.name, "keys", len(keys))
	}
}

// replace puts keys in the place of those of the file. The caller holds mu.
func (f *TicketKeyFile) replace(keys []*TicketKey) {
	first := f.keys[0]
	f.keys = keys
	if first.same(keys[0]) {
		return
	}
	f.retired = slices.DeleteFunc(f.retired, func(r retiredKey) bool { return r.key.same(first) })
	f.retired = slices.Insert(f.retired, 0, retiredKey{first, f.now().Add(cgnutls.TicketLifetime())})
	f.retired = f.retired[:min(len(f.retired), maxRetiredKeys)]
}

// prepare sets the keys for connections. The caller holds mu, or is the only one
// that knows f.
func (f *TicketKeyFile) prepare() {
	now := f.now()
	f.retired = slices.DeleteFunc(f.retired, func(r retiredKey) bool { return !now.Before(r.until) })
	accepted := slices.Clone(f.keys)
	for _, r := range f.retired {
		if !slices.ContainsFunc(accepted, r.key.same) {
			accepted = append(accepted, r.key)
		}
	}
	f.usable = nil
	for _, k := range accepted {
		f.usable = append(f.usable, cgnutls.NewNamedTicketKey(k.key, now))
	}
}
