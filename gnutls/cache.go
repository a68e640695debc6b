package gnutls

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// A ClientSessionCache keeps what a client needs to resume sessions, by
// server. Implementations must be safe for many goroutines.
type ClientSessionCache interface {
	// Get returns session data for a server, or nil. The data of a TLS 1.3
	// session (SessionData.SingleUse) must be returned only once, so that
	// observers cannot link connections (RFC 8446 appendix C.4).
	Get(serverKey string) *SessionData
	// Put keeps session data for a server. It is called once for every ticket.
	Put(serverKey string, data *SessionData)
}

// A SessionDecliner is a ClientSessionCache that wants to know when a server
// made a full handshake although session data were offered to it. Every other
// ticket of the same session is then likely to be useless too (RFC 9149 section
// 3). Conn calls Decline once in such a handshake.
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

// ticketsPerServer bounds the tickets that the cache in memory keeps for one
// server.
const ticketsPerServer = 8

const defaultCacheCapacity = 64

// NewClientSessionCache returns a ClientSessionCache in memory that keeps
// session data for the servers used last, at most capacity of them; 0 means
// 64. Of each server it keeps the last 8 tickets, and hands the newest out
// first.
func NewClientSessionCache(capacity int) ClientSessionCache {
	if capacity <= 0 {
		capacity = defaultCacheCapacity
	}
	return &memoryCache{capacity: capacity, byKey: make(map[string]*list.Element)}
}

type cachedServer struct {
	key  string
	data []*SessionData // the newest last
}

type memoryCache struct {
	capacity int

	mu    sync.Mutex // guards what follows
	byKey map[string]*list.Element
	order list.List // of *cachedServer, the one used last in front
}

func (m *memoryCache) Put(key string, data *SessionData) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byKey[key]
	if e == nil {
		e = m.order.PushFront(&cachedServer{key: key})
		m.byKey[key] = e
	}
	m.order.MoveToFront(e)
	s := e.Value.(*cachedServer)
	if !data.SingleUse() {
		s.data = s.data[:0]
	}
	if len(s.data) == ticketsPerServer {
		s.data = append(s.data[:0], s.data[1:]...)
	}
	s.data = append(s.data, data)
	if m.order.Len() > m.capacity {
		m.remove(m.order.Back())
	}
}

func (m *memoryCache) Get(key string) *SessionData {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byKey[key]
	if e == nil {
		return nil
	}
	m.order.MoveToFront(e)
	s := e.Value.(*cachedServer)
	now := time.Now()
	for len(s.data) > 0 {
		data := s.data[len(s.data)-1]
		expired := !data.Expires().After(now)
		if expired || data.SingleUse() {
			s.data[len(s.data)-1] = nil
			s.data = s.data[:len(s.data)-1]
		}
		if !expired {
			return data
		}
	}
	m.remove(e)
	return nil
}

func (m *memoryCache) remove(e *list.Element) {
	delete(m.byKey, m.order.Remove(e).(*cachedServer).key)
}

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
