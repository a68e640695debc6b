package coap

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// Dial opens a session to the server of a URI such as "coaps://example.org" or
// "coap+tcp://[2001:db8::1]:5683/any/path", of which scheme, host and port
// count. The scheme says which transport: coap is UDP, coaps DTLS, coap+tcp TCP,
// coaps+tcp TLS. A nil config means the zero Config.
//
// The host's addresses are tried in turn. Over DTLS, TCP and TLS Dial returns
// when the connection stands and, with DTLS and TLS, the server has proved who it
// is. Over UDP there is nothing to wait for: that nobody is there shows with the
// first request. The session has a Node of its own, and its Close frees both.
func Dial(ctx context.Context, uri string, config *Config) (*Session, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	failed := func(err error) (*Session, error) {
		return nil, &Error{Op: "dial", Peer: u.Protocol.Scheme() + "://" + u.Address(), Err: err}
	}
	addrs, err := resolve(ctx, u)
	if err != nil {
		return failed(err)
	}
	for _, addr := range addrs {
		var s *Session
		var declined bool
		if s, declined, err = dial(ctx, u, addr, config, false); declined {
			s, _, err = dial(ctx, u, addr, config, true)
		}
		if err == nil {
			return s, nil
		}
		if ctx.Err() != nil || !errors.Is(err, ErrUnreachable) {
			break
		}
	}
	return failed(cause(err))
}

// resolve returns the addresses of a URI's host.
func resolve(ctx context.Context, u *URI) ([]netip.AddrPort, error) {
	port := orDefault(u.Port, u.Protocol.DefaultPort())
	if ip, err := netip.ParseAddr(u.Host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip, port)}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", u.Host)
	if err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), port)
	}
	return addrs, nil
}

// dial opens a session to one address; fresh: without a session to resume. declined says
// that it may have failed for the one that was offered: some servers cannot resume and say
// so with an alert.
func dial(ctx context.Context, u *URI, addr netip.AddrPort, config *Config, fresh bool) (s *Session,
	declined bool, err error) {
	c, err := NewNode(config)
	if err != nil {
		return nil, false, err
	}
	c.l.credentials.fresh = fresh
	if s, err = c.dial(u, addr); err != nil {
		c.Close()
		return nil, false, err
	}
	s.owned = true
	if err := s.Ready(ctx); err != nil {
		s.Close()
		return nil, s.declined(), err
	}
	return s, false, nil
}

func (s *Session) declined() bool {
	s.look()
	defer s.endLook()
	return s.c.security != nil && s.c.security.declined
}

func (n *Node) dial(u *URI, addr netip.AddrPort) (*Session, error) {
	s, err := n.newSessionTo(u.Host, netip.AddrPort{}, addr, u.Protocol)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(u.Host); err != nil {
		s.host = u.Host
	}
	return s, nil
}

// cause returns what an Error is about.
func cause(err error) error {
	if e := (*Error)(nil); errors.As(err, &e) {
		return e.Err
	}
	return err
}
