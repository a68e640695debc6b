package gnutls

import (
	"fmt"
	"net"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A TicketRequest says how many TLS 1.3 tickets a client would like to get
// (RFC 9149 section 3). Zero is a count like any other: no tickets.
type TicketRequest struct {
	New     uint8 // where the server makes a full handshake
	Resumed uint8 // where it resumes the session that the client offers
}

// TicketRequestInfo is what Config.LimitTickets gets to know.
type TicketRequestInfo struct {
	Requested  TicketRequest // what the client would like
	Resumed    bool          // whether the connection resumes a session
	Tickets    int           // what it would get: as requested, within the limit
	ServerName string        // the name that the client asks for, or empty
	RemoteAddr net.Addr      // the client's address
}

// requestTickets makes a client's handshake ask for tickets.
func (c *Conn) requestTickets() error {
	if c.config.SessionTicketsDisabled {
		return nil
	}
	r := c.resumption.ticketRequest(c.config.TicketRequest, max(c.racing, 1))
	if r == nil || !c.allows(VersionTLS13) {
		return nil
	}
	return c.withSession(func(s *cgnutls.Session) { s.RequestTickets(cgnutls.TicketCounts(*r)) })
}

// limitTickets is called from inside a server's handshake.
func (c *Conn) limitTickets(s *cgnutls.Session) func(cgnutls.TicketCounts, bool, int) int {
	return func(asked cgnutls.TicketCounts, resumed bool, n int) int {
		limited := c.config.LimitTickets(TicketRequestInfo{
			Requested:  TicketRequest(asked),
			Resumed:    resumed,
			Tickets:    n,
			ServerName: s.State().ServerName,
			RemoteAddr: c.conn.RemoteAddr(),
		})
		return max(0, min(limited, n))
	}
}

// addTicketRequest completes cs with what the handshake said about tickets.
func addTicketRequest(cs *ConnectionState, s interface {
	TicketRequest() (asked cgnutls.TicketCounts, present bool, expected int, answered bool)
}) {
	asked, present, expected, answered := s.TicketRequest()
	if !present || cs.Version != VersionTLS13 {
		return
	}
	cs.TicketRequest = (*TicketRequest)(&asked)
	cs.TicketRequestAnswered = answered
	cs.ExpectedTickets = expected
}

// noTickets reports whether the server announced that it sends no tickets.
func (cs *ConnectionState) noTickets() bool {
	return cs.TicketRequestAnswered && cs.ExpectedTickets == 0
}

// SendTickets sends n more tickets to the client of a TLS 1.3 connection
// (gnutls_session_ticket_send), for instance when the earlier ones are about to
// expire. n is 0 to Config.MaxSessionTickets. It is for servers, and comes after
// the handshake. It waits for a Write under way, as a Write would. It fails with
// CodeNotAvailable where the client could not use a ticket.
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
		return &Error{Op: op, Code: CodeNotAvailable, Err: fmt.Errorf("the client has no key exchange mode for them: %w", CodeNotAvailable)}
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
