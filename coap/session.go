package coap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A Session is the state between two peers over one transport: an address pair
// with UDP, a connection with DTLS, TCP and TLS. Clients make sessions with Dial
// or Node.NewClientSession; at a server they come with requests.
//
// A client's session is open until Close or the last Release, or until it ends
// by itself: Done tells. A server keeps a session while it is used and for the
// idle time (Config.IdleTimeout) after that. The methods may be called from any
// goroutine. A Session wraps libcoap's coap_session_t, of which it holds one
// reference.
type Session struct {
	c       *conn
	node    *Node  // keeps it reachable; nil for sessions of a server
	owned   bool   // Close closes the Node too
	host    string // the name that it was dialled with
	cleanup runtime.Cleanup
}

// NewClientSession opens a session to a server: it has a reference count of 1.
// Port 0 of server means the default port of proto, and a zero local leaves the local
// address to the system. It does not wait for the connection, see Ready. DTLS and
// TLS are secured as Config.PSK or Config.PKI says.
//
// It wraps coap_new_client_session.
func (n *Node) NewClientSession(local, server netip.AddrPort, proto Protocol) (*Session, error) {
	return n.newSessionTo("", local, server, proto)
}

// newSessionTo is NewClientSession for a server whose name is known.
func (n *Node) newSessionTo(host string, local, server netip.AddrPort, proto Protocol) (*Session,
	error) {
	var s *security
	if proto.Secure() {
		s = n.l.security(host)
	}
	return n.newSession(local, server, proto, s)
}

// newSession opens a session, with security if proto has some.
func (n *Node) newSession(local, server netip.AddrPort, proto Protocol,
	security *security) (*Session, error) {
	if server.Port() == 0 {
		server = netip.AddrPortFrom(server.Addr(), proto.DefaultPort())
	}
	err := n.checkSession(local, server, proto, security)
	var c *conn
	if err == nil {
		c, err = n.openSession(local, server, proto, security)
	}
	if err != nil {
		return nil, &Error{Op: "session", Peer: proto.String() + " " + server.String(), Err: err}
	}
	s := &Session{c: c, node: n}
	s.cleanup = runtime.AddCleanup(s, abandon, c)
	return s, nil
}

// checkSession names what is wrong with the parameters of a new session.
func (n *Node) checkSession(local, server netip.AddrPort, proto Protocol,
	security *security) error {
	_, known := nativeProtocols[proto]
	switch {
	case !known:
		return errNoProtocol
	case proto.Secure() != (security != nil):
		return errors.New("credentials are for DTLS and TLS")
	case !server.Addr().IsValid():
		return errNoAddress
	case n.l.shared && security != nil:
		return errNotOurs
	case local.IsValid() && local.Addr().Is4() != server.Addr().Is4():
		return errors.New("the local address is of another family")
	}
	return nil
}

// openSession opens the native session and gives it its parameters, and one reference.
func (n *Node) openSession(local, server netip.AddrPort, proto Protocol, security *security) (*conn,
	error) {
	if security != nil {
		security.prepare(n.l, n.roots(), server, proto)
	}
	if err := n.l.enter(); err != nil {
		security.abandon(func(f func()) { f() })
		return nil, err
	}
	defer n.l.leave()
	native, id, err := n.l.openNative(local, server, nativeProtocols[proto], security)
	if err != nil {
		security.abandon(n.l.todo.unlocked)
		return nil, err
	}
	c := n.l.newConn(id, native, false, false)
	c.security = security
	c.watch()
	c.usage.references = 1
	c.configure()
	return c, nil
}

func (l *loop) openNative(local, server netip.AddrPort, proto ccoap.Protocol,
	security *security) (ccoap.Session, ccoap.SessionID, error) {
	if security == nil {
		return l.native.NewSession(local, server, proto)
	}
	return security.open(l, local, server, proto)
}

// abandon closes the session of which no Session is left. It runs on the
// goroutine of all cleanups, which must not wait.
func abandon(c *conn) { go c.session.close() }

