package main

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/gnucoap/gnucoap/gnutls"
)

// A sessionFile is a file that session data are to be saved in. Only write
// changes it, and then at once as a whole.
type sessionFile struct {
	name string
	tmp  *os.File
}

// createSessionFile finds out early whether the file can be written.
func createSessionFile(name string) (*sessionFile, error) {
	tmp, err := os.CreateTemp(filepath.Dir(name), ".tls-resume-*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &sessionFile{name, tmp}, nil
}

func (f *sessionFile) write(d *gnutls.SessionData) error {
	b, err := d.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = f.tmp.Write(b)
	if err = errors.Join(err, f.tmp.Sync(), f.tmp.Close()); err != nil {
		return err
	}
	return os.Rename(f.tmp.Name(), f.name)
}

// discard removes what is left when write was not called or failed.
func (f *sessionFile) discard() {
	f.tmp.Close()
	os.Remove(f.tmp.Name())
}

func readSessionFile(name string) (*gnutls.SessionData, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	d := new(gnutls.SessionData)
	if err := d.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	return d, nil
}
