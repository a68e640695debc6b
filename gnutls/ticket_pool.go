package gnutls

import (
	"bytes"
	"container/list"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultPoolTickets = 4
	defaultPoolServers = 1024
	// maxPoolTickets is the most that a client can ask a server for.
	maxPoolTickets = math.MaxUint8
	// poolShards is how many locks a pool has. With a single one, 8 goroutines
	// on two processors take two to three times as long.
	poolShards = 16
)

// A TicketPool is a ClientSessionCache that keeps a stock of tickets for each
// server. It returns each TLS 1.3 ticket once, the oldest valid one
// first, drops all tickets of a session when the server refuses one of them, and
// asks servers for as many tickets as it lacks (RFC 9149). Save and Load, or
// WriteTo and ReadFrom, transfer the tickets to another process.
//
// The zero value is an empty pool that is ready to use. All methods may be
// called from any goroutine. A pool must not be copied, nor Tickets and Servers
// changed, after its first use.
//
// For each server the pool keeps either TLS 1.3 tickets or one session of an earlier
// version, which may be used any number of times. A new session of the one kind
// replaces those of the other, and one of an earlier version also replaces its
// predecessor.
type TicketPool struct {
	// Tickets is how many tickets the pool asks for and keeps at most for each
	// server. 0 or less means 4; more than 255 counts as 255, the most that a client
	// can ask for.
	Tickets int
	// Servers is the most servers that the pool keeps tickets of. When there
	// are more, the tickets of the least recently used one are dropped. 0 or less
	// means 1024.
	Servers int

	shards  [poolShards]poolShard
	uses    atomic.Uint64 // of servers, by Get and Put
	servers atomic.Int64  // in all shards
	// bounding is held while servers are forgotten for want of room. It is taken
	// before the locks of shards, and those one at a time.
	bounding sync.Mutex
}

// A poolShard holds a part of the servers of a pool.
type poolShard struct {
	mu    sync.Mutex // guards what follows
	byKey map[string]*list.Element
	order list.List // of *pooledServer, the one used last in front
	// declined are the sessions that servers refused last.
	declined []sessionFamily
	stats    TicketPoolStats
}

// TicketPoolStats counts the tickets of a TicketPool by what became of them. Stored
// is always the sum of Taken, Expired, Declined, Evicted, Saved and Tickets.
// Sessions of TLS versions before 1.3 count as tickets.
type TicketPoolStats struct {
	// Stored counts the tickets that were given to the pool by Put, including
	// those that had been taken before, by ReadFrom and by Load.
	Stored uint64
	// Taken counts those that Get removed from the pool.
	Taken uint64
	// Expired counts those whose lifetime ended.
	Expired uint64
	// Declined counts those that were dropped because a server refused another
	// ticket of the same session.
	Declined uint64
	// Evicted counts those for which there was no room, that a newer session
	// replaced, or that were in the pool already.
	Evicted uint64
	// Saved counts those that Save moved into a file.
	Saved uint64

	// Tickets and Servers are the current contents of the pool. A ticket that
	// expires is counted until the pool is next asked about its server.
	Tickets, Servers int
}

