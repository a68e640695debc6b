package gnutls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// DefaultHandshakeTimeout is how long the handshake of Dial, or of a Dialer without
// any other limit, may take.
const DefaultHandshakeTimeout = 10 * time.Second

// Dial connects to an address, runs the handshake as a client and returns the
// connection. If config has no ServerName, the host of addr is verified. A nil
// config is the zero Config. The handshake may take DefaultHandshakeTimeout.
func Dial(network, addr string, config *Config) (*Conn, error) {
	conn, err := (&Dialer{Config: config}).DialContext(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	return conn.(*Conn), nil
}

// A Dialer makes TLS connections. Its methods may be called from any
// goroutine.
type Dialer struct {
	// NetDialer makes the underlying connections; nil means the zero
	// net.Dialer. As in crypto/tls, its Timeout and Deadline bound the whole of
	// Dial, the handshake and all attempts of Race included.
	NetDialer *net.Dialer
	// HandshakeTimeout is how long a handshake may take once the underlying
	// connection is established; with Race it applies to each attempt. 0 means
	// DefaultHandshakeTimeout unless the context or NetDialer has a limit, and a
	// negative value means no limit. net/http removes the deadline of a request from
	// the context, and applies Transport.TLSHandshakeTimeout only to its own
	// handshakes: without a limit here a server that is silent occupies one of
	// MaxConnsPerHost forever.
	HandshakeTimeout time.Duration
	// Config configures the connections; nil means the zero Config. If it has no
	// ServerName, the host of the address is verified.
	Config *Config
	// Race makes DialContext try all addresses of the host, IPv6 and IPv4
	// alternately, and use the first whose handshake completes (RFC 8305). The next
	// attempt starts when one has failed, or after AttemptDelay. Each attempt
	// offers a ticket of its own; one that was not sent is given back to
	// Config.ClientSessionCache.
	//
	// Without Race, NetDialer alone races the addresses, for the underlying
	// connection.
	Race bool
	// AttemptDelay is how long an attempt has before the next one starts: 10 ms
	// to 2 s. 0 means 250 ms, as RFC 8305 section 5 recommends.
	AttemptDelay time.Duration
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext connects to an address and runs the handshake; ctx bounds both.
// The returned connection is a *Conn. It fits http.Transport.DialTLSContext.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if d.NetDialer != nil {
		if limit := d.NetDialer.Timeout; limit != 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, limit)
			defer cancel()
		}
		if limit := d.NetDialer.Deadline; !limit.IsZero() {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, limit)
			defer cancel()
		}
	}
	var conn *Conn
	var err error
	if d.Race {
		conn, err = d.race(ctx, network, addr)
	} else {
		conn, err = d.attempt(ctx, network, addr, hostOf(addr), 1)
	}
	if err != nil {
		return nil, err
	}
	return conn, nil
}

// attempt makes one connection. host is the name of the server where the
// configuration has none, and racing the number of attempts that it is one of.
func (d *Dialer) attempt(ctx context.Context, network, addr, host string, racing int) (*Conn,
	error) {
	dialer := d.NetDialer
	if dialer == nil {
		dialer = new(net.Dialer)
	}
	raw, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := Client(raw, d.Config)
	conn.racing = racing
	if conn.serverName == "" {
		conn.setServerName(host)
	}
	if err := d.handshake(ctx, conn); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// handshake runs the handshake of a connection within its bounds.
func (d *Dialer) handshake(ctx context.Context, conn *Conn) error {
	limit := d.handshakeLimit(ctx)
	if limit <= 0 {
		return conn.HandshakeContext(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := conn.HandshakeContext(limited)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return fmt.Errorf("gnutls: the handshake with %s is not complete after %v: %w", conn.RemoteAddr(),
			limit, err)
	}
	return err
}

// handshakeLimit returns how long a handshake may take, or a value that is not
// positive if only ctx limits it.
func (d *Dialer) handshakeLimit(ctx context.Context) time.Duration {
	if _, bounded := ctx.Deadline(); d.HandshakeTimeout == 0 && !bounded {
		return DefaultHandshakeTimeout
	}
	return d.HandshakeTimeout
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
