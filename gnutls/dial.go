package gnutls

import (
	"context"
	"net"
	"time"
)

// Dial connects to an address, runs the handshake as a client and returns the
// connection. Where config names no server, the host of addr is verified. A nil
// config is the zero Config.
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
	// net.Dialer. With Race its Timeout is for the look-up of the host and again
	// for each connection; its Deadline is for all of them.
	NetDialer *net.Dialer
	// Config configures the connections; nil means the zero Config. Where it
	// names no server, the host of the address is verified.
	Config *Config
	// Race makes DialContext try all addresses of the host, IPv6 and IPv4 in
	// turn, and take the first whose handshake is done (RFC 8305). The next
	// attempt starts when one has failed, or after AttemptDelay. Each attempt
	// offers a ticket of its own; one that was not sent goes back to
	// Config.ClientSessionCache.
	//
	// Without Race the addresses are raced by NetDialer for the underlying
	// connection alone.
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
func (d *Dialer) attempt(ctx context.Context, network, addr, host string, racing int) (*Conn, error) {
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
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func hostOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return host
}
