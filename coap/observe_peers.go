package coap

import "time"

// observers are those of all sessions of a loop.
type observers struct {
	config *Config
	n      int
	shares shares
	asked  int // peers that are asked whether they are there
}

// makeRoom reports whether a session may observe one more time. If there is no room,
// the address that has most observers loses its oldest, unless it is the session's own.
func (s *observers) makeRoom(c *conn) bool {
	for s.n >= s.config.maxObservers() {
		if own := s.shares.byAddr[c.holder()]; own != nil && !c.address.unproved() &&
			own.weight >= s.shares.heap[0].weight {
			return false
		}
		s.shares.largest().(*observer).remove()
	}
	return true
}

// pressed reports whether more than half of the places are taken.
func (s *observers) pressed() bool { return s.n > s.config.maxObservers()/2 }

func (s *observers) add(o *observer) {
	s.n++
	o.held.owner = o
	s.shares.add(&o.held, o.c.holder(), 1)
	of := &o.c.observers
	if of.byToken == nil {
		of.byToken = make(map[string]*observer)
	}
	of.byToken[o.token] = o
}

func (s *observers) remove(o *observer) {
	s.n--
	s.shares.remove(&o.held)
	delete(o.c.observers.byToken, o.token)
}

// peerObservers are those of one session.
type peerObservers struct {
	c       *conn
	byToken map[string]*observer
	asked   *ping // whether the peer is there, or nil
}

// maxAsked is how many peers may be asked at once: libcoap sorts what may be sent again.
const maxAsked = 500

// check asks a peer that observes whether it is there, if it has been silent for long. Over a
// reliable transport one that has not answered the last time is gone.
func (s *peerObservers) check(now time.Time) {
	c, all := s.c, &s.c.l.observers
	switch {
	case len(s.byToken) == 0:
		return
	case c.address.verified &&
		now.Sub(c.usage.alive) < orDefault(c.l.config.ObserverCheck, defaultObserverCheck):
		return
	case s.asked != nil && c.proto.Reliable():
		c.end(ErrDisconnected)
		return
	case s.asked != nil || all.asked >= maxAsked:
		return
	}
	p, err := c.sendPing()
	if err != nil {
		s.endAll()
		return
	}
	all.asked++
	s.asked, p.told = p, s.answered
}

// answered notes what became of the question.
func (s *peerObservers) answered(there bool) {
	if s.asked == nil {
		return
	}
	s.asked = nil
	s.c.l.observers.asked--
	if there {
		s.c.verify()
		s.c.noteAlive()
	} else {
		s.endAll()
	}
}

func (s *peerObservers) endAll() {
	for _, o := range s.byToken {
		o.remove()
	}
}

// end is called when the session is over.
func (s *peerObservers) end() {
	s.answered(false)
	s.endAll()
}
