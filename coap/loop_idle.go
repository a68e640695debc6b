package coap

import (
	"net"
	"time"
)

// idleSessions are the sessions of servers, by when they were used last.
type idleSessions struct {
	config    *Config
	proved    idleList // those whose peers are verified
	strangers idleList // the others
}

func (s *idleSessions) n() int { return s.proved.n + s.strangers.n }

// list is the list that a session is in.
func (s *idleSessions) list(c *conn) *idleList {
	if c.address.verified {
		return &s.proved
	}
	return &s.strangers
}

func (s *idleSessions) add(c *conn) { s.list(c).add(c) }

func (s *idleSessions) remove(c *conn) { s.list(c).remove(c) }

// touch moves a session to the end of its list, if it is there.
func (s *idleSessions) touch(c *conn) {
	if c.ended == nil && c.server {
		s.remove(c)
		s.add(c)
	}
}

// tooMany is by how many there are more than there may be.
func (s *idleSessions) tooMany() int {
	return s.n() - orDefault(s.config.MaxSessions, defaultMaxSessions)
}

// An idleList holds sessions of servers, the one that was used last at the end.
type idleList struct{ queue[*conn] }

func (s *idleList) add(c *conn) {
	c.usage.last = time.Now()
	s.queue.add(c)
}

// A usage tells whether a session is used, and when it was.
type usage struct {
	references int // of users
	requests   int // that are being handled
	last       time.Time
	heard      time.Time // when a response came last, or an acknowledgement
	alive      time.Time // of the last sign of life, of a server's peer
}

// isOn reports whether somebody needs the session now.
func (u *usage) isOn() bool { return u.references > 0 || u.requests > 0 }

// idle reports whether nobody uses the session.
func (c *conn) idle() bool { return !c.usage.isOn() && len(c.observers.byToken) == 0 }

// noteAlive notes a sign of life of a server session's peer.
func (c *conn) noteAlive() {
	c.usage.alive = time.Now()
	c.l.idle.touch(c)
}

// finishRequest notes that a request of the session was handled.
func (c *conn) finishRequest() {
	c.usage.requests--
	c.l.idle.touch(c)
	if c.l.idle.tooMany() > 0 { // one may be idle now
		c.l.timer.arm(time.Millisecond)
	}
}

// maxStrangers is how many sessions are kept of peers that have not proved their address,
// and how many more libcoap keeps of those that have made no request: it looks at all of
// them when a datagram comes from a new address.
const maxStrangers = 1000

func (c *Config) maxStrangers() int {
	return min(orDefault(c.MaxSessions, defaultMaxSessions), maxStrangers)
}

// sweep ends the server sessions that are idle for too long, and those that are too
// many: first idle ones, then those that only observe, and of both those first whose
// address may be made up. It returns when it must be called again; 0: it need not.
func (s *idleSessions) sweep() time.Duration {
	timeout := orDefault(s.config.IdleTimeout, defaultIdleTimeout)
	lists := []*idleList{&s.strangers, &s.proved}
	now := time.Now()
	next := time.Duration(0)
	for _, list := range lists {
		for c := list.oldest; c != nil && now.Sub(c.usage.last) >= timeout; c = list.oldest {
			if c.idle() {
				c.end(net.ErrClosed)
				continue
			}
			s.touch(c)
			c.observers.check(now)
		}
	}
	s.strangers.shrink(s.strangers.n-s.config.maxStrangers(), (*conn).idle)
	unused := func(c *conn) bool { return !c.usage.isOn() }
	for _, dispensable := range []func(*conn) bool{(*conn).idle, unused} {
		for _, list := range lists {
			list.shrink(s.tooMany(), dispensable)
		}
	}
	for _, list := range lists {
		if list.oldest == nil {
			continue
		}
		if wait := max(timeout-now.Sub(list.oldest.usage.last), time.Millisecond); next == 0 ||
			wait < next {
			next = wait
		}
	}
	return next
}

// shrink ends so many sessions, the one that was used longest ago first, but those alone that
// are dispensable.
func (s *idleList) shrink(excess int, dispensable func(*conn) bool) {
	var newer *conn
	for c := s.oldest; c != nil && excess > 0; c = newer {
		newer = c.newer
		if dispensable(c) {
			c.end(net.ErrClosed)
			excess--
		}
	}
}
