package gnutls

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// An AntiReplay remembers which ClientHellos with early data a server has
// seen, so that it accepts none of them twice (RFC 8446 section 8.2).
// Implementations must be safe for concurrent use. They are called from inside
// handshakes, on the goroutine of the handshake and with its context, and must
// not use the connection.
type AntiReplay interface {
	// Add records an ID until the given time, and reports false if it is already
	// recorded. It must be atomic among all servers that share the AntiReplay: of
	// any number of calls with one ID, exactly one reports true. An error
	// makes the server refuse the early data, never the connection. IDs are not
	// secret; they are the same on every server and have 32 bytes.
	Add(ctx context.Context, id []byte, expires time.Time) (added bool, err error)
}

// ErrAntiReplayFull is returned by NewAntiReplay's Add when it has no room for
// another ID.
var ErrAntiReplayFull = errors.New("gnutls: too many ClientHellos with early data to remember")

const defaultAntiReplayCapacity = 65536

// NewAntiReplay returns an AntiReplay in memory that holds at most capacity
// IDs; 0 means 65536. When it is full of IDs that have not expired, Add returns
// ErrAntiReplayFull.
//
// IDs expire by the system's clock. After the clock has been set back, Add returns
// an error for IDs that would have expired by the latest time that the clock has
// shown: it has forgotten such IDs and cannot know whether it has seen them.
func NewAntiReplay(capacity int) AntiReplay {
	if capacity <= 0 {
		capacity = defaultAntiReplayCapacity
	}
	return &memoryAntiReplay{capacity: capacity, now: time.Now, seen: make(map[string]struct{})}
}

type memoryAntiReplay struct {
	capacity int
	now      func() time.Time

	mu     sync.Mutex // guards what follows
	seen   map[string]struct{}
	queue  expiryQueue // the IDs in seen
	latest time.Time   // the latest time that the clock has shown
}

func (m *memoryAntiReplay) Add(_ context.Context, id []byte, expires time.Time) (bool, error) {
	// Without the monotonic clock, which does not show that the clock was set back.
	expires = expires.Round(0)
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.now().Round(0); now.After(m.latest) {
		m.latest = now
	}
	for len(m.queue) > 0 && !m.queue[0].expires.After(m.latest) {
		delete(m.seen, heap.Pop(&m.queue).(expiringID).id)
	}
	if _, ok := m.seen[string(id)]; ok {
		return false, nil
	}
	switch {
	case !expires.After(m.latest):
		return false, fmt.Errorf("gnutls: a ClientHello cannot be remembered until %s, which has passed",
			expires.Format(time.RFC3339))
	case len(m.queue) == m.capacity:
		return false, ErrAntiReplayFull
	}
	e := expiringID{string(id), expires}
	m.seen[e.id] = struct{}{}
	heap.Push(&m.queue, e)
	return true, nil
}

type expiringID struct {
	id      string
	expires time.Time
}

// expiryQueue is a heap.Interface with the ID that expires first in front.
type expiryQueue []expiringID

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].expires.Before(q[j].expires) }
func (q expiryQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *expiryQueue) Push(x any)        { *q = append(*q, x.(expiringID)) }

func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = expiringID{}
	*q = (*q)[:last]
	return e
}
