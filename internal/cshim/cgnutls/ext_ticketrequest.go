package cgnutls

/*
#include "session.h"
*/
import "C"

// TicketCounts are the two counts of a client's ticket request (RFC 9149).
type TicketCounts struct{ New, Resumed uint8 }

// RequestTickets makes a client ask for tickets, before the handshake.
//
// Implements:
//
//	int gnutls_session_ext_register(gnutls_session_t session, const char *name, int id,
//		gnutls_ext_parse_type_t parse_point, gnutls_ext_recv_func recv_func,
//		gnutls_ext_send_func send_func, gnutls_ext_deinit_data_func deinit_func,
//		gnutls_ext_pack_func pack_func, gnutls_ext_unpack_func unpack_func,
//		unsigned flags);
func (s *Session) RequestTickets(n TicketCounts) {
	s.s.ticket_request.asked = C.struct_cshim_ticket_counts{
		present:     true,
		new_session: C.uint8_t(n.New),
		resumption:  C.uint8_t(n.Resumed),
	}
}

// LimitTickets bounds the tickets that a server announces to a client that
// asks for some. With callback, Callbacks.LimitTickets may lower the number. p
// is the priority of the session.
func (s *Session) LimitTickets(p *Priority, limit uint8, callback bool) {
	s.s.ticket_request.modes = p.resumptionModes()
	s.s.ticket_request.limit = C.uint8_t(limit)
	s.s.ticket_request.limited = C.bool(callback)
}

// TicketsUsable reports whether a server can send tickets that the client could
// use. Without Options.Requests it may not know, and says yes.
func (s *Session) TicketsUsable() bool { return !bool(s.s.ticket_request.unusable) }

// TicketRequest returns what the client asked for, and what the server
// announced.
func (s *Session) TicketRequest() (asked TicketCounts, present bool, expected int, answered bool) {
	t := &s.s.ticket_request
	asked = TicketCounts{New: uint8(t.asked.new_session), Resumed: uint8(t.asked.resumption)}
	return asked, bool(t.asked.present), int(t.expected), bool(t.answered)
}
