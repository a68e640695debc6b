package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/secretfile"
)

// A sessionFile is that of --session. As a gnutls.ClientSessionCache it has the one session of the
// file, whatever the server: the session itself knows what it is for.
type sessionFile struct {
	name    string
	pending *secretfile.Pending

	mu      sync.Mutex          // guards what follows
	before  *gnutls.SessionData // what the file holds, may be nil
	session *gnutls.SessionData
	offered *gnutls.SessionData
}

// openSession reads the file of --session, and finds out early whether it can be written.
func openSession(name string) (*sessionFile, error) {
	d, err := readSession(name)
	if err != nil {
		return nil, err
	}
	pending, err := secretfile.Create(name)
	if err != nil {
		return nil, err
	}
	return &sessionFile{name: name, pending: pending, before: d, session: d}, nil
}

// maxSession is far more than session data need, in bytes.
const maxSession = 1 << 20

// readSession returns nil where the file is missing, or was written by another version.
func readSession(name string) (*gnutls.SessionData, error) {
	f, err := secretfile.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSession+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSession {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSession)
	}
	d := new(gnutls.SessionData)
	err = d.UnmarshalBinary(b)
	switch {
	case errors.Is(err, gnutls.ErrSessionFormat):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return d, nil
}

// Get implements gnutls.ClientSessionCache. A session for one use leaves the file at
// once: another run may be reading it, and this one may be killed.
func (f *sessionFile) Get(string) *gnutls.SessionData {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.offered = f.session
	if f.session == nil || !f.session.SingleUse() {
		return f.offered
	}
	if f.session == f.before && os.Remove(f.name) != nil { // another run has taken it
		f.offered = nil
	}
	f.session, f.before = nil, nil
	return f.offered
}

// Put implements gnutls.ClientSessionCache.
func (f *sessionFile) Put(_ string, d *gnutls.SessionData) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = d
}

// Decline implements gnutls.SessionDecliner.
func (f *sessionFile) Decline(_ string, d *gnutls.SessionData) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.session == d {
		f.session = nil
	}
}

// forget reports whether a handshake that has failed may succeed without a session, because
// the server answered the one of the file with an alert. Then it is offered no more.
func (f *sessionFile) forget(err error) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	var failed *coap.HandshakeError
	if f.offered == nil || !errors.As(err, &failed) || failed.Alert == 0 || failed.Sent {
		return false
	}
	f.session, f.offered = nil, nil
	return true
}

// keep takes the newest session of s, if one has come.
func (f *sessionFile) keep(s *coap.Session) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if d, err := s.SessionData(ended); err == nil {
		f.Put("", d)
	}
}

// save makes the file hold the session for the next run, or removes it where there is none.
func (f *sessionFile) save() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	defer f.pending.Discard()
	if f.session == f.before {
		return nil
	}
	if err := f.write(); err != nil {
		return flags.Bad("-session", f.name, err)
	}
	return nil
}

func (f *sessionFile) write() error {
	if f.session == nil {
		if err := os.Remove(f.name); !errors.Is(err, fs.ErrNotExist) { // another run may have done it
			return err
		}
		return nil
	}
	b, err := f.session.MarshalBinary()
	if err != nil {
		return err
	}
	return f.pending.Replace(b)
}
