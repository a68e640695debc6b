package flags

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gnucoap/gnucoap/gnutls"
)

// TicketKeys opens a file of ticket keys, and makes it if it is missing.
// When several processes make it at the same time, all get the key of the
// first.
func TicketKeys(file string) (*gnutls.TicketKeyFile, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createTicketKey(file); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		info, err = os.Stat(file)
	}
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("its mode %04o gives others access to the key; it must be 0600", mode)
	}
	return gnutls.OpenTicketKeyFile(file)
}

// createTicketKey writes a new key, unless the file exists. The file has its
// whole content from the start.
func createTicketKey(file string) error {
	key, err := gnutls.NewTicketKey()
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".ticket-key-*") // mode 0600
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
