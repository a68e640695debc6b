package gnutls

import (
	"errors"
	"net"
)

type listener struct {
	net.Listener
	config *Config
}

// Accept returns the next connection. Its handshake runs with its first Read,
// Write or Handshake, so that a slow client does not delay others.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Server(conn, l.config), nil
}

// NewListener returns a listener whose Accept returns the connections of inner
// as TLS servers (*Conn). Errors in config are returned by the handshakes; Listen
// returns them at once.
func NewListener(inner net.Listener, config *Config) net.Listener {
	return &listener{inner, config}
}

// Listen listens on an address for TLS connections. Config needs Certificates
// or GetPSK. An error in it is returned here.
func Listen(network, addr string, config *Config) (net.Listener, error) {
	if config == nil {
		return nil, errors.New("gnutls: Listen needs a Config")
	}
	if _, err := config.native(true); err != nil {
		return nil, err
	}
	inner, err := net.Listen(network, addr)
	if err != nil {
		return nil, err
	}
	return NewListener(inner, config), nil
}
