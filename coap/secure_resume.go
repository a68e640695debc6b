package coap

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// resumesClients reports whether sessions of clients are to resume, and resumesServers those of
// servers.
func (c *Config) resumesClients() bool {
	return c.ClientSessionCache != nil || c.TicketRequest != nil
}

func (c *Config) resumesServers() bool {
	return c.TicketKey != nil || c.TicketKeyFile != nil || c.SessionTickets > 0
}

// resuming returns a Config with a cache for the sessions of one Client.
func resuming(proto Protocol, config *Config) *Config {
	if !proto.Secure() || !Supports(FeatureSessionResumption) ||
		config != nil && (config.ClientSessionCache != nil || config.PSK.ForHint != nil) {
		return config
	}
	own := Config{}
	if config != nil {
		own = *config
	}
	own.ClientSessionCache = gnutls.NewClientSessionCache(1)
	return &own
}

// serverTickets is how a server makes tickets.
type serverTickets struct {
	keys    []cgnutls.TicketKey
	unasked int // how many, to clients that do not say
	most    int
}

// prepareTickets looks at what the Config says about resumption.
func (l *loop) prepareTickets() error {
	c := &l.config
	if (c.resumesClients() || c.resumesServers()) && !Supports(FeatureSessionResumption) {
		return fmt.Errorf("resumption of sessions: %w", ErrNotSupported)
	}
	if c.resumesClients() && c.PSK.ForHint != nil {
		return fmt.Errorf("resumption of sessions with PSK.ForHint: %w", ErrNotSupported)
	}
	var err error
	if l.credentials.tickets.unasked, l.credentials.tickets.most, err = bridge.Lent.TicketLimits(
		c.SessionTickets, c.MaxSessionTickets); err != nil {
		return err
	}
	if c.resumesServers() {
		l.credentials.tickets.keys, err = bridge.Lent.TicketKeys(c.TicketKey, c.TicketKeyFile)
	}
	return err
}

// reloadTicketKeys returns the keys for the tickets of a server that come from a file, or
// nil. It may read the file, so the loop is not locked.
func (c *Config) reloadTicketKeys() []cgnutls.TicketKey {
	if c.TicketKeyFile == nil {
		return nil
	}
	return bridge.Lent.TicketKeysIn(c.TicketKeyFile, c.Logger)
}

// onTLS prepares a session that libcoap has just made for its handshake.
func (l *loop) onTLS(id ccoap.SessionID, tls tlsref.Session, client, datagram bool) {
	b := cgnutls.Borrow(tls, !client)
	if !client {
		if code := l.watchClient(b, datagram); code < 0 {
			l.warn("a client cannot be watched", "error", gnutls.ErrorCode(code))
		}
		return
	}
	s := l.credentials.opening
	if c := l.conns[id]; c != nil {
		s = c.security
	}
	if s != nil && s.watch(l, id, b, datagram) >= 0 && s.resumption != nil {
		s.resumption.Offer(b)
	}
}

// watchClient has a server's session verify its client, choose the certificate and give tickets.
func (l *loop) watchClient(b cgnutls.Borrowed, datagram bool) cgnutls.Code {
	w := &cgnutls.Watcher{}
	presented := l.credentials.presented
	if presented != nil { // the session keeps it, also when the server gets others
		w.Verify = func() bool { return l.verifyClient(b, presented.pki, presented.creds) }
		w.ClientHello = presented.creds.ForName
	}
	tickets := l.config.resumesServers()
	if tickets {
		w.LimitTickets = func(asked cgnutls.TicketCounts, resumed bool, n int) int {
			return l.limitTickets(b, asked, resumed, n)
		}
	}
	if presented == nil && !tickets {
		return cgnutls.OK
	}
	if code := b.Watch(w, datagram); code < 0 {
		return code
	}
	if presented != nil && len(presented.pki.Certificates) > 1 {
		b.ChooseByName()
	}
	if !tickets {
		return cgnutls.OK
	}
	if code := b.EnableTicketKeys(l.credentials.tickets.keys); code < 0 ||
		l.config.TicketRequestsIgnored {
		return code
	}
	return b.AnswerRequests(uint8(l.credentials.tickets.most), l.config.LimitTickets != nil)
}

// limitTickets asks the user how many tickets a client gets. The handshake fails where that fails.
func (l *loop) limitTickets(b cgnutls.Borrowed, asked cgnutls.TicketCounts, resumed bool,
	n int) int {
	_, peer := ccoap.SessionOf(b.Transport()).Addresses()
	info := gnutls.TicketRequestInfo{
		Requested:  gnutls.TicketRequest(asked),
		Resumed:    resumed,
		Tickets:    n,
		ServerName: b.ServerName(),
		RemoteAddr: net.TCPAddrFromAddrPort(peer),
	}
	limited, err := handle.GuardFor(callbackLimit,
		func() (int, error) { return l.config.LimitTickets(info), nil })
	if err != nil {
		l.warn("Config.LimitTickets failed", "error", callbackError(err))
		return int(cgnutls.InternalError)
	}
	return max(0, min(limited, n))
}

