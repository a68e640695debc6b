package coap

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// ErrServerClosed is what ListenAndServe returns after Shutdown or Close.
var ErrServerClosed = errors.New("coap: the server is closed")

// A Server answers the requests that come to the endpoints it listens on. The zero
// value, with a Handler, is ready for use. Each endpoint has a Node of its own, so
// that they do not wait for each other.
//
// Its methods may be called from any goroutine.
type Server struct {
	// Handler answers the requests.
	Handler Handler
	// Config configures the endpoints. Nil means the zero Config.
	Config *Config

	mu     sync.Mutex // guards what follows
	nodes  []*Node
	closed bool
	done   chan struct{} // closed with the server; made when needed
}

// An Endpoint is where a server listens.
type Endpoint struct {
	Protocol Protocol
	Addr     netip.AddrPort
}

// String returns the URI of the endpoint, such as "coap://127.0.0.1:5683".
func (e Endpoint) String() string { return e.Protocol.Scheme() + "://" + e.Addr.String() }

// ListenAndServe listens on several endpoints at once, see Listen, and answers
// requests until Shutdown or Close: then it returns ErrServerClosed.
func (s *Server) ListenAndServe(uris ...string) error {
	if _, err := s.Listen(uris...); err != nil {
		return err
	}
	<-s.ended()
	return ErrServerClosed
}

func (s *Server) ended() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done == nil {
		s.done = make(chan struct{})
	}
	return s.done
}

// Listen begins to answer requests that come to endpoints, and returns where they are. An
// endpoint is written as scheme://host:port, such as "coap://:5683": the scheme says which
// transport, no host means all addresses, no port the default one of the scheme, and port 0
// any that is free. Without URIs it is "coap://". Where one cannot be had, none of them is.
func (s *Server) Listen(uris ...string) ([]Endpoint, error) {
	if len(uris) == 0 {
		uris = []string{"coap://"}
	}
	var endpoints []Endpoint
	var nodes []*Node
	for _, uri := range uris {
		c, e, err := s.listen(uri)
		if err != nil {
			for _, c := range nodes {
				c.Close()
			}
			return nil, err
		}
		nodes, endpoints = append(nodes, c), append(endpoints, e)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		for _, c := range nodes {
			c.Close()
		}
		return nil, ErrServerClosed
	}
	s.nodes = append(s.nodes, nodes...)
	return endpoints, nil
}

func (s *Server) listen(uri string) (c *Node, e Endpoint, err error) {
	proto, addrs, err := parseEndpoint(uri)
	if err != nil {
		return nil, e, err
	}
	for _, addr := range addrs {
		if c, err = NewNode(s.Config); err != nil {
			return nil, e, err
		}
		c.Handle(s.Handler)
		var bound netip.AddrPort
		if bound, err = c.Listen(addr, proto); err == nil {
			return c, Endpoint{proto, bound}, nil
		}
		c.Close()
	}
	return nil, e, err
}

// parseEndpoint returns the addresses to try, the best first.
func parseEndpoint(uri string) (proto Protocol, addrs []netip.AddrPort, err error) {
	failed := func(format string, args ...any) (Protocol, []netip.AddrPort, error) {
		return 0, nil, fmt.Errorf("coap: endpoint %q: %s", uri, fmt.Sprintf(format, args...))
	}
	scheme, rest, ok := strings.Cut(uri, "://")
	proto, known := schemes[scheme]
	if !ok || !known {
		return failed("it does not begin with one of coap://, coaps://, coap+tcp://, coaps+tcp://")
	}
	host, port := rest, proto.DefaultPort()
	if h, p, err := net.SplitHostPort(rest); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return failed("port %q is not one of 0 to 65535", p)
		}
		host, port = h, uint16(n)
	}
	host = strings.Trim(host, "[]")
	if host == "" {
		return proto, []netip.AddrPort{
			netip.AddrPortFrom(netip.IPv6Unspecified(), port), // and IPv4
			netip.AddrPortFrom(netip.IPv4Unspecified(), port), // where there is no IPv6
		}, nil
	}
	ips, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", host)
	if err != nil {
		return failed("%v", err)
	}
	for _, ip := range ips {
		addrs = append(addrs, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return proto, addrs, nil
}

// SetPKI gives the endpoints over DTLS and TLS other certificates, see Node.SetPKI: for
// instance when the files were renewed. What listens later has those of the Config.
func (s *Server) SetPKI(pki *PKI) error {
	s.mu.Lock()
	nodes := slices.Clone(s.nodes)
	s.mu.Unlock()
	for _, c := range nodes {
		if !c.isSecured() {
			continue
		}
		if err := c.SetPKI(pki); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) isSecured() bool {
	n.l.look()
	defer n.l.endLook()
	return n.l.endpoints.secure
}

// Close ends all sessions and frees what the server has. Handlers that run go on, but
// nobody gets their answer. Further calls do nothing.
func (s *Server) Close() error {
	for _, c := range s.shut() {
		c.Close()
	}
	return nil
}

// shut marks the server as closed and returns its nodes, also when another call
// waits for them to be done.
func (s *Server) shut() []*Node {
	done := s.ended()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		close(done)
	}
	return slices.Clone(s.nodes)
}

// Shutdown answers new requests with 5.03, waits for the handlers that run, and then
// closes the server. When ctx ends before they do, it closes at once and returns
// the error of ctx. Close ends it too.
func (s *Server) Shutdown(ctx context.Context) error {
	nodes := s.shut()
	var err error
	for _, c := range nodes {
		select {
		case <-c.drain():
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	for _, c := range slices.Backward(nodes) {
		c.Close()
	}
	return err
}
