package gnutls

// A TicketRequest says how many TLS 1.3 tickets a client would like to get
// (RFC 9149 section 3). Zero is a count like any other: no tickets.
type TicketRequest struct {
	New     uint8 // where the server makes a full handshake
	Resumed uint8 // where it resumes the session that the client offers
}
