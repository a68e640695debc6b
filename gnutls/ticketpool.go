package gnutls

import (
	"bytes"
	"container/list"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	defaultPoolTickets = 4
	defaultPoolServers = 1024
	// maxPoolTickets is the most that a client can ask a server for.
	maxPoolTickets = math.MaxUint8
)

// A TicketPool is a ClientSessionCache that keeps a stock of tickets for each
// server. It hands each TLS 1.3 ticket out once, the oldest that is still good
// first, drops all tickets of a session when the server refuses one of them, and
// asks servers for as many tickets as it lacks (RFC 9149). Save and Load, or
// WriteTo and ReadFrom, carry the tickets over to another process.
//
// The zero value is an empty pool that is ready to use. All methods may be
// called from any goroutine. A pool must not be copied, nor Tickets and Servers
// changed, after its first use.
//
// A server has either TLS 1.3 tickets in the pool or one session of an earlier
// version, which may be used again and again: what came last replaces the other
// kind, and a session of an earlier version also the one before it.
type TicketPool struct {
	// Tickets is how many tickets the pool wants to have for each server, and
	// the most that it keeps. 0 or less means 4; more than 255 counts as 255,
	// which is as many as a client can ask for.
	Tickets int
	// Servers is the most servers that the pool keeps tickets of. When there
	// are more, the tickets of the one used least recently go. 0 or less means
	// 1024.
	Servers int

	mu    sync.Mutex // guards what follows
	byKey map[string]*list.Element
	order list.List // of *pooledServer, the one used last in front
	stats TicketPoolStats
}

// TicketPoolStats tells what became of the tickets of a TicketPool. Stored is
// always the sum of Taken, Expired, Declined, Evicted, Saved and Tickets.
// Sessions of TLS versions before 1.3 count as tickets.
type TicketPoolStats struct {
	// Stored counts the tickets that were given to the pool: by Put, also one
	// that had been taken before, by ReadFrom and by Load.
	Stored uint64
	// Taken counts those that Get handed out and that left the pool thereby.
	Taken uint64
	// Expired counts those whose lifetime was over.
	Expired uint64
	// Declined counts those that went with one that a server refused.
	Declined uint64
	// Evicted counts those that there was no room for, that a newer session
	// replaced, or that were in the pool already.
	Evicted uint64
	// Saved counts those that Save moved into a file.
	Saved uint64

	// Tickets and Servers tell what the pool holds now. A ticket that expires
	// counts until the pool is next asked about its server.
	Tickets, Servers int
}

// pooledServer holds the sessions of one server: never none, and all either
// single-use or not.
type pooledServer struct {
	key       string
	singleUse bool
	sessions  []pooledSession // the one that expires first in front
}

// A pooledSession knows when its data expire without a look at them, which
// would be slow in a large pool.
type pooledSession struct {
	expires int64 // in milliseconds since 1970, as MarshalBinary has it
	data    *SessionData
}

func newPooledSession(d *SessionData) pooledSession {
	return pooledSession{d.arrived.UnixMilli() + d.lifetime.Milliseconds(), d}
}

// dead reports whether s must not be offered at a time: it has expired, or will
// live so long that it can only have come from the future.
func (s pooledSession) dead(now int64) bool {
	return s.expires <= now || s.expires > now+(maxTicketLifetime+clockSkew).Milliseconds()
}

// same reports whether both are one session or copies of it.
func (s pooledSession) same(other pooledSession) bool {
	return s.expires == other.expires && bytes.Equal(s.data.data, other.data.data)
}

// drop removes the sessions that are of no use and returns how many.
func (s *pooledServer) drop(useless func(pooledSession) bool) uint64 {
	before := len(s.sessions)
	s.sessions = slices.DeleteFunc(s.sessions, useless)
	return uint64(before - len(s.sessions))
}

func (s *pooledServer) dropDead(now int64) uint64 {
	return s.drop(func(session pooledSession) bool { return session.dead(now) })
}

// add puts a session in its place. What expires at the same time stays in the
// order in which it came.
func (s *pooledServer) add(session pooledSession) {
	i := len(s.sessions)
	for i > 0 && s.sessions[i-1].expires > session.expires {
		i--
	}
	s.sessions = slices.Insert(s.sessions, i, session)
}

func (p *TicketPool) maxTickets() int {
	if p.Tickets <= 0 {
		return defaultPoolTickets
	}
	return min(p.Tickets, maxPoolTickets)
}

func (p *TicketPool) maxServers() int {
	if p.Servers <= 0 {
		return defaultPoolServers
	}
	return p.Servers
}

// Get returns the session of a server that expires first, or nil. A TLS 1.3
// ticket leaves the pool. If it is not used after all, give it back with Put.
// Get returns nothing that is past its lifetime, which is never more than 7 days
// (RFC 8446 section 4.6.1).
func (p *TicketPool) Get(serverKey string) *SessionData {
	now := time.Now().UnixMilli()
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(serverKey, now)
	if e == nil {
		return nil
	}
	p.order.MoveToFront(e)
	s := e.Value.(*pooledServer)
	d := s.sessions[0].data
	if s.singleUse {
		s.sessions = slices.Delete(s.sessions, 0, 1)
		p.stats.Taken++
		p.forgetEmpty(e)
	}
	return d
}

