package coap

import (
	"cmp"
	"errors"
	"net/netip"
	"runtime"
	"sync"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A Node is the host of CoAP endpoints and sessions (RFC 7252, section 1.2): the addresses that a
// program listens on and the sessions that it has. Nodes share nothing, so they do not wait for
// each other. A Node wraps a coap_context_t.
//
// Close frees it. A node that becomes unreachable is closed by the garbage collector, unless it has
// endpoints or client sessions. Its methods may be called from any goroutine.
//
// The callbacks of handshakes (PSK, ServerPSK, PKI with its signers, LimitTickets) run while the
// node waits, one at a time. They must be quick, and must not use the node or its sessions:
// one that does not return within 10 s fails the handshake. A panic fails it with a
// *PanicError.
type Node struct {
	l       *loop
	cleanup runtime.Cleanup
}

// NewNode returns a node without endpoints and sessions. A nil config means the zero Config. It
// wraps coap_new_context.
func NewNode(config *Config) (*Node, error) {
	if config == nil {
		config = &Config{}
	}
	if err := cmp.Or(checkLibrary(), config.check()); err != nil {
		return nil, &Error{Op: "node", Err: err}
	}
	l, err := newLoop(*config)
	if err != nil {
		return nil, &Error{Op: "node", Err: err}
	}
	c := &Node{l: l}
	c.cleanup = runtime.AddCleanup(c, func(l *loop) { go l.driver.close() }, l)
	return c, nil
}

// Close ends all sessions, stops listening, and frees the node. Whoever waits
// for something in it gets net.ErrClosed. Further calls do nothing. It wraps
// coap_free_context. A context that is borrowed goes back to its C program instead. Close
// returns an error in a callback of libcoap that has called Go.
func (n *Node) Close() error {
	n.cleanup.Stop()
	if err := n.l.driver.close(); err != nil {
		return &Error{Op: "close", Err: err}
	}
	return nil
}

// listening serialises Listen, which reads a static buffer of libcoap.
var listening sync.Mutex

// Listen takes requests on an address and returns it, with the port that the
// system chose where addr has none. For an unspecified address of IPv6 that
// means IPv4 too. It wraps coap_new_endpoint: what secures the endpoint must
// have been set before. Endpoints live as long as the Node.
func (n *Node) Listen(addr netip.AddrPort, proto Protocol) (netip.AddrPort, error) {
	failed := func(err error) (netip.AddrPort, error) {
		return netip.AddrPort{},
			&Error{Op: "listen", Peer: proto.String() + " " + addr.String(), Err: err}
	}
	if !addr.Addr().IsValid() {
		return failed(errNoAddress)
	}
	if _, ok := nativeProtocols[proto]; !ok {
		return failed(errNoProtocol)
	}
	if err := n.l.enter(); err != nil {
		return failed(err)
	}
	defer n.l.leave()
	if proto.Secure() {
		if err := n.l.secureEndpoint(); err != nil {
			return failed(err)
		}
		n.l.endpoints.secure = true
	}
	listening.Lock()
	defer listening.Unlock()
	bound, err := n.l.native.Listen(addr, nativeProtocols[proto])
	if err != nil {
		return failed(err)
	}
	n.l.endpoints.add(bound.Addr(), proto)
	n.cleanup.Stop() // it serves until Close
	return bound, nil
}

var (
	errNoAddress  = errors.New("no IP address")
	errNoProtocol = errors.New("no such protocol")
)

var nativeProtocols = map[Protocol]ccoap.Protocol{UDP: ccoap.UDP, DTLS: ccoap.DTLS, TCP: ccoap.TCP,
	TLS: ccoap.TLS}

var protocols = map[ccoap.Protocol]Protocol{ccoap.UDP: UDP, ccoap.DTLS: DTLS, ccoap.TCP: TCP,
	ccoap.TLS: TLS}
