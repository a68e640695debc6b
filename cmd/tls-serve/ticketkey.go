package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gnucoap/gnucoap/gnutls"
)

// loadTicketKey reads a ticket key and makes the file if it is missing. When
// several processes make it at the same time, all get the key of the first.
func loadTicketKey(file string) (*gnutls.TicketKey, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createTicketKey(file); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		f, err = os.Open(file)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("its mode %04o lets others at the key; it must be 0600", mode)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return gnutls.ParseTicketKey(b)
}

// createTicketKey writes a new key, unless the file exists. The file has its
// whole content from the start.
func createTicketKey(file string) error {
	key, err := gnutls.NewTicketKey()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".tls-serve-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(key.Bytes())
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Link(tmp.Name(), file)
}