// configure sets the transmission parameters of a new session.
func (c *conn) configure() {
	if c.ended != nil {
		return
	}
	config := c.l.config
	c.native.SetTransmission(
		ccoap.Fixed(config.AckTimeout/time.Millisecond),
		ccoap.Fixed(config.AckRandomFactor*1000),
		uint16(orDefault(config.MaxRetransmit, defaultMaxRetransmit)), uint16(config.NSTART))
	if config.MTU != 0 {
		c.native.SetMTU(config.MTU)
	}
}

// close ends the session.
func (s *Session) close() {
	if s.enter() != nil {
		return
	}
	defer s.leave()
	c := s.c
	if c.l.nested() { // libcoap may use the session
		c.l.todo.locked(func() { c.end(net.ErrClosed) })
	} else {
		c.end(net.ErrClosed)
	}
}

// Reference increments the reference count, and returns s. A session with
// references is not evicted when it is idle. It wraps
// coap_session_reference.
func (s *Session) Reference() *Session {
	s.look()
	s.c.usage.references++
	s.endLook()
	return s
}

// Release decrements the reference count. A client's session is closed when that
// gets to 0; a server's is kept for the idle time. Where there is no reference
// left to give back, or the session is over, the error is net.ErrClosed. It wraps
// coap_session_release.
func (s *Session) Release() error {
	last, err := s.release()
	if err != nil {
		return s.failed("release", err)
	}
	if last {
		return s.Close()
	}
	return nil
}

// release gives a reference back. It reports whether it was a client's last.
func (s *Session) release() (last bool, err error) {
	if s.enter() != nil {
		return false, net.ErrClosed
	}
	defer s.leave()
	c := s.c
	if c.usage.references == 0 {
		return false, net.ErrClosed
	}
	c.usage.references--
	return c.usage.references == 0 && !c.server, nil
}

// Close ends the session, whatever its reference count: whoever waits for
// something in it gets net.ErrClosed. Further calls do nothing.
func (s *Session) Close() error {
	if s.owned {
		s.node.Close()
	}
	s.close()
	s.cleanup.Stop()
	return nil
}

// Done returns a channel that is closed when the session is over, and Err tells
// why.
func (s *Session) Done() <-chan struct{} { return s.c.done }

// Err returns why the session is over: net.ErrClosed where this side has closed
// it, and nil while it is open.
func (s *Session) Err() error {
	s.look()
	defer s.endLook()
	return s.c.ended
}

// Ready waits until messages can be exchanged: until the handshake and, over TCP
// and TLS, the exchange of capabilities are over. Requests may be made before; they
// wait by themselves.
func (s *Session) Ready(ctx context.Context) error {
	if err := s.c.l.mayWait(); err != nil {
		return s.failed("connect", err)
	}
	select {
	case <-s.c.ready.done:
	default:
		select {
		case <-s.c.ready.done:
		case <-ctx.Done():
			return s.failed("connect", ctx.Err())
		}
	}
	if err := s.Err(); err != nil {
		return s.failed("connect", err)
	}
	return nil
}

func (s *Session) failed(op string, err error) error {
	return &Error{Op: op, Peer: s.c.uri(), Err: err}
}

// uri names the other end in errors.
func (c *conn) uri() string { return c.proto.Scheme() + "://" + c.remote.String() }

// LocalAddr returns this side's address. Over TCP and TLS a client has one when
// it is connected. It wraps coap_session_get_addr_local.
func (s *Session) LocalAddr() netip.AddrPort {
	s.look()
	defer s.endLook()
	if s.c.ended == nil {
		s.c.local, _ = s.c.native.Addresses()
	}
	return s.c.local
}

// RemoteAddr returns the peer's address. It wraps
// coap_session_get_addr_remote.
func (s *Session) RemoteAddr() netip.AddrPort { return s.c.remote }

// Protocol returns the transport.
func (s *Session) Protocol() Protocol { return s.c.proto }