// pooledServer holds the sessions of one server: never none, and all either
// single-use or not.
type pooledServer struct {
	key       string
	used      uint64 // what TicketPool.uses was then
	singleUse bool
	sessions  []pooledSession // the one that expires first in front
	// out counts the tickets that were taken and not replaced since, the last at
	// takenAt, in milliseconds since 1970.
	out     int
	takenAt int64
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

// maxDeclined is how many declined sessions a shard remembers.
const maxDeclined = 16

// replaceTime is how long a connection may take to bring new tickets, in
// milliseconds. What has not come by then is asked for again.
const replaceTime = 10_000

// outstanding returns how many tickets other connections are about to replace.
func (s *pooledServer) outstanding(now int64) int {
	if now > s.takenAt+replaceTime {
		return 0
	}
	return s.out
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

var poolSeed = maphash.MakeSeed()

func (p *TicketPool) shard(key string) *poolShard {
	return &p.shards[maphash.String(poolSeed, key)%poolShards]
}

// Get returns the session of a server that expires first, or nil. A TLS 1.3
// ticket leaves the pool; if it is not used after all, give it back with Put.
// Get returns no session whose lifetime, of at most 7 days (RFC 8446 section 4.6.1),
// has ended.
func (p *TicketPool) Get(serverKey string) *SessionData {
	now := time.Now().UnixMilli()
	sh := p.shard(serverKey)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := p.find(sh, serverKey, now)
	if e == nil {
		return nil
	}
	s := p.touch(sh, e)
	d := s.sessions[0].data
	if s.singleUse {
		s.sessions = slices.Delete(s.sessions, 0, 1)
		s.out, s.takenAt = s.outstanding(now)+1, now
		sh.stats.Taken++
		p.forgetEmpty(sh, e)
	}
	return d
}

// Put keeps a session of a server, unless it has expired. If there are then more
// than Tickets, the one that expires first is dropped. A session that is in the pool
// already is kept once.
func (p *TicketPool) Put(serverKey string, data *SessionData) {
	now, session := time.Now().UnixMilli(), newPooledSession(data)
	sh := p.shard(serverKey)
	sh.mu.Lock()
	p.put(sh, serverKey, session, now)
	sh.mu.Unlock()
	p.bound()
}

// put is Put for callers that hold sh.mu, and then call bound.
func (p *TicketPool) put(sh *poolShard, key string, session pooledSession, now int64) {
	sh.stats.Stored++
	switch {
	case session.dead(now):
		sh.stats.Expired++
		return
	case slices.Contains(sh.declined, session.data.family):
		sh.stats.Declined++
		return
	}
	s := p.server(sh, key)
	sh.stats.Expired += s.dropDead(now)
	if slices.ContainsFunc(s.sessions, session.same) {
		sh.stats.Evicted++
		return
	}
	if singleUse := session.data.SingleUse(); !singleUse || !s.singleUse {
		sh.stats.Evicted += uint64(len(s.sessions))
		s.sessions, s.singleUse = nil, singleUse
	}
	s.add(session)
	s.out = max(s.out-1, 0)
	if len(s.sessions) > p.maxTickets() {
		s.sessions = slices.Delete(s.sessions, 0, 1)
		sh.stats.Evicted++
	}
}

// server returns a server, new or not, and notes its use. The caller holds sh.mu
// and adds sessions if the server has none.
func (p *TicketPool) server(sh *poolShard, key string) *pooledServer {
	e := sh.byKey[key]
	if e == nil {
		if sh.byKey == nil {
			sh.byKey = make(map[string]*list.Element)
		}
		e = sh.order.PushFront(&pooledServer{key: key})
		sh.byKey[key] = e
		p.servers.Add(1)
	}
	return p.touch(sh, e)
}

// touch notes the use of a server. The caller holds sh.mu.
func (p *TicketPool) touch(sh *poolShard, e *list.Element) *pooledServer {
	sh.order.MoveToFront(e)
	s := e.Value.(*pooledServer)
	s.used = p.uses.Add(1)
	return s
}

// find returns a server without what has expired, or nil where nothing is left.
// The caller holds sh.mu.
func (p *TicketPool) find(sh *poolShard, key string, now int64) *list.Element {
	e := sh.byKey[key]
	if e == nil {
		return nil
	}
	sh.stats.Expired += e.Value.(*pooledServer).dropDead(now)
	if p.forgetEmpty(sh, e) {
		return nil
	}
	return e
}

// forgetEmpty forgets a server that has no sessions, and reports whether it
// did. The caller holds sh.mu.
func (p *TicketPool) forgetEmpty(sh *poolShard, e *list.Element) bool {
	if len(e.Value.(*pooledServer).sessions) > 0 {
		return false
	}
	p.forget(sh, e)
	return true
}

func (p *TicketPool) forget(sh *poolShard, e *list.Element) {
	delete(sh.byKey, sh.order.Remove(e).(*pooledServer).key)
	p.servers.Add(-1)
}

// bound forgets the servers used least recently while there are too many. The
// caller holds no lock.
func (p *TicketPool) bound() {
	most := int64(p.maxServers())
	if p.servers.Load() <= most {
		return
	}
	p.bounding.Lock()
	defer p.bounding.Unlock()
	for p.servers.Load() > most {
		var oldest *poolShard
		least := uint64(math.MaxUint64)
		for i := range p.shards {
			if used, ok := p.shards[i].leastUsed(); ok && used < least {
				oldest, least = &p.shards[i], used
			}
		}
		if oldest != nil {
			p.evict(oldest, least)
		}
	}
}

// leastUsed returns when the server used least recently was used.
func (sh *poolShard) leastUsed() (used uint64, ok bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.order.Back()
	if e == nil {
		return 0, false
	}
	return e.Value.(*pooledServer).used, true
}

// evict forgets the server used least recently, unless it was used meanwhile.
func (p *TicketPool) evict(sh *poolShard, used uint64) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.order.Back()
	if e == nil || e.Value.(*pooledServer).used != used {
		return
	}
	sh.stats.Evicted += uint64(len(e.Value.(*pooledServer).sessions))
	p.forget(sh, e)
}

// Decline drops all tickets of a server that come from the same full handshake
// as one that it refused (RFC 9149 section 3), also those that other connections
// bring or give back later. Conn calls it.
func (p *TicketPool) Decline(serverKey string, offered *SessionData) {
	sh := p.shard(serverKey)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !slices.Contains(sh.declined, offered.family) {
		sh.declined = append(sh.declined[max(0, len(sh.declined)+1-maxDeclined):], offered.family)
	}
	if e := sh.byKey[serverKey]; e != nil {
		s := e.Value.(*pooledServer)
		sh.stats.Declined += s.drop(func(s pooledSession) bool { return s.data.family == offered.family })
		s.out = 0
		p.forgetEmpty(sh, e)
	}
}

// held returns how many sessions of a server the pool holds that have not
// expired, whether they are single-use, and how many others are out.
func (p *TicketPool) held(key string) (n int, singleUse bool, out int) {
	now := time.Now().UnixMilli()
	sh := p.shard(key)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := p.find(sh, key, now)
	if e == nil {
		return 0, false, 0
	}
	s := e.Value.(*pooledServer)
	return len(s.sessions), s.singleUse, s.outstanding(now)
}

// TicketRequest returns how many tickets a connection asks for, after Get for the same
// connection. Without a ticket to offer it asks for as many as the pool lacks, and for
// none if the session is resumed. With one it asks for enough to fill the pool again,
// minus those that other connections which have taken a ticket will bring, but for at least
// as many as there are racing connections, if there is room; if the server makes a full
// handshake, the other tickets of the session are lost and it asks for a full pool.
func (p *TicketPool) TicketRequest(serverKey string, resuming bool, racing int) TicketRequest {
	wanted := p.maxTickets()
	lacking := wanted
	n, singleUse, out := p.held(serverKey)
	if singleUse {
		lacking -= n
	}
	if !resuming {
		return TicketRequest{New: uint8(max(lacking, 1))}
	}
	others := max(out-1, 0)
	return TicketRequest{New: uint8(wanted),
		Resumed: uint8(max(lacking-others, min(racing, wanted), 1))}
}

// Len returns how many sessions of a server the pool holds that have not
// expired.
func (p *TicketPool) Len(serverKey string) int {
	n, _, _ := p.held(serverKey)
	return n
}

// Stats returns the counts since the pool was made. It takes time proportional to the
// number of servers in the pool.
func (p *TicketPool) Stats() (sum TicketPoolStats) {
	for i := range p.shards {
		st := p.shards[i].count()
		sum.Stored += st.Stored
		sum.Taken += st.Taken
		sum.Expired += st.Expired
		sum.Declined += st.Declined
		sum.Evicted += st.Evicted
		sum.Saved += st.Saved
		sum.Tickets += st.Tickets
		sum.Servers += st.Servers
	}
	return sum
}

func (sh *poolShard) count() TicketPoolStats {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	st := sh.stats
	st.Servers = sh.order.Len()
	for e := sh.order.Front(); e != nil; e = e.Next() {
		st.Tickets += len(e.Value.(*pooledServer).sessions)
	}
	return st
}
