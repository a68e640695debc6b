package gnutls

import (
	"net"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A TicketRequest is how many TLS 1.3 tickets a client asks for (RFC 9149 section
// 3). Zero means none.
type TicketRequest struct {
	New     uint8 // if the server makes a full handshake
	Resumed uint8 // if it resumes the session that the client offers
}

// TicketRequestInfo is the argument of Config.LimitTickets.
type TicketRequestInfo struct {
	Requested  TicketRequest // what the client asks for
	Resumed    bool          // whether the connection resumes a session
	Tickets    int           // how many it would get, within MaxSessionTickets
	ServerName string        // the name that the client asks for, or empty
	RemoteAddr net.Addr      // the client's address
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