// IsServer reports whether the peer has opened the session, and this side is the
// server.
func (s *Session) IsServer() bool { return s.c.server }

// A State is how far a session is.
type State int

const (
	StateClosed      State = iota // it is over, or has not begun to connect
	StateConnecting               // a TCP connection is being made
	StateHandshake                // the DTLS or TLS handshake is going on
	StateCSM                      // the peer's capabilities are awaited (RFC 8323, section 5.3)
	StateEstablished              // messages can be exchanged
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case StateConnecting:
		return "connecting"
	case StateHandshake:
		return "handshake"
	case StateCSM:
		return "capabilities"
	case StateEstablished:
		return "established"
	}
	return "closed"
}

var states = map[ccoap.State]State{
	ccoap.StateConnecting:  StateConnecting,
	ccoap.StateHandshake:   StateHandshake,
	ccoap.StateCSM:         StateCSM,
	ccoap.StateEstablished: StateEstablished,
}

// State returns how far the session is. It wraps coap_session_get_state.
func (s *Session) State() State {
	if s.enter() != nil {
		return StateClosed
	}
	defer s.leave()
	return states[s.c.native.State()]
}

// enter locks the loop for the use of the native session. The error says why that is over.
func (s *Session) enter() error {
	s.c.l.look()
	if err := s.c.ended; err != nil {
		s.c.l.endLook()
		return err
	}
	return nil
}

func (s *Session) leave() { s.c.l.leave() }

func (s *Session) look() { s.c.l.look() }

func (s *Session) endLook() { s.c.l.endLook() }

// context returns a context that ends with the session.
func (s *Session) context() context.Context {
	s.look()
	defer s.endLook()
	return s.c.context.get(s.c.ended)
}

// A contextOf is the context of a session, which is made when it is asked for.
type contextOf struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
}

// get returns the context; ended says why the session is over.
func (c *contextOf) get(ended error) context.Context {
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		c.end(ended)
	}
	return c.ctx
}

// end is called when the session is over.
func (c *contextOf) end(err error) {
	if c.cancel != nil && err != nil {
		c.cancel(err)
	}
}

// SetMTU bounds the size of messages, in bytes without the headers of IP, UDP and
// TCP, from 64 to 65535. It wraps coap_session_set_mtu.
func (s *Session) SetMTU(bytes int) error {
	if bytes < minMTU || bytes > maxMTU {
		return s.failed("set MTU", errors.New("the MTU must be from 64 to 65535"))
	}
	if err := s.enter(); err != nil {
		return s.failed("set MTU", err)
	}
	defer s.leave()
	s.c.native.SetMTU(bytes)
	s.c.transfers.mtu.Store(int32(bytes))
	return nil
}

// MaxPDUSize returns the most bytes that a message to the peer may have, with its
// header, token and options; 0 when the session is over. Over TCP and TLS it is
// 1152 until the peer has told (RFC 8323, section 5.3.1). It wraps
// coap_session_max_pdu_size.
func (s *Session) MaxPDUSize() int {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	return s.c.native.MaxPDUSize()
}

// SetAppData keeps any value with the session. It wraps
// coap_session_set_app_data.
func (s *Session) SetAppData(v any) {
	s.look()
	s.c.appData = v
	s.endLook()
}

// AppData returns what SetAppData was given last, or nil. It wraps
// coap_session_get_app_data.
func (s *Session) AppData() any {
	s.look()
	defer s.endLook()
	return s.c.appData
}

// describing serialises String, which reads a static buffer of libcoap.
var describing sync.Mutex

// String describes the session: both addresses, the interface and the protocol,
// as libcoap writes them. It wraps coap_session_str.
func (s *Session) String() string {
	if s.enter() != nil {
		return s.c.remote.String() + " " + s.c.proto.String() + " (closed)"
	}
	defer s.leave()
	describing.Lock()
	defer describing.Unlock()
	return s.c.native.String()
}