// onSecured sends the tickets of a server over TLS 1.3.
func (l *loop) onSecured(tls tlsref.Session) {
	b := cgnutls.Borrow(tls, true)
	if !b.Watched() || !l.config.resumesServers() || b.State().Version != gnutls.VersionTLS13 {
		return
	}
	n := l.credentials.tickets.unasked
	if _, _, expected, answered := b.TicketRequest(); answered {
		n = expected
	}
	const batch = 16 // GnuTLS queues no more than 32 messages
	for ; n > 0; n -= batch {
		if code := b.SendTickets(min(n, batch)); code < 0 {
			return // the connection is broken, or the client does not read: libcoap handles it
		}
	}
}

// prepareResumption looks for a session to resume. The loop is not locked.
func (s *security) prepareResumption(l *loop, server netip.AddrPort, proto Protocol) {
	config := &l.config
	if !config.resumesClients() {
		return
	}
	name := orDefault(s.name, bareAddr(server))
	s.resumption = bridge.Lent.NewResumption(config.ClientSessionCache, config.TicketRequest,
		bridge.ResumptionConfig{
			Key:        proto.Scheme() + "://" + net.JoinHostPort(name, fmt.Sprint(server.Port())),
			ServerName: name,
			Trust:      s.trust(),
			Identity:   s.identity(),
			Datagram:   proto == DTLS,
			Logger:     config.Logger,
		})
	s.resumption.Choose(l.credentials.fresh)
}

// trust identifies whom a session trusts, and identity what it presents.
func (s *security) trust() [sha256.Size]byte {
	if s.psk != nil {
		return sha256.Sum256([]byte("coap psk"))
	}
	return sha256.Sum256(fmt.Appendf(nil, "coap pki %x skip %t raw %t",
		bridge.Lent.Trust(s.roots), s.pki.InsecureSkipVerify, s.pki.VerifyRawPublicKey != nil))
}

