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
	for l.servers.oldest != nil {
		c := l.servers.oldest
		wait := timeout - time.Since(c.used)
		if wait > 0 && l.servers.n <= most {
			return wait
		}
		if c.idle() {
			c.end(net.ErrClosed)
			continue
		}
		if wait > 0 {
			return wait
		}
		l.touch(c)
	}
	return 0
}
