package gnutls

import "net"

// A ClientSessionCache keeps what a client needs to resume sessions, by
// server. Implementations must be safe for many goroutines. Some of their methods
// are called in the middle of a handshake and must not use its connection.
type ClientSessionCache interface {
	// Get returns session data for a server, or nil. The data of a TLS 1.3
	// session (SessionData.SingleUse) must be returned only once, so that
	// observers cannot link connections (RFC 8446 appendix C.4).
	Get(serverKey string) *SessionData
	// Put keeps session data for a server. It is called once for every ticket
	// that comes, and again for one that Get returned and that was not sent,
	// because the connection ended before.
	Put(serverKey string, data *SessionData)
}

// A SessionDecliner is a ClientSessionCache that wants to know when a server
// made a full handshake although session data were offered to it, or when the
// handshake failed and they may be the reason (RFC 5077 section 3.2). Every other
// ticket of the same session is then likely to be useless too (RFC 9149 section
// 3). Conn calls Decline once in such a handshake. A cache that is no
// SessionDecliner offers TLS 1.2 data that a server fails on again and again.
type SessionDecliner interface {
	Decline(serverKey string, offered *SessionData)
}

// A TicketRequester is a ClientSessionCache that says how many tickets a
// connection is to ask for (RFC 9149), where Config.TicketRequest is nil.
type TicketRequester interface {
	// TicketRequest is called after Get for the same connection. resuming tells
	// whether that gave something to offer, and racing how many connections the
	// client tries at once, at least 1.
	TicketRequest(serverKey string, resuming bool, racing int) TicketRequest
}

const (
	cacheTickets = 8
	cacheServers = 64
)

// NewClientSessionCache returns a ClientSessionCache in memory that keeps
// session data for the servers used last, at most capacity of them; 0 means
// 64. Of each server it keeps at most 8 tickets, and hands the oldest out
// first. When a server refuses one, it drops the others of the same session.
//
// Unlike a TicketPool it leaves it to Config.TicketRequest whether connections
// ask for a number of tickets.
func NewClientSessionCache(capacity int) ClientSessionCache {
	if capacity <= 0 {
		capacity = cacheServers
	}
	return &memoryCache{TicketPool{Tickets: cacheTickets, Servers: capacity}}
}

// memoryCache is a TicketPool that is no TicketRequester.
type memoryCache struct{ pool TicketPool }

func (m *memoryCache) Get(key string) *SessionData              { return m.pool.Get(key) }
func (m *memoryCache) Put(key string, data *SessionData)        { m.pool.Put(key, data) }
func (m *memoryCache) Decline(key string, offered *SessionData) { m.pool.Decline(key, offered) }

// cacheKey is the key of a server in a ClientSessionCache: its name, or
// address where it has none, and port.
func cacheKey(name string, addr net.Addr) string {
	if addr == nil {
		return name
	}
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return name
	}
	if name == "" {
		name = host
	}
	return net.JoinHostPort(name, port)
}
