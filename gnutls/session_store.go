package gnutls

import (
	"container/list"
	"context"
	"slices"
	"sync"
	"time"
)

// A SessionStore keeps the TLS 1.2 sessions of a server, for clients that
// resume by session ID instead of by ticket. Implementations must be safe for
// concurrent use. They are called from inside handshakes, on the goroutine of
// the handshake and with its context, and must not use the connection. A failure
// is logged, and costs the client no more than a full handshake.
type SessionStore interface {
	// Put keeps a session under its ID until the given time. The data are
	// secret.
	Put(ctx context.Context, id, data []byte, expires time.Time) error
	// Get returns a session, or nil if there is none.
	Get(ctx context.Context, id []byte) ([]byte, error)
	// Delete removes a session, if it is there.
	Delete(ctx context.Context, id []byte) error
}

const defaultStoreCapacity = 1024

// NewSessionStore returns a SessionStore in memory that keeps the most recently
// used sessions, at most capacity of them; 0 means 1024.
func NewSessionStore(capacity int) SessionStore {
	if capacity <= 0 {
		capacity = defaultStoreCapacity
	}
	return &memoryStore{capacity: capacity, byID: make(map[string]*list.Element)}
}

type storedSession struct {
	id      string
	data    []byte
	expires time.Time
}

type memoryStore struct {
	capacity int

	mu    sync.Mutex // guards what follows
	byID  map[string]*list.Element
	order list.List // of storedSession, the one used last in front
}

func (m *memoryStore) Put(_ context.Context, id, data []byte, expires time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(m.byID[string(id)])
	s := storedSession{string(id), slices.Clone(data), expires}
	m.byID[s.id] = m.order.PushFront(s)
	if m.order.Len() > m.capacity {
		m.remove(m.order.Back())
	}
	return nil
}

func (m *memoryStore) Get(_ context.Context, id []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.byID[string(id)]
	if e == nil {
		return nil, nil
	}
	s := e.Value.(storedSession)
	if time.Now().After(s.expires) {
		m.remove(e)
		return nil, nil
	}
	m.order.MoveToFront(e)
	return slices.Clone(s.data), nil
}

func (m *memoryStore) Delete(_ context.Context, id []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.remove(m.byID[string(id)])
	return nil
}

func (m *memoryStore) remove(e *list.Element) {
	if e != nil {
		delete(m.byID, m.order.Remove(e).(storedSession).id)
	}
}
