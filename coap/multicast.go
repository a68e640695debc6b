package coap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/netip"
	"sync"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// The groups of all CoAP nodes (RFC 7252, section 12.8): of IPv4, and of IPv6 on
// a link and in a site.
var (
	AllNodesIPv4      = netip.MustParseAddr("224.0.1.187")
	AllNodesLinkLocal = netip.MustParseAddr("ff02::fd")
	AllNodesSiteLocal = netip.MustParseAddr("ff05::fd")
)

// JoinGroup makes the Node's endpoints for UDP also take requests for a multicast group that come
// over an interface. A nil ifi means the interface that the group's zone names, or else the
// system's choice. The endpoints must listen on all addresses, and for a group of IPv6 on those of
// IPv6. The group is left when the Node is closed.
//
// Requests for a group have Request.Multicast set. Responses are sent after a random time, see
// Config.Leisure; errors, and 2.05 without a body, are not sent at all (RFC 7252, section 8),
// unless the request has the option No-Response, which then says what is not wanted (RFC 7967,
// section 2.1). Confirmable requests are dropped.
//
// libcoap 4.2.1 joins only groups of IPv6, and only on the interface of the system's choice:
// otherwise the error is ErrNotSupported. It never sends an error to a group.
//
// JoinGroup wraps coap_join_mcast_group_intf.
func (n *Node) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	failed := func(err error) error { return &Error{Op: "join", Peer: group.String(), Err: err} }
	network := group.Zone()
	if ifi != nil {
		network = ifi.Name
	}
	group = group.Unmap().WithZone("")
	if err := checkGroup(group, network, ifi != nil); err != nil {
		return failed(err)
	}
	if err := n.l.enter(); err != nil {
		return failed(err)
	}
	defer n.l.leave()
	if !n.l.endpoints.hear(group) {
		return failed(errNoGroupEndpoint)
	}
	if err := n.l.native.JoinGroup(group, network); err != nil {
		return failed(err)
	}
	return nil
}

var errNoGroupEndpoint = errors.New(
	"no UDP endpoint listens on all addresses of the group's family")

// checkGroup finds the interfaces for which libcoap would take another one without telling.
func checkGroup(group netip.Addr, network string, named bool) error {
	named = named || network != ""
	switch {
	case !group.IsMulticast():
		return errNoGroup
	case !Supports(FeatureAnyGroup) && (group.Is4() || named):
		return ErrNotSupported
	case !named:
		return nil
	}
	i, err := net.InterfaceByName(network)
	if err != nil {
		return fmt.Errorf("there is no interface %q", network)
	}
	if group.Is6() {
		return nil
	}
	addrs, err := i.Addrs()
	if err != nil {
		return err
	}
	for _, addr := range addrs {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil {
			return nil
		}
	}
	return fmt.Errorf("interface %q has no address of IPv4", network)
}

var errNoGroup = errors.New("not a multicast address")

// JoinGroup makes the endpoints for UDP that listen on all addresses, as with "coap://:5683", join
// a multicast group, as Node.JoinGroup does. It applies to the endpoints that listen already.
func (s *Server) JoinGroup(group netip.Addr, ifi *net.Interface) error {
	s.mu.Lock()
	nodes, closed := s.nodes, s.closed
	s.mu.Unlock()
	if closed {
		return ErrServerClosed
	}
	err := error(&Error{Op: "join", Peer: group.String(), Err: errNoGroupEndpoint})
	for _, c := range nodes {
		switch e := c.JoinGroup(group, ifi); {
		case e == nil:
			err = nil
		case !errors.Is(e, errNoGroupEndpoint):
			return e
		}
	}
	return err
}

// A GroupResponse is what one peer answers to a request for a group.
type GroupResponse struct {
	From netip.AddrPort
	Response
}

// Multicast sends a request to a multicast group over UDP, once and not
// confirmable, and yields the responses as they come, one a peer, until ctx ends:
// nobody knows who will respond, so that is no error. An error, if any, comes
// last: the request could not be sent, or the Node was closed. Peers take
// some seconds to respond, see Config.Leisure, and those that have nothing to say
// do not.
//
// Port 0 of group means 5683. Which interface the request leaves by is said by
// local's address with IPv4, and by group's zone with IPv6; a zero local leaves it
// to the system. Large responses are not put together: where one has the option
// Block2, the rest is to be asked of its sender (RFC 7959, section 2.8). How far the
// request goes, Config.MulticastHops says. It must fit into one message, and cannot
// have a Source or a Sink.
//
// Any number of goroutines may do this at once: each request has a session of its own.
// libcoap sends to groups as to anybody else, with coap_send.
func (n *Node) Multicast(ctx context.Context, local, group netip.AddrPort,
	r *Request) iter.Seq2[*GroupResponse, error] {
	return func(yield func(*GroupResponse, error) bool) {
		if err := n.multicast(ctx, local, group, r,
			func(g *GroupResponse) bool { return yield(g, nil) }); err != nil {
			yield(nil,
				&Error{Op: r.Method.String(), Peer: UDP.Scheme() + "://" + group.String(), Err: cause(err)})
		}
	}
}

func (n *Node) multicast(ctx context.Context, local, group netip.AddrPort, r *Request,
	yield func(*GroupResponse) bool) error {
	if !group.Addr().Unmap().IsMulticast() {
		return errNoGroup
	}
	if r.Source != nil || r.Sink != nil {
		return errGroupBody
	}
	if err := r.check(r.Options); err != nil {
		return err
	}
	if err := n.l.mayWait(); err != nil {
		return err
	}
	s, err := n.NewClientSession(local, group, UDP)
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.setHops(); err != nil {
		return err
	}
	responses := &groupCall{c: s.c, heard: make(map[netip.AddrPort]bool), news: make(chan struct{}, 1)}
	m := ccoap.Message{Type: ccoap.NonConfirmable, Code: int(r.Method), Token: r.Token,
		Options: r.Options.encode(), Body: r.Body}
	if _, err := s.start(&m, responses); err != nil {
		return err
	}
	for {
		select {
		case <-responses.news:
		case <-ctx.Done():
			return nil
		}
		came, err := responses.take()
		for _, g := range came {
			if !yield(g) {
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// setHops does what Config.MulticastHops says.
func (s *Session) setHops() error {
	hops := s.c.l.config.MulticastHops
	if hops == 0 {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	return s.c.native.SetHops(hops)
}

var errGroupBody = errors.New("a request for a group cannot have a Source or a Sink")

// A groupCall collects the responses to a request for a group.
type groupCall struct {
	c     *conn
	heard map[netip.AddrPort]bool // who has responded
	news  chan struct{}

	mu   sync.Mutex // guards what follows
	came []*GroupResponse
	err  error
}

func (g *groupCall) receive(m ccoap.Message) bool {
	_, from := g.c.native.Addresses()
	if g.heard[from] {
		return true
	}
	g.heard[from] = true
	response := Response{Code: Code(m.Code), Options: decodeOptions(m.Options), Body: m.Body}
	g.mu.Lock()
	g.came = append(g.came, &GroupResponse{from, response})
	g.mu.Unlock()
	g.notify()
	return true
}

func (g *groupCall) fail(err error) {
	g.mu.Lock()
	g.err = err
	g.mu.Unlock()
	g.notify()
}

func (g *groupCall) notify() {
	select {
	case g.news <- struct{}{}:
	default:
	}
}

func (g *groupCall) take() ([]*GroupResponse, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	came := g.came
	g.came = nil
	return came, g.err
}
