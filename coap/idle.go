package coap

import (
	"net"
	"time"
)

// An idleList holds the server sessions, the one that was used last at the end.
type idleList struct {
	oldest, newest *conn
	n              int
}

func (s *idleList) add(c *conn) {
	c.used = time.Now()
	c.older = s.newest
	if c.older == nil {
		s.oldest = c
	} else {
		c.older.newer = c
	}
	s.newest = c
	s.n++
}

func (s *idleList) remove(c *conn) {
	if c.older == nil {
		s.oldest = c.newer
	} else {
		c.older.newer = c.newer
	}
	if c.newer == nil {
		s.newest = c.older
	} else {
		c.newer.older = c.older
	}
	c.older, c.newer = nil, nil
	s.n--
}

// touch notes that a server session is used.
func (l *loop) touch(c *conn) {
	if c.ended == nil && c.server {
		l.servers.remove(c)
		l.servers.add(c)
	}
}

// idle reports whether nobody uses the session.
func (c *conn) idle() bool { return c.references == 0 && c.busy == 0 }

// sweep ends the server sessions that are idle for too long, or too many. It
// returns when it must be called again; 0: it need not.
func (l *loop) sweep() time.Duration {
	timeout := orDefault(l.config.IdleTimeout, defaultIdleTimeout)
	most := orDefault(l.config.MaxSessions, defaultMaxSessions)
	excess := l.servers.excess(most)
	var next *conn
	for c := l.servers.oldest; c != nil; c = next {
		next = c.newer
		expired := time.Since(c.used) >= timeout
		if !expired && excess <= 0 {
			break
		}
		switch {
		case c.idle():
			c.end(net.ErrClosed)
			excess--
		case expired:
			l.touch(c)
		}
	}
	if l.servers.oldest == nil {
		return 0
	}
	return max(timeout-time.Since(l.servers.oldest.used), time.Millisecond)
}

// excess returns by how many the sessions that are idle exceed a number. Those that are
// in use do not count.
func (s *idleList) excess(most int) int {
	if s.n <= most {
		return 0
	}
	n := -most
	for c := s.oldest; c != nil; c = c.newer {
		if c.idle() {
			n++
		}
	}
	return n
}