func (s *security) identity() [sha256.Size]byte {
	h := sha256.New()
	if s.psk != nil {
		fmt.Fprintf(h, "psk %q %d ", s.psk.Identity, len(s.psk.Key))
		h.Write(s.psk.Key)
		return [sha256.Size]byte(h.Sum(nil))
	}
	for _, cert := range s.pki.Certificates {
		for _, der := range cert.Certificate {
			fmt.Fprintf(h, "certificate %d ", len(der))
			h.Write(der)
		}
	}
	if s.pki.RawPublicKey != nil {
		der, err := x509.MarshalPKIXPublicKey(s.pki.RawPublicKey.Public())
		fmt.Fprintf(h, "raw %x %v", der, err)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// settle notes whether a client has resumed, and makes sure that then nothing is taken for
// granted that a full handshake would have had to show.
func (s *security) settle(b cgnutls.Borrowed, st cgnutls.State,
	state *gnutls.ConnectionState) error {
	if s.resumption == nil || !b.Watched() {
		state.DidResume = false
	} else if err := s.resumption.Settle(b, state, s.verified); err != nil {
		return err
	}
	if !state.DidResume {
		state.VerifiedChains, state.VerifyError = s.chains, s.verifyErr
		return nil
	}
	if s.pki == nil {
		return nil
	}
	switch {
	case st.RawKey:
		s.failed = s.pki.verifyRaw(st.PeerChain[0])
	case s.pki.VerifyRawPublicKey != nil || len(state.VerifiedChains) == 0 &&
		!s.pki.InsecureSkipVerify:
		s.failed = errors.New("the resumed session was not verified")
	default:
		s.failed = s.pki.verifyConnection(*state)
	}
	if s.failed != nil {
		s.reject(b)
	}
	return s.failed
}

// acceptResumed looks at a client that has resumed a session as if it had made a full
// handshake: the server that gave it its ticket may have known other clients.
func (l *loop) acceptResumed(b cgnutls.Borrowed, st cgnutls.State,
	state *gnutls.ConnectionState) error {
	pki := l.credentials.pki
	state.PSK = state.PSKIdentity != "" // TLS 1.3 resumes with a pre-shared key, too
	switch {
	case state.PSK:
		if l.credentials.psk == nil {
			return errors.New("it resumes a session with a pre-shared key")
		}
		_, err := l.pskOf(state.PSKIdentity, state.ServerName)
		return err
	case pki == nil:
		return errors.New("it resumes a session without a pre-shared key")
	case !pki.requests():
		state.PeerCertificates = nil // another server has asked for them
		return nil
	case len(st.PeerChain) == 0:
		return errors.New("it resumes a session without a certificate")
	}
	_, _, err := pki.verify(l, b, l.credentials.creds(), "", false)
	return err
}

// takeTickets hands sessions that have come to the cache.
func (c *conn) takeTickets() {
	if c == nil || c.ended != nil || c.peer.state == nil || c.security == nil ||
		c.security.resumption == nil {
		return
	}
	p := c.native.TLS()
	if p.IsNil() || !cgnutls.Borrow(p, false).Watched() {
		return
	}
	r := c.security.resumption
	c.settleResumption() // the cache drops what was declined before it gets what is new
	sessions := r.Tickets(cgnutls.Borrow(p, false))
	if len(sessions) > 0 {
		c.security.arrivals.begin()
		c.l.todo.unlocked(func() {
			defer c.session.stored()
			r.Put(sessions)
		})
	}
}

// arrivals are sessions to resume that come for a session of a client.
type arrivals struct {
	storing int           // how often sessions are being put into the cache
	waiting chan struct{} // closed when the next ones are there; nil: nobody waits
}

func (a *arrivals) begin() { a.storing++ }

// end notes that the cache has got some.
func (a *arrivals) end() {
	a.storing--
	if a.waiting != nil {
		close(a.waiting)
		a.waiting = nil
	}
}

// coming reports whether the cache is about to get some.
func (a *arrivals) coming() bool { return a.storing > 0 }

// next returns a channel that is closed when the cache has got the next ones.
func (a *arrivals) next() <-chan struct{} {
	if a.waiting == nil {
		a.waiting = make(chan struct{})
	}
	return a.waiting
}

// stored tells who waits for sessions that the cache has got them.
func (s *Session) stored() {
	s.look()
	defer s.endLook()
	s.c.security.arrivals.end()
}

// settleResumption tells the cache what became of the session that came from it. Over DTLS a server
// that says nothing has not declined it; over TLS it has at least closed the connection.
func (c *conn) settleResumption() {
	s := c.security
	heard := s != nil && (s.heard || s.received != 0)
	if s != nil && s.resumption != nil && !c.ready.isUp && errors.Is(c.ended, ErrHandshake) &&
		(heard || c.proto == TLS) {
		s.declined = s.resumption.Failed(heard) && s.failed == nil
	}
	s.abandon(c.l.todo.unlocked)
}

// abandon is settleResumption for a session that may not have begun.
func (s *security) abandon(later func(func())) {
	if s == nil || s.resumption == nil {
		return
	}
	if f := s.resumption.Done(); f != nil {
		later(f)
	}
}

// SessionData returns what a later session needs to resume this one, for programs that keep it
// themselves: ClientSessionCache gets it without a call, and before. It is for sessions of clients
// over DTLS and TLS whose Config has a ClientSessionCache or a TicketRequest, and waits for the
// handshake. Over TLS 1.3 it returns the newest ticket, and waits for one until ctx ends if none
// has come. Where no ticket comes the error matches gnutls.ErrNoTicket and the reason.
//
// It wraps gnutls_session_get_data2.
func (s *Session) SessionData(ctx context.Context) (*gnutls.SessionData, error) {
	const op = "session data"
	if s.c.security == nil || s.c.security.resumption == nil {
		return nil, s.failed(op, errors.New("the session does not resume"))
	}
	if err := s.Ready(ctx); err != nil {
		return nil, err
	}
	for {
		d, arrival, err := s.sessionData()
		if d != nil {
			return d, nil
		}
		if err != nil {
			return nil, s.failed(op, s.noTicket(err))
		}
		select {
		case <-arrival:
		case <-s.c.done:
		case <-ctx.Done():
			return nil, s.failed(op, s.noTicket(ctx.Err()))
		}
	}
}

func (s *Session) noTicket(reason error) error { return s.c.security.resumption.NoTicket(reason) }

// sessionData returns the newest session, or what to wait for.
func (s *Session) sessionData() (*gnutls.SessionData, <-chan struct{}, error) {
	s.look()
	defer s.endLook()
	c := s.c
	d, over := c.security.resumption.Current()
	switch {
	case d != nil && (!c.security.arrivals.coming() || c.ended != nil):
		return d, nil, nil
	case d != nil: // the cache gets it first
	case c.ended != nil:
		return nil, nil, c.ended
	case over != nil:
		return nil, nil, over
	}
	return nil, c.security.arrivals.next(), nil
}