// Put keeps a session of a server, unless it has expired. When the server has
// more than Tickets of them, the one that expires first goes. A session that is
// in the pool already is kept once.
func (p *TicketPool) Put(serverKey string, data *SessionData) {
	now, session := time.Now().UnixMilli(), newPooledSession(data)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.put(serverKey, session, now)
}

// put is Put for callers that hold mu.
func (p *TicketPool) put(key string, session pooledSession, now int64) {
	p.stats.Stored++
	if session.dead(now) {
		p.stats.Expired++
		return
	}
	s := p.server(key)
	p.stats.Expired += s.dropDead(now)
	if slices.ContainsFunc(s.sessions, session.same) {
		p.stats.Evicted++
		return
	}
	if singleUse := session.data.SingleUse(); !singleUse || !s.singleUse {
		p.stats.Evicted += uint64(len(s.sessions))
		s.sessions, s.singleUse = nil, singleUse
	}
	s.add(session)
	if len(s.sessions) > p.maxTickets() {
		s.sessions = slices.Delete(s.sessions, 0, 1)
		p.stats.Evicted++
	}
	if p.order.Len() > p.maxServers() {
		last := p.order.Back()
		p.stats.Evicted += uint64(len(last.Value.(*pooledServer).sessions))
		p.forget(last)
	}
}

// server returns a server, new or not, as the one used last. The caller holds mu
// and sees to it that the server has sessions.
func (p *TicketPool) server(key string) *pooledServer {
	e := p.byKey[key]
	if e != nil {
		p.order.MoveToFront(e)
		return e.Value.(*pooledServer)
	}
	s := &pooledServer{key: key}
	if p.byKey == nil {
		p.byKey = make(map[string]*list.Element)
	}
	p.byKey[key] = p.order.PushFront(s)
	return s
}

// find returns a server without what has expired, or nil where nothing is left.
// The caller holds mu.
func (p *TicketPool) find(key string, now int64) *list.Element {
	e := p.byKey[key]
	if e == nil {
		return nil
	}
	p.stats.Expired += e.Value.(*pooledServer).dropDead(now)
	if p.forgetEmpty(e) {
		return nil
	}
	return e
}

// forgetEmpty forgets a server that has no sessions, and reports whether it
// did. The caller holds mu.
func (p *TicketPool) forgetEmpty(e *list.Element) bool {
	if len(e.Value.(*pooledServer).sessions) > 0 {
		return false
	}
	p.forget(e)
	return true
}

func (p *TicketPool) forget(e *list.Element) {
	delete(p.byKey, p.order.Remove(e).(*pooledServer).key)
}

// Decline drops all tickets of a server that come from the same full handshake
// as one that it refused (RFC 9149 section 3). Conn calls it.
func (p *TicketPool) Decline(serverKey string, offered *SessionData) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.byKey[serverKey]; e != nil {
		p.stats.Declined += e.Value.(*pooledServer).drop(func(s pooledSession) bool { return s.data.family == offered.family })
		p.forgetEmpty(e)
	}
}

// TicketRequest says how many tickets a connection is to ask for, after Get
// for the same connection. Without a ticket to offer it wants what the pool
// lacks, and none should the session be resumed. With one it wants to fill the
// pool again, with at least as many tickets as there are connections racing;
// should the server make a full handshake, the pool loses the other tickets of
// the session and wants to be filled anew.
func (p *TicketPool) TicketRequest(serverKey string, resuming bool, racing int) TicketRequest {
	now := time.Now().UnixMilli()
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := p.maxTickets()
	lacking := wanted
	if e := p.find(serverKey, now); e != nil {
		if s := e.Value.(*pooledServer); s.singleUse {
			lacking -= len(s.sessions)
		}
	}
	if !resuming {
		return TicketRequest{New: uint8(max(lacking, 1))}
	}
	return TicketRequest{New: uint8(wanted), Resumed: uint8(min(max(lacking, racing, 1), maxPoolTickets))}
}

// Len returns how many sessions of a server the pool holds that have not
// expired.
func (p *TicketPool) Len(serverKey string) int {
	now := time.Now().UnixMilli()
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.find(serverKey, now)
	if e == nil {
		return 0
	}
	return len(e.Value.(*pooledServer).sessions)
}

// Stats returns what became of the tickets since the pool was made. It takes
// time for each server in the pool.
func (p *TicketPool) Stats() TicketPoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := p.stats
	st.Servers = p.order.Len()
	for e := p.order.Front(); e != nil; e = e.Next() {
		st.Tickets += len(e.Value.(*pooledServer).sessions)
	}
	return st
}
