package gnutls

import (
	"encoding/binary"
	"fmt"
)

// An UnusableTicketError says why a ticket that a server has sent is not kept. See
// Conn.SessionData.
type UnusableTicketError struct{ Detail string }

// Error describes the failure in one line.
func (e *UnusableTicketError) Error() string {
	return "gnutls: the server sent a ticket that cannot be used: " + e.Detail
}

// maxTicket is the longest ticket that is kept: a ClientHello that offers it needs room for
// the other extensions.
const maxTicket = 63 << 10

// checkTicket says why a NewSessionTicket cannot be used, or nil.
func checkTicket(version uint16, message []byte) error {
	const lifetime, ageAdd = 4, 4
	if len(message) < lifetime {
		return nil
	}
	rest := message[lifetime:]
	if version == VersionTLS13 {
		if binary.BigEndian.Uint32(message) == 0 {
			return &UnusableTicketError{"its lifetime is 0"}
		}
		if len(rest) < ageAdd {
			return nil
		}
		if _, after, ok := cutVector(rest[ageAdd:], 1); ok {
			rest = after
		}
	}
	ticket, _, ok := cutVector(rest, 2)
	switch {
	case ok && len(ticket) == 0:
		return &UnusableTicketError{"it is empty"}
	case len(ticket) > maxTicket:
		return &UnusableTicketError{fmt.Sprintf("it has %d bytes, too many for a ClientHello",
			len(ticket))}
	}
	return nil
}

// ticketEarlyData returns max_early_data_size of a TLS 1.3 NewSessionTicket
// (RFC 8446 section 4.6.1), or 0.
func ticketEarlyData(message []byte) uint32 {
	const lifetimeAndAge, earlyData = 8, 42
	if len(message) < lifetimeAndAge {
		return 0
	}
	rest := message[lifetimeAndAge:]
	for _, prefix := range []int{1, 2} { // ticket_nonce, ticket
		_, after, ok := cutVector(rest, prefix)
		if !ok {
			return 0
		}
		rest = after
	}
	extensions, _, _ := cutVector(rest, 2)
	for len(extensions) >= 4 {
		kind := binary.BigEndian.Uint16(extensions)
		body, after, ok := cutVector(extensions[2:], 2)
		if !ok {
			return 0
		}
		if kind == earlyData && len(body) == 4 {
			return binary.BigEndian.Uint32(body)
		}
		extensions = after
	}
	return 0
}

// cutVector splits a vector with a length prefix of 1 or 2 bytes off b.
func cutVector(b []byte, prefix int) (body, rest []byte, ok bool) {
	if len(b) < prefix {
		return nil, nil, false
	}
	n := int(b[0])
	if prefix == 2 {
		n = int(binary.BigEndian.Uint16(b))
	}
	b = b[prefix:]
	if len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}
