package gnutls

import (
	"errors"
	"log/slog"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A resumption is the client's side of session resumption for one connection, of this package
// or of package coap: which session is offered, what becomes of it, and what sessions the
// connection itself brings. It knows no network and takes no lock: the caller makes calls one
// at a time, apart from those of the inbox.
//
//	nothingOffered ◀──────────────┐
//	      │ choose, offer         │ fail: it goes back to the cache
//	      ▼                       │
//	sessionReady ─────────────────┘
//	      │ sent
//	      ▼            fail, for a reason that may lie elsewhere
//	sessionOffered ──────────────────────────────────────▶ sessionSpent
//	      │     │
//	      │     └─ settle, a full handshake ───▶ sessionDeclined
//	      │ settle, the server took it                  ▲
//	      ▼                                             │
//	sessionResumed          fail with faultSession, from any state on the left
//
// A connection that offers nothing, or whose session is declined, makes a full handshake.
// What the cache has to learn of all this waits for tellCache. When settle has been called the
// connection's own tickets may be collected.
type resumption struct {
	scope sessionScope
	cache ClientSessionCache // or nil
	key   string             // of the server in cache
	log   func(level slog.Level, msg string, args ...any)

	state   resumptionState
	session *SessionData // not in nothingOffered
	cached  bool         // session comes from cache
	refusal error        // why nothing is offered, where something was to be

	unsent *SessionData // to be put back into cache
	told   bool         // cache knows that session was declined

	settled   *ConnectionState // from settle on
	family    sessionFamily    // of the connection's session, from settle on
	tickets12 []cgnutls.Ticket // TLS 1.2 and DTLS, until session12
	inbox     ticketInbox
}

type resumptionState int

const (
	nothingOffered  resumptionState = iota // and nothing to offer
	sessionReady                           // GnuTLS has it or will get it; nothing has been sent
	sessionOffered                         // the ClientHello may have reached the server
	sessionResumed                         // the server has taken it
	sessionDeclined                        // it is useless, and its siblings probably are too
	sessionSpent                           // nobody knows; it has been sent and must not be reused
)

// A fault says what the failure of a handshake may be due to.
type fault int

const (
	// faultElsewhere: this side gave up, or the transport failed before the server answered.
	faultElsewhere fault = iota
	// faultSilence: the server closed the connection without a word. It may have terminated.
	faultSilence
	// faultSession: anything else, for which the session that was offered may be the reason
	// (RFC 5077 section 3.2).
	faultSession
)

// A resumableSession is what a resumption needs of a native session.
type resumableSession interface {
	SetData(data []byte, tls13 bool) cgnutls.Code
	Data() ([]byte, cgnutls.Code)
	State() cgnutls.State
}

// maxCachedTries is how many sessions of a cache a connection looks at: those of
// other configurations do not suit it.
const maxCachedTries = 16

// choose takes a session from the cache, if there is one that suits. set gives it to GnuTLS; nil
// leaves that to the caller. What is for another configuration goes back.
func (r *resumption) choose(set func(*SessionData) error) {
	if r.cache == nil || r.state != nothingOffered {
		return
	}
	var others []*SessionData
	var err error
	for range maxCachedTries {
		d := r.cache.Get(r.key)
		if d == nil {
			if err == nil {
				err = refused(ErrNoSession, "%q", r.key)
			}
			break
		}
		if err = r.offer(d, set); err == nil {
			r.cached = true
			break
		}
		r.log(slog.LevelInfo, "cached session not offered", "error", err)
		var unusable *SessionDataError
		lost := !errors.As(err, &unusable) // the connection
		if d.SingleUse() && (lost || errors.Is(err, ErrSessionConfig)) {
			others = append(others, d)
		}
		if lost || !d.SingleUse() {
			break
		}
	}
	for _, d := range others {
		r.cache.Put(r.key, d)
	}
	// That the cache has nothing says less than why the program's own session was refused.
	if r.refusal == nil || !errors.Is(err, ErrNoSession) {
		r.refusal = err
	}
}

// offer makes d the session to offer, if the connection may. set is that of choose.
func (r *resumption) offer(d *SessionData, set func(*SessionData) error) error {
	if err := r.scope.usable(d); err != nil {
		return err
	}
	if set != nil {
		if err := set(d); err != nil {
			return err
		}
	}
	r.state, r.session, r.cached = sessionReady, d, false
	return nil
}

// setData gives a native session the data of d.
func setData(s resumableSession, d *SessionData) error {
	if code := s.SetData(d.data, d.SingleUse()); code < 0 {
		return refused(ErrSessionDamaged, "%s", code.Message())
	}
	return nil
}

// refuse notes why there is nothing to offer.
func (r *resumption) refuse(reason error) {
	r.state, r.session, r.cached, r.refusal = nothingOffered, nil, false, reason
}

// ticketRequest returns how many tickets to ask for, or nil where nobody says. fixed is what the
// program says, and racing how many connections it tries at once.
func (r *resumption) ticketRequest(fixed *TicketRequest, racing int) *TicketRequest {
	if fixed != nil {
		return fixed
	}
	if requester, ok := r.cache.(TicketRequester); ok {
		counts := requester.TicketRequest(r.key, r.state == sessionReady, racing)
		return &counts
	}
	return nil
}

// sent notes that the ClientHello has begun to go out.
func (r *resumption) sent() {
	if r.state == sessionReady {
		r.state = sessionOffered
	}
}

var (
	errNotOffered  = errors.New("the server resumes a session that was not offered")
	errNotVerified = errors.New("the resumed session was not verified")
	errNotResuming = errors.New("the server does not resume sessions")
	errNoneToCome  = errors.New("the server announced that it sends none")
)

// judge completes the state of a handshake with the outcome of the offer, and changes nothing
// else. certificate says that the peer has sent one: then it has not resumed, whatever the
// session ID says.
func (r *resumption) judge(cs *ConnectionState, certificate bool) error {
	cs.DidResume = cs.DidResume && !certificate
	switch offered := r.state == sessionReady || r.state == sessionOffered; {
	case cs.DidResume && !offered:
		cs.ResumeError = r.refusal
		return &Error{Op: "handshake", Code: CodeInvalidSession, Err: errNotOffered}
	case cs.DidResume:
		cs.ResumeError = nil
		cs.VerifiedChains = r.session.chains()
	case offered:
		cs.ResumeError = r.session.declined(cs)
	default:
		cs.ResumeError = r.refusal
	}
	return nil
}

// settle notes the outcome of a handshake that is complete, whose state judge has seen.
func (r *resumption) settle(cs *ConnectionState) {
	r.settled = cs
	offered := r.state == sessionReady || r.state == sessionOffered
	switch {
	case cs.DidResume && offered:
		r.state, r.family = sessionResumed, r.session.family
		return
	case offered:
		r.state = sessionDeclined
	}
	r.family = newSessionFamily()
}

// fail notes that the handshake has failed, and reports whether a session had been sent in it.
func (r *resumption) fail(f fault) (sent bool) {
	sent = r.state > sessionReady
	switch {
	case r.state == nothingOffered, r.state == sessionDeclined, r.state == sessionSpent:
	case f == faultSession, f == faultSilence && !r.session.SingleUse():
		r.state = sessionDeclined
	case sent:
		// A ticket for one connection is used up. Its siblings stay.
		r.state = sessionSpent
	default:
		if r.cached {
			r.unsent = r.session
		}
		r.refuse(r.refusal)
	}
	return sent
}

// tellCache returns what tells the cache what became of the session, or nil where it need not
// know or knows.
func (r *resumption) tellCache() func() {
	d := r.unsent
	switch {
	case d != nil:
		r.unsent = nil
		return func() { r.cache.Put(r.key, d) }
	case r.state == sessionDeclined && !r.told:
		r.told = true
		d = r.session
		return func() { r.decline(d) }
	}
	return nil
}

// decline tells the cache that a session and its siblings are of no use.
func (r *resumption) decline(d *SessionData) {
	if decliner, ok := r.cache.(SessionDecliner); ok {
		decliner.Decline(r.key, d)
	}
}

// collect puts tickets that have come after the handshake into the inbox, and returns their
// sessions. Those of TLS 1.2 wait for session12.
func (r *resumption) collect(tickets []cgnutls.Ticket) (sessions []*SessionData) {
	for _, t := range tickets {
		if t.Session == nil {
			r.hold(t)
		} else if d := r.receive(r.wrap(t.Session, t.Message)); d != nil {
			sessions = append(sessions, d)
		}
	}
	return sessions
}

// hold keeps tickets of TLS 1.2, which come before the handshake is complete, for session12.
func (r *resumption) hold(tickets ...cgnutls.Ticket) {
	r.tickets12 = append(r.tickets12, tickets...)
}

// session12 puts the session of a handshake before TLS 1.3 into the inbox, and returns it where it
// is new. It comes after settle, and after a false start when the handshake is over in GnuTLS.
func (r *resumption) session12(s resumableSession) *SessionData {
	tickets := r.tickets12
	r.tickets12 = nil
	if r.state == sessionResumed {
		// GnuTLS keeps the data that it was given, and nothing of new tickets.
		r.inbox.keep(r.session)
		return nil
	}
	var message []byte
	if len(tickets) > 0 {
		message = tickets[len(tickets)-1].Message
	}
	unusable := checkTicket(r.settled.Version, message)
	if unusable != nil {
		message = nil // the session may still have an ID
	}
	data, code := s.Data()
	switch {
	case code < 0:
		return nil
	case message == nil && len(s.State().SessionID) == 0:
		return r.receive(nil, unusable)
	}
	return r.receive(r.wrap(data, message))
}

// receive puts session data into the inbox, or why they are of no use.
func (r *resumption) receive(d *SessionData, unusable error) *SessionData {
	switch {
	case unusable != nil:
		r.inbox.refuse(unusable)
	case d != nil:
		r.inbox.add(d)
	}
	return d
}

// wrap wraps what GnuTLS gave. message is the NewSessionTicket that it came with, or nil. The
// error is an *UnusableTicketError.
func (r *resumption) wrap(data, message []byte) (*SessionData, error) {
	return r.scope.wrap(r.settled, r.family, data, message)
}

// expecting returns nil while a session may yet come, and otherwise why none will.
func (r *resumption) expecting() error {
	switch {
	case r.settled.Version != VersionTLS13:
		return errNotResuming
	case r.settled.noTickets():
		return errNoneToCome
	}
	return nil
}

// forget drops what has come of a connection that failed after its handshake, and has the cache
// drop the rest of its session (RFC 5246 section 7.2.2, RFC 8446 section 6.2).
func (r *resumption) forget() {
	r.inbox.clear()
	if d, err := r.wrap(nil, nil); err == nil {
		r.decline(d)
	}
}
