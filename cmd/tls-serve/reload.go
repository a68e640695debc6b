package main

import (
	"context"
	"os"

	"github.com/gnucoap/gnucoap/gnutls"
)

// load loads what the flags name. What must outlive a change of the files is that of the
// configuration before, if there is one: the keys of the tickets and the record of early data.
func (o *options) load(before *gnutls.Config) (*gnutls.Config, error) {
	config, err := o.config()
	switch {
	case err != nil:
		return nil, err
	case before != nil:
		config.TicketKey, config.TicketKeyFile, config.AntiReplay = before.TicketKey,
			before.TicketKeyFile, before.AntiReplay
		return config, nil
	case config.TicketKeyFile == nil:
		if config.TicketKey, err = gnutls.NewTicketKey(); err != nil {
			return nil, err
		}
	}
	config.AntiReplay = gnutls.NewAntiReplay(0)
	return config, nil
}

// reload loads the files again for each signal until ctx ends. Where they cannot be used,
// connections continue as before.
func (l *listener) reload(ctx context.Context, signals <-chan os.Signal, opts *options,
	config *gnutls.Config) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		next, err := opts.load(config)
		if err != nil {
			l.log.Error("not reloaded", "error", err)
			continue
		}
		next.Logger = config.Logger
		l.reloaded.Store(next)
		l.log.Info("reloaded")
	}
}
