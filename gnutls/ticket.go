package gnutls

import (
	"context"
	"errors"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// maxKept bounds the application data that SessionData keeps for Read.
const maxKept = 1 << 20

// SessionData returns what a later connection needs to resume this session
// (gnutls_session_get_data2). It is for clients, and fails with CodeDuringHandshake
// before the handshake is over; after a false start that is when the first
// data have come from the server.
//
// Under TLS 1.3 it returns the data of the newest ticket, and waits for one
// until ctx ends if none has come. Application data that come meanwhile are
// kept for Read, up to 1 MiB. Where no ticket comes (ctx ends, the server closes
// the connection or the read deadline passes) the error matches ErrNoTicket
// and the reason, and an *UnusableTicketError where only such came. A server that has announced that it sends none (RFC 9149) is
// not waited for. Earlier versions know with the handshake whether the session
// can be resumed.
func (c *Conn) SessionData(ctx context.Context) (*SessionData, error) {
	const op = "session data"
	if !c.client {
		return nil, &Error{Op: op, Code: CodeInvalidRequest, Err: errors.New("only clients have session data")}
	}
	if !c.handshakeDone.Load() {
		return nil, duringHandshake(op)
	}
	if c.state.Load().Version < VersionTLS13 {
		return c.sessionData12(op)
	}
	for {
		d, arrival := c.resumption.inbox.current()
		if d != nil {
			return d, nil
		}
		if c.state.Load().noTickets() {
			return nil, c.resumption.inbox.noTicket(errNoneToCome)
		}
		select {
		case <-ctx.Done():
			return nil, c.resumption.inbox.noTicket(ctx.Err())
		case <-arrival:
		case c.reader <- struct{}{}:
			err := c.receiveTicket(ctx)
			c.reader.give()
			c.deliver()
			if err != nil {
				if d := c.resumption.inbox.latest(); d != nil {
					return d, nil
				}
				return nil, c.resumption.inbox.noTicket(err)
			}
		}
	}
}

func (c *Conn) sessionData12(op string) (*SessionData, error) {
	if d := c.resumption.inbox.latest(); d != nil {
		return d, nil
	}
	var code cgnutls.Code
	if err := c.withSession(func(s *cgnutls.Session) { _, _, code = s.Data(nil) }); err != nil {
		return nil, err
	}
	if code == cgnutls.UnavailableDuringHandshake {
		return nil, duringHandshake(op)
	}
	return nil, c.resumption.inbox.noTicket(errNotResuming)
}

// receiveTicket reads once for SessionData, until ctx ends, and keeps the
// application data that come. The caller holds reader.
func (c *Conn) receiveTicket(ctx context.Context) error {
	if c.keptFull() {
		return errors.New("too much application data came before a ticket")
	}
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		c.interruptRead()
		close(interrupted)
	})
	defer func() {
		if !stop() {
			<-interrupted
			c.resumeRead()
		}
	}()
	buf := getBuffer()
	defer putBuffer(buf)
	n, err := c.receive(buf[:])
	c.keep(buf[:n])
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return err
}

// keep adds data for the next Read. The caller holds reader.
func (c *Conn) keep(data []byte) {
	c.keptMu.Lock()
	defer c.keptMu.Unlock()
	c.kept = append(c.kept, data...)
	c.haveKept.Store(len(c.kept) > 0)
}

func (c *Conn) keptFull() bool {
	c.keptMu.Lock()
	defer c.keptMu.Unlock()
	return len(c.kept) >= maxKept
}

// takeKept moves kept data to p.
func (c *Conn) takeKept(p []byte) int {
	if !c.haveKept.Load() {
		return 0
	}
	c.keptMu.Lock()
	defer c.keptMu.Unlock()
	n := copy(p, c.kept)
	if c.kept = c.kept[n:]; len(c.kept) == 0 {
		c.kept = nil
		c.haveKept.Store(false)
	}
	return n
}

// collect takes what a call into GnuTLS has queued. The caller holds tlsMu.
func (c *Conn) collect(r cgnutls.Result) (tickets []cgnutls.Ticket, keys [][]byte) {
	if r.Tickets {
		tickets = c.session.s.TakeTickets()
	}
	if r.KeyLog {
		keys = c.session.s.TakeKeyLog()
	}
	return tickets, keys
}

// keepSession12 keeps the session of a TLS 1.2 handshake that is over. The caller holds reader.
func (c *Conn) keepSession12() {
	c.withSession(func(s *cgnutls.Session) { c.resumption.session12(ownSession{s}) })
}

// deliver hands new tickets to the cache and to OnSessionTicket, in order. The
// caller holds no lock.
func (c *Conn) deliver() {
	if c.client {
		c.resumption.inbox.deliver(c.deliverOne)
	}
}

func (c *Conn) deliverOne(d *SessionData) {
	if c.config.ClientSessionCache != nil {
		c.config.ClientSessionCache.Put(c.cacheKey, d)
	}
	if c.config.OnSessionTicket != nil {
		c.config.OnSessionTicket(c, d)
	}
}

// sendTickets sends the tickets that follow a TLS 1.3 handshake. The peer may
// write before it reads them, so the handshake must not wait for that: what a
// socket does not take at once is sent in the background.
func (c *Conn) sendTickets(cs *ConnectionState) {
	n := c.native.tickets
	if cs.TicketRequestAnswered {
		n = cs.ExpectedTickets
	}
	if n == 0 {
		return
	}
	if c.in.raw == nil || n > ticketBatch {
		c.later(func() error { return c.produceTickets(n) })
		return
	}
	buf := getBuffer()
	if !c.lock() {
		putBuffer(buf)
		return
	}
	r := c.session.s.SendTickets(n, buf[:])
	c.unlock()
	c.unsentBuf, c.unsent = buf, buf[:r.Made]
	c.flushNow()
	switch {
	case r.Full:
		c.later(func() error { return c.produceTickets(n) }) // goes on with those that did not fit
	case len(c.unsent) > 0:
		c.later(nil)
	}
}

// ticketBatch is how many tickets GnuTLS is asked for at once. It fails when it
// has to queue more than 32 messages.
const ticketBatch = 16

// later is flush and then send, in the background, once the handshake has come
// to its end. It hands writer over, so that what it sends comes before any data.
// Whoever wants to write next finds its error.
func (c *Conn) later(send func() error) {
	c.produced = make(chan struct{})
	c.background = func() {
		defer close(c.produced)
		defer c.giveWriter()
		if c.flush() == nil && send != nil {
			send()
		}
	}
}

// produceTickets makes and sends n tickets more than those that are due. After a
// deadline the rest goes with the next Write. The caller holds writer.
func (c *Conn) produceTickets(n int) error {
	for c.ticketsDue += n; c.ticketsDue > 0; {
		batch := min(c.ticketsDue, ticketBatch)
		c.ticketsDue -= batch
		err := c.produce(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.SendTickets(batch, out) })
		if err != nil {
			return err
		}
	}
	return nil
}
