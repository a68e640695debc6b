package main

import (
	"errors"
	"io/fs"

	"github.com/gnucoap/gnucoap/gnutls"
)

// loadPool takes the tickets out of a file. It makes the file if it is missing.
func loadPool(file string) (*gnutls.TicketPool, error) {
	pool := new(gnutls.TicketPool)
	err := pool.Load(file)
	if errors.Is(err, fs.ErrNotExist) {
		err = pool.Save(file)
	}
	return pool, err
}
