package coap

import (
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/handle"
)

// secured is what secures the sessions of a context.
type secured struct {
	clients int // kinds of client sessions that there have been

	// Of servers.
	psk        *ServerPSK
	hintNames  []string
	pki        *PKI
	leaves     []*x509.Certificate
	clientCAs  *cgnutls.CertificateCredentials
	owner      any // of clientCAs
	otherNames int

	roots *gnutls.CertPool
}

// Kinds of client sessions.
const (
	withPSK = 1 << iota
	withPKI
)

// callbackLimit is how long a callback of the user may keep the loop locked.
var callbackLimit = 10 * time.Second

var errRefused = errors.New("libcoap refused the credentials")

// secureServer calls set, which gives the servers of a context credentials.
func (c *Context) secureServer(set func() error) error {
	err := c.l.lock()
	if err == nil {
		defer c.l.unlock()
	}
	if err == nil && c.l.shared {
		err = errNotOurs
	}
	if err == nil && c.l.secured.clients != 0 {
		err = errors.New("the context has client sessions already")
	}
	if err == nil && c.l.listening {
		err = errors.New("the context listens already")
	}
	if err == nil {
		err = set()
	}
	if err != nil {
		return &Error{Op: "credentials", Err: err}
	}
	return nil
}

// secureEndpoint makes sure that a server has credentials, those of the Config if
// it was given no others.
func (l *loop) secureEndpoint() error {
	if l.shared || l.secured.psk != nil || l.secured.pki != nil {
		return nil
	}
	if l.secured.clients != 0 {
		return errors.New("the context has client sessions already")
	}
	if l.config.ServerPSK.GetKey != nil {
		if err := l.setPSK(&l.config.ServerPSK); err != nil {
			return err
		}
	}
	if l.config.PKI.presents() {
		if err := l.setPKI(&l.config.PKI); err != nil {
			return err
		}
	}
	if l.secured.psk == nil && l.secured.pki == nil {
		return errors.New("there are neither certificates nor pre-shared keys")
	}
	return nil
}

// A security is what secures one session of a client: one of psk and pki is set.
type security struct {
	psk  *PSK
	pki  *PKI
	name string // of the server

	creds    *cgnutls.CertificateCredentials // of pki
	owner    any                             // of creds
	watched  bool
	verified bool
	failed   error        // why the peer was not accepted
	sent     gnutls.Alert // to tell it
	received gnutls.Alert
	heard    bool // something else has come from the server
	began    time.Time
}

// security returns what the Config says for a session to a host.
func (l *loop) security(host string) *security {
	if l.config.PSK.isSet() {
		return &security{psk: &l.config.PSK, name: host}
	}
	return &security{pki: &l.config.PKI, name: host}
}

// open makes the native session.
func (s *security) open(l *loop, local, server netip.AddrPort, proto ccoap.Protocol) (native ccoap.Session, id ccoap.SessionID, err error) {
	kind, others := withPKI, l.secured.psk != nil
	if s.psk != nil {
		kind, others = withPSK, l.secured.pki != nil
	}
	if others || l.secured.clients&^kind != 0 {
		return native, 0, errors.New("the context has sessions with pre-shared keys or with certificates, and this one is of the other kind")
	}
	if err := need(FeatureBothRoles, "secured clients and servers in one context", l.secured.psk != nil || l.secured.pki != nil); err != nil {
		return native, 0, err
	}
	if s.psk != nil {
		if err := s.psk.check(); err != nil {
			return native, 0, err
		}
		s.name = orDefault(s.psk.ServerName, s.name)
		native, id, err = s.newPSK(l, local, server, proto)
	} else {
		s.name = orDefault(orDefault(s.pki.ServerName, s.name), server.Addr().WithZone("").Unmap().String())
		native, id, err = s.newPKI(l, local, server, proto)
	}
	if err == nil {
		l.secured.clients |= kind
	}
	return native, id, err
}

// watch takes the GnuTLS session of a client over, as soon as there is one. Before
// that nothing has come from the server over DTLS. Over TLS libcoap may read once, and a
// server that is fast has answered by then: see onVerify.
func (c *conn) watch() {
	s := c.security
	if s == nil || s.watched {
		return
	}
	p := c.native.TLS()
	if p == nil {
		return
	}
	s.watched = true
	s.began = time.Now()
	b := cgnutls.Borrow(p, false)
	code := b.Watch(&cgnutls.Watcher{
		Verify: func() bool { return c.verify(b) },
		End:    func(alert uint8, heard bool) { s.received, s.heard = gnutls.Alert(alert), heard },
	})
	if code >= 0 && c.proto == DTLS && s.pki != nil && s.pki.RawPublicKey == nil {
		code = b.SetCertificateCredentials(s.creds)
	}
	if code < 0 {
		c.fail(gnutls.ErrorCode(code))
	}
	if c.proto == DTLS {
		c.l.greeting = append(c.l.greeting, c)
	}
}

