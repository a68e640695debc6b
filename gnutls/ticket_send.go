package gnutls

import (
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

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
	if c.reading.in.raw == nil || n > ticketBatch {
		c.sendAfter(func() error { return c.produceTickets(n) })
		return
	}
	buf := getBuffer()
	if !c.tls.lock() {
		putBuffer(buf)
		return
	}
	r := c.tls.session.s.SendTickets(n, buf[:])
	c.tls.unlock()
	c.writing.out.add(buf, r.Made)
	c.writing.out.flushNow(c.reading.in.raw)
	switch {
	case r.Full:
		c.sendAfter(func() error { return c.produceTickets(n) }) // including those that did not fit
	case c.writing.out.waiting() > 0:
		c.sendAfter(nil)
	}
}

// ticketBatch is how many tickets GnuTLS is asked for at once. It fails when it
// has to queue more than 32 messages.
const ticketBatch = 16

// produceTickets makes and sends the tickets that are outstanding and n more. After a
// deadline the next Write sends the rest. The caller holds the turn of writing.
func (c *Conn) produceTickets(n int) error {
	for c.writing.tickets += n; c.writing.tickets > 0; {
		batch := min(c.writing.tickets, ticketBatch)
		c.writing.tickets -= batch
		err := c.produce(func(s *cgnutls.Session, out []byte) cgnutls.Result {
			return s.SendTickets(batch, out)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SendTickets sends n more tickets to the client of a TLS 1.3 connection
// (gnutls_session_ticket_send), for instance when the earlier ones are about to
// expire. n is 0 to Config.MaxSessionTickets. It is for servers, after the
// handshake. It waits for a Write in progress, as a Write would. It fails with
// CodeNotAvailable if the client cannot use a ticket.
func (c *Conn) SendTickets(n int) error {
	const op = "send tickets"
	invalid := func(text string, args ...any) error {
		return &Error{Op: op, Code: CodeInvalidRequest, Err: fmt.Errorf(text, args...)}
	}
	switch {
	case c.client:
		return invalid("only servers send tickets")
	case !c.handshakeDone.Load():
		return duringHandshake(op)
	case c.config.SessionTicketsDisabled:
		return invalid("Config.SessionTicketsDisabled is set")
	case c.state.Load().Version < VersionTLS13:
		return invalid("%s sends its ticket in the handshake", VersionName(c.state.Load().Version))
	case n < 0 || n > c.native.maxTickets:
		return invalid("%d is not 0 to %d, the most at once", n, c.native.maxTickets)
	}
	usable := true
	if err := c.withSession(func(s *cgnutls.Session) { usable = s.TicketsUsable() }); err != nil {
		return err
	}
	if !usable && n > 0 {
		return &Error{Op: op, Code: CodeNotAvailable,
			Err: fmt.Errorf("the client has no key exchange mode for them: %w", CodeNotAvailable)}
	}
	for ; n > 0; n -= ticketBatch {
		if err := c.sendBatch(min(n, ticketBatch)); err != nil {
			return err
		}
	}
	return nil
}

// sendBatch lets application data go between two batches.
func (c *Conn) sendBatch(n int) error {
	if err := c.takeWriter(); err != nil {
		return err
	}
	defer c.giveWriter()
	return c.produceTickets(n)
}
