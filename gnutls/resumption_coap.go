package gnutls

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/gnucoap/gnucoap/internal/bridge"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

func init() {
	bridge.NewResumer = newResumer
	bridge.TicketKey = func(key any) ([]cgnutls.TicketKey, error) {
		k, _ := key.(*TicketKey)
		if k == nil {
			var err error
			if k, err = NewTicketKey(); err != nil {
				return nil, err
			}
		}
		return []cgnutls.TicketKey{cgnutls.NewNamedTicketKey(k.key, time.Now())}, nil
	}
	bridge.TicketKeyFile = func(file any, logger *slog.Logger) []cgnutls.TicketKey {
		return file.(*TicketKeyFile).current(logTo(logger))
	}
	bridge.TrustOf = func(pool any) [32]byte {
		p, _ := pool.(*CertPool)
		if p == nil {
			p = systemRoots
		}
		return p.fingerprint()
	}
}

func logTo(logger *slog.Logger) func(slog.Level, string, ...any) {
	return func(level slog.Level, what string, args ...any) {
		if logger != nil {
			logger.Log(context.Background(), level, "gnutls: "+what, args...)
		}
	}
}

// A resumer resumes the session of a client of package coap.
type resumer struct {
	config   bridge.ResumerConfig
	cache    ClientSessionCache // or nil
	scope    sessionScope
	offered  *SessionData
	cached   bool  // offered comes from the cache
	sent     bool  // it has gone out
	declined bool  // the server did not take it
	refusal  error // why nothing is offered
	counts   *TicketRequest
	family   sessionFamily
	state    *ConnectionState
	newest   *SessionData
}

func newResumer(config bridge.ResumerConfig) bridge.Resumer {
	r := &resumer{config: config}
	r.cache, _ = config.Cache.(ClientSessionCache)
	r.counts, _ = config.Request.(*TicketRequest)
	versions := []uint16{VersionTLS13, VersionTLS12}
	if config.Datagram {
		versions = []uint16{VersionDTLS12}
	}
	r.scope = sessionScope{config.ServerName, config.Trust, config.Identity, func(version uint16) bool {
		return slices.Contains(versions, version)
	}}
	return r
}

func (r *resumer) Choose(fresh bool) {
	if r.cache == nil {
		return
	}
	if fresh {
		r.refusal = refused(ErrSessionDeclined, "the handshake failed with it")
	} else {
		r.offered, r.refusal = takeCached(r.cache, r.config.Key, r.scope.usable, logTo(r.config.Logger))
	}
	r.cached = r.offered != nil
	if requester, ok := r.cache.(TicketRequester); ok && r.counts == nil && !r.config.Datagram {
		counts := requester.TicketRequest(r.config.Key, r.cached, 1)
		r.counts = &counts
	}
}

func (r *resumer) Offer(b cgnutls.Borrowed) {
	b.KeepTickets()
	if r.offered != nil {
		r.sent = true
		code := b.SetData(r.offered.data, r.offered.SingleUse())
		if code < 0 {
			r.offered, r.refusal = nil, refused(ErrSessionDamaged, "%s", code.Message())
		}
	}
	if r.counts != nil {
		b.RequestTickets(cgnutls.TicketCounts(*r.counts))
	}
}

func (r *resumer) Settle(b cgnutls.Borrowed, state any, judged bool) error {
	cs := state.(*ConnectionState)
	r.state = cs
	if judged {
		cs.DidResume = false // whatever the session ID says
	}
	if asked, present, expected, answered := b.TicketRequest(); present && cs.Version == VersionTLS13 {
		cs.TicketRequest = (*TicketRequest)(&asked)
		cs.TicketRequestAnswered = answered
		cs.ExpectedTickets = expected
	}
	switch {
	case cs.DidResume && r.offered == nil:
		return &Error{Op: "handshake", Code: CodeInvalidSession, Err: errors.New("the server resumes a session that was not offered")}
	case cs.DidResume:
		r.family = r.offered.family
		if r.offered.verified != nil {
			cs.VerifiedChains = append(cs.VerifiedChains, r.offered.verified)
		}
	case r.offered != nil:
		r.declined = true
		r.refusal = r.offered.declined(cs)
	}
	if !cs.DidResume {
		r.family = newSessionFamily()
		cs.ResumeError = r.refusal
	}
	return nil
}

func (r *resumer) Tickets(b cgnutls.Borrowed) (sessions []any) {
	add := func(data, message []byte) {
		if d, err := r.scope.wrap(r.state, r.family, data, message); err == nil {
			r.newest = d
			sessions = append(sessions, d)
		}
	}
	tickets := b.TakeTickets()
	if r.state.Version == VersionTLS13 {
		for _, t := range tickets {
			if t.Session != nil {
				add(t.Session, t.Message)
			}
		}
		return sessions
	}
	switch {
	case r.newest != nil:
	case r.state.DidResume: // GnuTLS goes on with the data that it was given
		r.newest = r.offered
	default:
		var message []byte
		if len(tickets) > 0 {
			message = tickets[len(tickets)-1].Message
		}
		if checkTicket(r.state.Version, message) != nil {
			message = nil // the session may still have an ID
		}
		data, code := b.Data()
		if code < 0 || message == nil && len(b.State().SessionID) == 0 {
			return nil
		}
		add(data, message)
	}
	return sessions
}

func (r *resumer) Current() (d any, more bool) {
	more = r.state.Version == VersionTLS13 && !r.state.noTickets()
	if r.newest == nil {
		return nil, more
	}
	return r.newest, more
}

func (r *resumer) Put(sessions []any) {
	if r.cache == nil {
		return
	}
	for _, d := range sessions {
		r.cache.Put(r.config.Key, d.(*SessionData))
	}
}

func (r *resumer) Failed(heard bool) bool {
	offered := r.offered != nil && r.sent
	// A server that says nothing may have ended: the siblings of a session that is used up stay.
	r.declined = offered && (heard || !r.offered.SingleUse())
	return offered
}

func (r *resumer) Done() func() {
	cache, offered := r.cache, r.offered
	switch decliner, ok := cache.(SessionDecliner); {
	case r.cached && !r.sent:
		r.cached = false
		return func() { cache.Put(r.config.Key, offered) }
	case r.declined && ok:
		r.declined = false
		return func() { decliner.Decline(r.config.Key, offered) }
	}
	return nil
}