// tcpConnected is called when the connection of a client stands that TLS goes over.
func (c *conn) tcpConnected() {
	s := c.security
	if s == nil {
		return
	}
	c.watch()
	p := c.native.TLS()
	switch {
	case p == nil || s.verified:
		return
	case s.failed != nil: // libcoap does not see that
		c.fail(s.failed)
		return
	}
	if b := cgnutls.Borrow(p, false); len(b.State().PeerChain) > 0 && !c.verify(b) {
		c.fail(s.failed) // a raw public key, which libcoap takes as it is
	}
}

// fail ends a client's session whose handshake goes wrong, when libcoap is done.
func (c *conn) fail(err error) {
	if c.security.failed == nil {
		c.security.failed = err
	}
	c.l.events = append(c.l.events, func() { c.end(c.handshakeError()) })
}

// greet finds the clients over DTLS whose handshakes are over: libcoap tells only
// of those that fail.
func (l *loop) greet() {
	l.greeting = slices.DeleteFunc(l.greeting, func(c *conn) bool {
		if c.ended == nil && c.native.State() == ccoap.StateEstablished {
			c.up()
		}
		return c.isUp || c.ended != nil
	})
}

// verify decides on what the server of a client session has sent.
func (c *conn) verify(b cgnutls.Borrowed) bool {
	s := c.security
	if s.pki == nil {
		return false
	}
	if s.verified || s.failed != nil { // it was asked before: GnuTLS sees to it that the certificate stays the same
		return s.verified
	}
	s.failed = s.pki.verify(b, s.creds, s.name, true)
	if s.failed != nil {
		s.sent = gnutls.Alert(bridge.RejectionAlert(s.failed))
		b.SendAlert(uint8(s.sent))
		c.fail(s.failed) // libcoap 4.2.1 would wait for a timeout
		return false
	}
	s.verified = true
	return true
}

// verify applies the configuration to what a peer has sent.
func (p *PKI) verify(b cgnutls.Borrowed, creds *cgnutls.CertificateCredentials, name string, client bool) error {
	st := b.State()
	if st.RawKey {
		return p.verifyRaw(st.PeerChain[0])
	}
	if p.VerifyRawPublicKey != nil {
		return errors.New("the peer sent a certificate in place of a raw public key")
	}
	state, err := connectionState(st)
	if err != nil {
		return err
	}
	if client {
		state.ServerName = name
	}
	chain, err := bridge.VerifyPeer(b, creds, name, client)
	switch {
	case err == nil:
		state.VerifiedChains = [][]*x509.Certificate{chain}
	case client && p.InsecureSkipVerify:
		state.VerifyError = err
	default:
		return err
	}
	if p.VerifyConnection == nil {
		return nil
	}
	_, err = handle.GuardFor(callbackLimit, func() (struct{}, error) { return struct{}{}, p.VerifyConnection(state) })
	return callbackError(err)
}

func (p *PKI) verifyRaw(der []byte) error {
	if p.VerifyRawPublicKey == nil {
		return errRawKey
	}
	key, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return err
	}
	_, err = handle.GuardFor(callbackLimit, func() (struct{}, error) { return struct{}{}, p.VerifyRawPublicKey(key) })
	return callbackError(err)
}

var errRawKey = errors.New("the peer sent a raw public key in place of a certificate")

// callbackError returns the error of a callback, and what PanicError promises of a panic.
func callbackError(err error) error {
	var p *handle.PanicError
	if errors.As(err, &p) {
		return &PanicError{Value: p.Value, Stack: p.Stack}
	}
	return err
}

func connectionState(st cgnutls.State) (gnutls.ConnectionState, error) {
	state, err := bridge.ConnectionState(st)
	return state.(gnutls.ConnectionState), err
}

// onVerify decides where libcoap asks: about clients of a server, and about what came for a client
// session before it was watched.
func (l *loop) onVerify(tls unsafe.Pointer) bool {
	id, client := ccoap.Peer(cgnutls.Borrow(tls, true).Transport())
	b := cgnutls.Borrow(tls, !client)
	if client {
		c := l.conns[id]
		if c == nil || c.security == nil {
			return false
		}
		c.watch()
		return c.verify(b)
	}
	if l.secured.pki == nil {
		return false
	}
	err := l.secured.pki.verify(b, l.secured.clientCAs, "", false)
	if err != nil {
		l.warn("client refused", "error", err)
		b.SendAlert(bridge.RejectionAlert(err))
	}
	return err == nil
}

