package gnutls

import (
	"context"
	"net"
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
	// net.Dialer.
	NetDialer *net.Dialer
	// Config configures the connections; nil means the zero Config. Where it
	// names no server, the host of the address is verified.
	Config *Config
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, addr string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, addr)
}

// DialContext connects to an address and runs the handshake; ctx bounds both.
// The returned connection is a *Conn. It fits http.Transport.DialTLSContext.
func (d *Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := d.NetDialer
	if dialer == nil {
		dialer = new(net.Dialer)
	}
	raw, err := dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	conn := Client(raw, d.Config)
	if conn.serverName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		conn.setServerName(host)
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}
