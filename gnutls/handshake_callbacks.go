package gnutls

import (
	"context"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// callbacks returns what GnuTLS may call during the handshake.
func (c *Conn) callbacks(ctx context.Context) *cgnutls.Callbacks {
	cb := &cgnutls.Callbacks{Enter: c.enter, Err: c.handshaking.failed}
	if c.client {
		return cb
	}
	if get := c.config.GetPSK; get != nil {
		cb.PSK = func(identity []byte) ([]byte, error) { return get(ctx, string(identity)) }
	}
	if byName := c.native.byName; byName != nil {
		cb.ClientHello = func(name string) *cgnutls.CertificateCredentials {
			if subset := byName.forName(name); subset != nil {
				return subset.c
			}
			return nil
		}
	}
	if c.config.LimitTickets != nil {
		cb.LimitTickets = c.limitTickets(c.handshaking.session.s)
	}
	if c.native.early != nil {
		cb.EarlyData = c.takeAntiReplay
		cb.ReplayAdd = c.recordEarly(ctx)
	}
	c.addStore(ctx, cb)
	return cb
}

// addStore adds the store of TLS 1.2 sessions. That of this package never waits.
func (c *Conn) addStore(ctx context.Context, cb *cgnutls.Callbacks) {
	store := c.native.store
	enter := c.enter
	if c.config.SessionStore == nil {
		enter = func() error { return nil }
	}
	cb.StorePut = func(id, data []byte, expires time.Time) error {
		if err := enter(); err != nil {
			return err
		}
		return store.Put(ctx, id, data, expires)
	}
	cb.StoreGet = func(id []byte) ([]byte, error) {
		if c.handshaking.declines {
			return nil, nil
		}
		if err := enter(); err != nil {
			return nil, err
		}
		return store.Get(ctx, id)
	}
	cb.StoreDelete = func(id []byte) error {
		if err := enter(); err != nil {
			return err
		}
		return store.Delete(ctx, id)
	}
}
