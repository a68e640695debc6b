package gnutls

import (
	"fmt"
	"math"
	"sync"
)

// maxUndelivered bounds the tickets that wait for the cache: a server may send
// any number, and each holds its certificates.
const maxUndelivered = math.MaxUint8

// A ticketInbox holds the session data that a connection has brought: the newest for
// SessionData, and those that the program has yet to get. Its methods may be called from any
// goroutine.
type ticketInbox struct {
	delivers bool // deliver will be called; does not change

	mu          sync.Mutex // guards what follows, and is not held while deliver calls
	newest      *SessionData
	unusable    error // why the last ticket was not kept, if it was not
	undelivered []*SessionData
	delivering  bool
	arrival     chan struct{} // closed at the next ticket; nil while nobody waits
}

// add takes the data of a new session.
func (b *ticketInbox) add(d *SessionData) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = d
	if b.delivers {
		b.undelivered = append(b.undelivered, d)
		b.undelivered = b.undelivered[max(0, len(b.undelivered)-maxUndelivered):]
	}
	if b.arrival != nil {
		close(b.arrival)
		b.arrival = nil
	}
}

// refuse notes why a ticket is of no use.
func (b *ticketInbox) refuse(unusable error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unusable = unusable
}

// keep makes a session that the program has already the newest.
func (b *ticketInbox) keep(d *SessionData) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest = d
}

// latest returns the newest session data, or nil.
func (b *ticketInbox) latest() *SessionData {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.newest
}

// current returns the newest session data, or nil and a channel that is closed when some arrive.
func (b *ticketInbox) current() (*SessionData, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.newest == nil && b.arrival == nil {
		b.arrival = make(chan struct{})
	}
	return b.newest, b.arrival
}

// noTicket is the error of SessionData where there is no session for a reason, with why those
// that have come are of no use.
func (b *ticketInbox) noTicket(reason error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unusable != nil {
		reason = fmt.Errorf("%w (%w)", b.unusable, reason)
	}
	return fmt.Errorf("%w: %w", ErrNoTicket, reason)
}

// clear drops all session data.
func (b *ticketInbox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.newest, b.undelivered = nil, nil
}

// deliver calls f with new session data, in order, and without holding a lock. One goroutine at a
// time does so, also with what comes meanwhile.
func (b *ticketInbox) deliver(f func(*SessionData)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.delivering {
		return
	}
	b.delivering = true
	defer func() { b.delivering = false }()
	for len(b.undelivered) > 0 {
		d := b.undelivered[0]
		b.undelivered = b.undelivered[1:]
		b.deliverOne(d, f)
	}
	b.undelivered = nil
}

// deliverOne unlocks mu while f runs, which may panic.
func (b *ticketInbox) deliverOne(d *SessionData, f func(*SessionData)) {
	b.mu.Unlock()
	defer b.mu.Lock()
	f(d)
}