// onUnfinished logs that the handshake of a client failed: that is all that shows, over
// DTLS, of one whose pre-shared key has another value.
func (l *loop) onUnfinished(proto ccoap.Protocol, peer netip.AddrPort) {
	l.warn("handshake not completed", "peer", protocols[proto].Scheme()+"://"+peer.String())
}

// onAccepted tells a client over TLS whose handshake has failed as soon as it came, because
// libcoap does not, and does not disconnect it either.
func (l *loop) onAccepted(tls unsafe.Pointer) bool {
	b := cgnutls.Borrow(tls, true)
	if !b.Unanswered() {
		return true
	}
	b.SendAlert(uint8(gnutls.AlertHandshakeFailure))
	return false
}

// established notes what a handshake has settled. It fails where that is not
// what was asked for: libcoap accepts raw public keys that nobody has verified.
func (c *conn) established() error {
	p := c.native.TLS()
	if p == nil {
		return ErrDisconnected
	}
	st := cgnutls.Borrow(p, c.server).State()
	state, err := connectionState(st)
	if err != nil {
		return err
	}
	switch s := c.security; {
	case c.lent: // the program has seen to the rest
		c.peerIdentity = state.PSKIdentity
	case c.server && st.RawKey && c.l.secured.pki.VerifyRawPublicKey == nil:
		return errRawKey
	case c.server && strings.ContainsRune(state.PSKIdentity, 0):
		return errors.New("the client's identity holds a NUL byte")
	case c.server:
		c.peerIdentity = state.PSKIdentity
	case s.psk != nil && !state.PSK:
		return errors.New("the server does not use the pre-shared key")
	case s.pki != nil && !s.verified:
		return errors.New("the server was not verified")
	case s.psk != nil:
		state.PSKIdentity = string(c.native.PSKIdentity())
		c.peerIdentity = string(c.native.PSKHint())
	}
	state.HandshakeComplete = true
	if c.security != nil {
		state.ServerName = c.security.name
	}
	if st.RawKey {
		if c.peerKey, err = x509.ParsePKIXPublicKey(st.PeerChain[0]); err != nil {
			return err
		}
	}
	c.tls = &state
	return nil
}

// retransmission is after what time libcoap sends the messages of a DTLS
// handshake again.
const retransmission = time.Second

// handshakeError says why a handshake failed, as far as that is known.
func (c *conn) handshakeError() error {
	e := &HandshakeError{}
	s := c.security
	if s == nil {
		return e
	}
	e.Err = s.failed
	exhausted := time.Duration(orDefault(c.l.config.MaxRetransmit, defaultMaxRetransmit)+1) * retransmission
	if !ccoap.CountsTimeouts {
		exhausted = retransmission
	}
	switch {
	case s.sent != 0:
		e.Alert, e.Sent = s.sent, true
	case s.failed != nil:
	case s.received != 0:
		e.Alert = s.received
	case c.proto == TLS:
		e.Err = fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
	case time.Since(s.began) >= exhausted:
		e.Err = ErrRetriesExhausted
	case !s.heard:
		return ErrUnreachable
	}
	return e
}

// TLS returns what the DTLS or TLS handshake has settled, with the peer's
// certificates. It reports false where there was none, or it is not over.
func (s *Session) TLS() (gnutls.ConnectionState, bool) {
	s.c.l.mu.Lock()
	defer s.c.l.mu.Unlock()
	if s.c.tls == nil {
		return gnutls.ConnectionState{}, false
	}
	return *s.c.tls, true
}

// PeerIdentity returns at a server the identity of the client's pre-shared key, and at a
// client the hint of the server. It is empty where there is none.
func (s *Session) PeerIdentity() string {
	s.c.l.mu.Lock()
	defer s.c.l.mu.Unlock()
	return s.c.peerIdentity
}

// PeerCertificates returns the certificates that the peer sent, its own first, or
// nil. They were verified, unless PKI.InsecureSkipVerify is set.
func (s *Session) PeerCertificates() []*x509.Certificate {
	state, _ := s.TLS()
	return state.PeerCertificates
}

// PeerPublicKey returns the raw public key of the peer, or nil.
func (s *Session) PeerPublicKey() crypto.PublicKey {
	s.c.l.mu.Lock()
	defer s.c.l.mu.Unlock()
	return s.c.peerKey
}
