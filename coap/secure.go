package coap

import (
	"crypto"
	"crypto/x509"
	"errors"
	"net/netip"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// The credentials of a loop secure its sessions over DTLS and TLS.
type credentials struct {
	priority *priority // of all sessions; nil: libcoap's; does not change
	roots    *gnutls.CertPool

	// Of clients.
	clients int       // kinds of sessions that there have been
	opening *security // of the session that libcoap is just making
	fresh   bool      // sessions offer no session to resume; does not change

	// Of servers.
	psk        *ServerPSK
	hintNames  []string
	pki        *PKI
	presented  *presented // with pki, where it is not libcoap that has its certificates
	leaves     []*x509.Certificate
	clientCAs  bridge.Credentials
	otherNames int
	tickets    serverTickets
}

// creds are what clients are verified with.
func (s *credentials) creds() bridge.Credentials {
	if s.presented != nil {
		return s.presented.creds
	}
	return s.clientCAs
}

// Kinds of client sessions.
const (
	withPSK = 1 << iota
	withPKI
)

// callbackLimit is how long a callback of the user may keep the loop locked.
var callbackLimit = 10 * time.Second

var errRefused = errors.New("libcoap refused the credentials")

// secureServer calls set, which gives the servers of a Node credentials.
func (n *Node) secureServer(set func() error) error {
	err := n.l.enter()
	if err == nil {
		defer n.l.leave()
	}
	if err == nil && n.l.shared {
		err = errNotOurs
	}
	if err == nil && n.l.credentials.clients != 0 {
		err = errors.New("the context has client sessions already")
	}
	if err == nil && n.l.endpoints.secure {
		err = need(FeatureCredentials, "credentials of a context that listens already", true)
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
	if l.shared || l.credentials.psk != nil || l.credentials.pki != nil {
		return nil
	}
	if l.credentials.clients != 0 {
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
	if l.credentials.psk == nil && l.credentials.pki == nil {
		return errors.New("there are neither certificates nor pre-shared keys")
	}
	return nil
}

// A security is what secures one session of a client: one of psk and pki is set.
type security struct {
	psk  *PSK
	pki  *PKI
	name string // of the server

	roots      *gnutls.CertPool   // that pki trusts; nil: the system's
	creds      bridge.Credentials // of pki
	resumption bridge.Resumption  // nil: it does not resume
	arrivals   arrivals
	declined   bool // the handshake failed with a session that was offered, for no other known reason
	watched    bool
	set        bool // what libcoap had set up is replaced
	verified   bool
	chains     [][]*x509.Certificate // from the server to an authority
	verifyErr  error                 // what InsecureSkipVerify skips
	failed     error                 // why the peer was not accepted
	sent       gnutls.Alert          // to tell it
	received   gnutls.Alert
	heard      bool // something else has come from the server
	began      time.Time
}

// security returns what the Config says for a session to a host.
func (l *loop) security(host string) *security {
	if l.config.PSK.isSet() {
		return &security{psk: &l.config.PSK, name: host}
	}
	return &security{pki: &l.config.PKI, name: host}
}

// open makes the native session.
func (s *security) open(l *loop, local, server netip.AddrPort,
	proto ccoap.Protocol) (native ccoap.Session, id ccoap.SessionID, err error) {
	kind, others := withPKI, l.credentials.psk != nil
	if s.psk != nil {
		kind, others = withPSK, l.credentials.pki != nil
	}
	if others || l.credentials.clients&^kind != 0 {
		return native, 0,
			errors.New(
				"the context has sessions with pre-shared keys or with certificates, and this one is of the other kind")
	}
	if err := need(FeatureBothRoles, "secured clients and servers in one context",
		l.credentials.psk != nil || l.credentials.pki != nil); err != nil {
		return native, 0, err
	}
	l.credentials.opening = s
	defer func() { l.credentials.opening = nil }()
	if s.psk != nil {
		if err := s.psk.check(); err != nil {
			return native, 0, err
		}
		native, id, err = s.newPSK(l, local, server, proto)
	} else {
		if l.credentials.priority != nil {
			l.native.SetClientPriority(l.credentials.priority.pki.Ref())
		}
		native, id, err = s.newPKI(l, local, server, proto)
	}
	if err == nil {
		l.credentials.clients |= kind
	}
	return native, id, err
}

// prepare settles what a session will need; roots are those of the Node. It may call the user's
// cache: the loop is not locked.
func (s *security) prepare(l *loop, roots *gnutls.CertPool, server netip.AddrPort, proto Protocol) {
	if s.psk != nil {
		s.name = orDefault(s.psk.ServerName, s.name)
	} else {
		s.name = orDefault(orDefault(s.pki.ServerName, s.name), bareAddr(server))
		s.roots = orDefault(s.pki.RootCAs, roots)
	}
	s.prepareResumption(l, server, proto)
}

func bareAddr(server netip.AddrPort) string { return server.Addr().WithZone("").Unmap().String() }

// watch takes the GnuTLS session of a client over, as soon as there is one. Before
// that nothing has come from the server over DTLS. Over TLS libcoap may read once, and a
// server that is fast has answered by then: see onVerify. A session that may resume is watched from
// the start, see onTLS.
func (c *conn) watch() {
	s := c.security
	if s == nil || s.set {
		return
	}
	p := c.native.TLS()
	if p.IsNil() {
		return
	}
	s.set = true
	s.began = time.Now()
	b := cgnutls.Borrow(p, false)
	code := s.watch(c.l, c.id, b, c.proto == DTLS)
	if code >= 0 && c.proto == DTLS && s.pki != nil && s.pki.RawPublicKey == nil {
		code = b.SetCertificateCredentials(s.creds.Native())
	}
	if code < 0 {
		c.fail(gnutls.ErrorCode(code))
	}
	if c.proto == DTLS {
		c.l.handshakes.add(c)
		c.l.timer.arm(time.Millisecond) // a poll learns when to send the ClientHello again
	}
}

func (s *security) watch(l *loop, id ccoap.SessionID, b cgnutls.Borrowed,
	datagram bool) cgnutls.Code {
	if s.watched {
		return cgnutls.OK
	}
	s.watched = true
	code := b.Watch(&cgnutls.Watcher{
		Verify:  func() bool { return s.verify(l, id, b) },
		Ticket:  func() { l.todo.locked(func() { l.conns[id].takeTickets() }) },
		Refused: func(code cgnutls.Code) { s.refuse(l, id, b, code) },
		End:     func(alert uint8, heard bool) { s.received, s.heard = gnutls.Alert(alert), heard },
	}, datagram)
	if code >= 0 && s.pki != nil && s.pki.InsecureSkipVerify {
		b.TakeAnyKeyUsage()
	}
	return code
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
	case p.IsNil() || s.verified:
		return
	case s.failed != nil: // libcoap does not see that
		c.fail(s.failed)
		return
	}
	if b := cgnutls.Borrow(p, false); len(b.State().PeerChain) > 0 && !b.State().Resumed &&
		!s.verify(c.l, c.id, b) {
		c.fail(s.failed) // a raw public key, which libcoap takes as it is
	}
}

// fail ends a client's session whose handshake goes wrong, when libcoap is done.
func (c *conn) fail(err error) {
	if c.security.failed == nil {
		c.security.failed = err
	}
	c.l.todo.locked(func() { c.end(c.handshakeError()) })
}

// verify decides on what the server of a client session has sent.
func (s *security) verify(l *loop, id ccoap.SessionID, b cgnutls.Borrowed) bool {
	if s.pki == nil {
		return false
	}
	// it was asked before: GnuTLS ensures that the certificate stays the same
	if s.verified || s.failed != nil {
		return s.verified
	}
	s.chains, s.verifyErr, s.failed = s.pki.verify(l, b, s.creds, s.name, true)
	if s.failed != nil {
		s.reject(b)
		l.failHandshake(id) // libcoap 4.2.1 would wait for a timeout
		return false
	}
	s.verified = true
	return true
}

// refuse ends a session whose server breaks the rules of resumption, which libcoap does not see.
func (s *security) refuse(l *loop, id ccoap.SessionID, b cgnutls.Borrowed, code cgnutls.Code) {
	if s.failed != nil {
		return
	}
	s.failed, s.sent = gnutls.ErrorCode(code), gnutls.AlertIllegalParameter
	b.SendAlert(uint8(s.sent))
	l.failHandshake(id)
}

// failHandshake ends a client's session when libcoap is done.
func (l *loop) failHandshake(id ccoap.SessionID) {
	l.todo.locked(func() {
		if c := l.conns[id]; c != nil {
			c.end(c.handshakeError())
		}
	})
}

// reject tells the server that it is not accepted.
func (s *security) reject(b cgnutls.Borrowed) {
	s.sent = bridge.Lent.RejectionAlert(s.failed)
	b.SendAlert(uint8(s.sent))
}

// verify applies the configuration to what a peer has sent. It returns what the
// certificates led to, and what InsecureSkipVerify skips.
func (p *PKI) verify(l *loop, b cgnutls.Borrowed, creds bridge.Credentials, name string,
	client bool) (chains [][]*x509.Certificate, skipped, err error) {
	st := b.State()
	if st.RawKey {
		return nil, nil, p.verifyRaw(st.PeerChain[0])
	}
	if p.VerifyRawPublicKey != nil {
		return nil, nil, errors.New("the peer sent a certificate in place of a raw public key")
	}
	state, err := bridge.Lent.ConnectionState(st)
	if err != nil {
		return nil, nil, err
	}
	if client {
		state.ServerName = name
	}
	warn := l.warn
	if l.config.Logger == nil {
		warn = nil // somebody else may have one
	}
	chain, err := bridge.Lent.VerifyPeer(b, creds, name, client, warn)
	switch {
	case err == nil:
		state.VerifiedChains = [][]*x509.Certificate{chain}
	case client && p.InsecureSkipVerify:
		state.VerifyError = err
	default:
		return nil, nil, err
	}
	return state.VerifiedChains, state.VerifyError, p.verifyConnection(state)
}

// verifyConnection calls what the user has set for that.
func (p *PKI) verifyConnection(state gnutls.ConnectionState) error {
	if p.VerifyConnection == nil {
		return nil
	}
	_, err := handle.GuardFor(callbackLimit,
		func() (struct{}, error) { return struct{}{}, p.VerifyConnection(state) })
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
	_, err = handle.GuardFor(callbackLimit,
		func() (struct{}, error) { return struct{}{}, p.VerifyRawPublicKey(key) })
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

// onVerify decides where libcoap asks: about clients of a server, and about what came for a client
// session before it was watched.
func (l *loop) onVerify(tls tlsref.Session) bool {
	session := ccoap.SessionOf(cgnutls.Borrow(tls, true).Transport())
	id, client := session.ID(), session.IsClient()
	b := cgnutls.Borrow(tls, !client)
	if client {
		c := l.conns[id]
		if c == nil || c.security == nil {
			return false
		}
		c.watch()
		return c.security.verify(l, id, b)
	}
	return l.credentials.pki != nil && l.verifyClient(b, l.credentials.pki, l.credentials.creds())
}

// verifyClient decides about a client of a server.
func (l *loop) verifyClient(b cgnutls.Borrowed, pki *PKI, creds bridge.Credentials) bool {
	_, _, err := pki.verify(l, b, creds, "", false)
	if err != nil {
		l.warn("client refused", "error", err)
		b.SendAlert(uint8(bridge.Lent.RejectionAlert(err)))
	}
	return err == nil
}

// onUnfinished logs that the handshake of a client failed: that is all that shows, over
// DTLS, of one whose pre-shared key has another value.
func (l *loop) onUnfinished(proto ccoap.Protocol, peer netip.AddrPort) {
	l.warn("handshake not completed", "peer", protocols[proto].Scheme()+"://"+peer.String())
}

// onExhausted logs that connections have to wait.
func (l *loop) onExhausted(err error) { l.warn("connections cannot be accepted", "error", err) }

// onAccepted tells a client over TLS whose handshake has failed as soon as it came, because
// libcoap does not, and does not disconnect it either.
func (l *loop) onAccepted(tls tlsref.Session) bool {
	b := cgnutls.Borrow(tls, true)
	if !b.Unanswered() {
		return true
	}
	b.SendAlert(uint8(gnutls.AlertHandshakeFailure))
	return false
}

// TLS returns what the DTLS or TLS handshake has settled, with the peer's
// certificates. It reports false where there was none, or it is not over.
func (s *Session) TLS() (gnutls.ConnectionState, bool) {
	s.look()
	defer s.endLook()
	if s.c.peer.state == nil {
		return gnutls.ConnectionState{}, false
	}
	return *s.c.peer.state, true
}

// PeerIdentity returns at a server the identity of the client's pre-shared key, and at a
// client the hint of the server. It is empty if there is none.
func (s *Session) PeerIdentity() string {
	s.look()
	defer s.endLook()
	return s.c.peer.identity
}

// PeerCertificates returns the certificates that the peer sent, its own first, or
// nil. They were verified, unless PKI.InsecureSkipVerify is set.
func (s *Session) PeerCertificates() []*x509.Certificate {
	state, _ := s.TLS()
	return state.PeerCertificates
}

// PeerPublicKey returns the raw public key of the peer, or nil.
func (s *Session) PeerPublicKey() crypto.PublicKey {
	s.look()
	defer s.endLook()
	return s.c.peer.key
}
