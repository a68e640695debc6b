package gnutls

import (
	"slices"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// startResumption tells a client's resumption what it is for, before the handshake.
func (c *Conn) startResumption() {
	r := c.resumption
	r.scope = sessionScope{c.serverName, c.native.trust, c.native.certPresent, c.allows}
	r.cache, r.key = c.config.ClientSessionCache, c.cacheKey
	r.log = c.log
	r.inbox.delivers = r.cache != nil || c.config.OnSessionTicket != nil
}

func (c *Conn) allows(version uint16) bool {
	return slices.Contains(c.native.priority.p.Protocols(), version)
}

// setData makes the handshake offer d.
func (c *Conn) setData(d *SessionData) (err error) {
	lost := c.withSession(func(s *cgnutls.Session) { err = setData(ownSession{s}, d) })
	if lost != nil {
		return lost
	}
	return err
}

// An ownSession is the native session of a Conn as a resumption uses it.
type ownSession struct{ *cgnutls.Session }

func (s ownSession) Data() ([]byte, cgnutls.Code) {
	data, _, code := s.Session.Data(nil)
	return data, code
}
