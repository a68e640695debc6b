package coap

import (
	"net"
	"time"
)

// An idleList holds server sessions, the one that was used last at the end.
type idleList struct{ queue[*conn] }

func (s *idleList) add(c *conn) {
	c.used = time.Now()
	s.queue.add(c)
}

// heard notes a sign of life of a server session's peer.
func (l *loop) heard(c *conn) {
	c.alive = time.Now()
	l.touch(c)
}

// touch moves a server session to the end of its list.
func (l *loop) touch(c *conn) {
	if c.ended == nil && c.server {
		l.list(c).remove(c)
		l.list(c).add(c)
	}
}

// list is the list that a server session is in.
func (l *loop) list(c *conn) *idleList {
	if c.verified {
		return &l.servers
	}
	return &l.strangers
}

// verify notes that the peer of a server session has the address that it says.
func (l *loop) verify(c *conn) {
	if c.verified || c.ended != nil {
		return
	}
	l.strangers.remove(c)
	l.servers.add(c)
	c.settle()
	c.verified = true
	for _, b := range c.blocks {
		l.store.shares.move(&b.held, c.holder())
	}
	for _, o := range c.observers {
		l.observing.move(&o.held, c.holder())
	}
}

// inUse reports whether somebody needs the session now.
func (c *conn) inUse() bool { return c.references > 0 || c.busy > 0 }

// idle reports whether nobody uses the session.
func (c *conn) idle() bool { return !c.inUse() && len(c.observers) == 0 }

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
func (l *loop) sweep() time.Duration {
	timeout := orDefault(l.config.IdleTimeout, defaultIdleTimeout)
	lists := []*idleList{&l.strangers, &l.servers}
	now := time.Now()
	next := time.Duration(0)
	for _, s := range lists {
		for c := s.oldest; c != nil && now.Sub(c.used) >= timeout; c = s.oldest {
			if c.idle() {
				c.end(net.ErrClosed)
				continue
			}
			l.touch(c)
			if len(c.observers) > 0 {
				c.checkObservers(now)
			}
		}
	}
	l.strangers.shrink(l.strangers.n-l.config.maxStrangers(), (*conn).idle)
	for _, dispensable := range []func(*conn) bool{(*conn).idle, func(c *conn) bool { return !c.inUse() }} {
		for _, s := range lists {
			s.shrink(l.strangers.n+l.servers.n-orDefault(l.config.MaxSessions, defaultMaxSessions), dispensable)
		}
	}
	for _, s := range lists {
		if s.oldest == nil {
			continue
		}
		if wait := max(timeout-now.Sub(s.oldest.used), time.Millisecond); next == 0 || wait < next {
			next = wait
		}
	}
	return next
}

// spare has sweep called soon where there are too many sessions: one may be idle now.
func (l *loop) spare() {
	if l.strangers.n+l.servers.n > orDefault(l.config.MaxSessions, defaultMaxSessions) {
		l.timer.arm(time.Millisecond)
	}
}

// maxAsked is how many peers may be asked at once: libcoap sorts what may be sent again.
const maxAsked = 500

// checkObservers asks a peer that observes whether it is there, where it has been silent for
// long. Over a reliable transport one that has not answered the last time is gone.
func (c *conn) checkObservers(now time.Time) {
	l := c.l
	if c.verified && now.Sub(c.alive) < orDefault(l.config.ObserverCheck, defaultObserverCheck) {
		return
	}
	if c.asked != nil {
		if c.proto.Reliable() {
			c.end(ErrDisconnected)
		}
		return
	}
	if l.asked >= maxAsked {
		return
	}
	p, err := c.sendPing()
	if err != nil {
		c.endObservers()
		return
	}
	l.asked++
	c.asked, p.told = p, c.answered
}

// answered notes what became of the question.
func (c *conn) answered(there bool) {
	if c.asked == nil {
		return
	}
	c.asked = nil
	c.l.asked--
	if there {
		c.l.verify(c)
		c.l.heard(c)
	} else {
		c.endObservers()
	}
}

func (c *conn) endObservers() {
	for _, o := range c.observers {
		o.end()
	}
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
