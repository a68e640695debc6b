package gnutls

import "net"

// A ClientSessionCache keeps session data for a client, by server. Implementations
// must be safe for concurrent use. Some of their methods are called in the middle
// of a handshake and must not use its connection.
type ClientSessionCache interface {
	// Get returns session data for a server, or nil. The data of a TLS 1.3
	// session (SessionData.SingleUse) must be returned only once, so that
	// observers cannot link connections (RFC 8446 appendix C.4).
	Get(serverKey string) *SessionData
	// Put keeps session data for a server. It is called once for every ticket
	// that arrives, and again for one that Get returned and that was not sent
	// because the connection ended before.
	Put(serverKey string, data *SessionData)
}

// A SessionDecliner is a ClientSessionCache that is told when a server
// made a full handshake although session data were offered to it, or when the
// handshake failed and they may be the reason (RFC 5077 section 3.2). Every other
// ticket of the same session is then probably useless too (RFC 9149 section
// 3). Conn calls Decline once in such a handshake. A cache that does not implement
// SessionDecliner offers TLS 1.2 data again and again to a server that fails on them.
type SessionDecliner interface {
	Decline(serverKey string, offered *SessionData)
}

// A TicketRequester is a ClientSessionCache that decides how many tickets a
// connection asks for (RFC 9149) if Config.TicketRequest is nil.
type TicketRequester interface {
	// TicketRequest is called after Get for the same connection. resuming reports
	// whether Get returned a session to offer, and racing is how many connections
	// the client tries at once, at least 1.
	TicketRequest(serverKey string, resuming bool, racing int) TicketRequest
}

const (
	cacheTickets = 8
	cacheServers = 64
)

// NewClientSessionCache returns a ClientSessionCache in memory that keeps
// session data for the most recently used servers, at most capacity of them; 0 means
// 64. It keeps at most 8 tickets of each server, and returns the oldest
// first. When a server refuses one, it drops the others of the same session.
//
// Unlike with a TicketPool, connections ask for a number of tickets only if
// Config.TicketRequest is set.
func NewClientSessionCache(capacity int) ClientSessionCache {
	if capacity <= 0 {
		capacity = cacheServers
	}
	return &memoryCache{TicketPool{Tickets: cacheTickets, Servers: capacity}}
}

// memoryCache is a TicketPool without the methods of a TicketRequester.
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
