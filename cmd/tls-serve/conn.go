package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

// listener gives out connections whose handshake has a limit and is logged.
type listener struct {
	net.Listener
	reloaded atomic.Pointer[gnutls.Config] // nil: that of Listener
	limit    time.Duration
	log      *slog.Logger
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tls := c.(*gnutls.Conn)
	if config := l.reloaded.Load(); config != nil {
		tls = gnutls.Server(tls.NetConn(), config)
	}
	return &conn{Conn: tls, limit: l.limit, log: l.log.With("peer", c.RemoteAddr())}, nil
}

// conn makes its handshake with the first Read, as gnutls.Conn does.
type conn struct {
	*gnutls.Conn
	limit time.Duration
	log   *slog.Logger

	once sync.Once
	err  error
}

func (c *conn) Read(p []byte) (int, error) {
	if err := c.handshake(); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c *conn) handshake() error {
	c.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), c.limit)
		defer cancel()
		c.err = c.HandshakeContext(ctx)
		if c.err != nil {
			if ctx.Err() != nil {
				c.err = fmt.Errorf("no handshake within %v: %w", c.limit, c.err)
			}
			c.log.Warn("connection", "error", c.err)
			return
		}
		st := c.ConnectionState()
		log := c.log
		if st.EarlyDataAccepted {
			log = log.With("early_data", st.EarlyData)
		}
		log.Info("connection", "version", gnutls.VersionName(st.Version), "cipher", st.CipherSuiteName,
			"resumed", st.DidResume)
	})
	return c.err
}
