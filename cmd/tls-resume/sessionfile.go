package main

import (
	"fmt"
	"io"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/secretfile"
)

// A sessionFile is a file that session data are to be saved in. Only write
// changes it, and then at once as a whole.
type sessionFile struct{ pending *secretfile.Pending }

// createSessionFile finds out early whether the file can be written.
func createSessionFile(name string) (*sessionFile, error) {
	pending, err := secretfile.Create(name)
	if err != nil {
		return nil, err
	}
	return &sessionFile{pending}, nil
}

func (f *sessionFile) write(d *gnutls.SessionData) error {
	b, err := d.MarshalBinary()
	if err != nil {
		return err
	}
	return f.pending.Replace(b)
}

// discard removes what is left when write was not called or failed.
func (f *sessionFile) discard() { f.pending.Discard() }

// maxSessionFile is far more than session data need.
const maxSessionFile = 16 << 20

func readSessionFile(name string) (*gnutls.SessionData, error) {
	f, err := secretfile.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSessionFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxSessionFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxSessionFile)
	}
	d := new(gnutls.SessionData)
	if err := d.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return d, nil
}
