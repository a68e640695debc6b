package cgnutls

/*
#include "ext_ticketkeys.h"
*/
import "C"

import (
	"crypto/sha3"
	"encoding/binary"
	"time"
	"unsafe"
)

// A TicketKey is a master key for a server's tickets, with the names of the
// keys that GnuTLS derives from it and accepts at some time. A ticket begins
// with the name of its key.
type TicketKey struct {
	names [2][C.CSHIM_TICKET_NAME_SIZE]byte
	key   [C.CSHIM_TICKET_KEY_SIZE]byte
}

// C gets TicketKeys as they are.
var _ [C.sizeof_struct_cshim_ticket_key]byte = [unsafe.Sizeof(TicketKey{})]byte{}

// NewNamedTicketKey derives the names of a master key for a time, as stek.c of
// GnuTLS does: SHA3-512 over the number of the time step and the master key, of
// which the first bytes are the name. A step takes 3 ticket lifetimes; GnuTLS
// accepts the current step and the one before.
func NewNamedTicketKey(key [C.CSHIM_TICKET_KEY_SIZE]byte, now time.Time) TicketKey {
	const lifetimes = 3
	k := TicketKey{key: key}
	step := uint64(now.Unix()) / (lifetimes * uint64(TicketLifetime()/time.Second))
	for i := range k.names {
		derived := sha3.Sum512(append(binary.BigEndian.AppendUint64(nil, step-uint64(i)), key[:]...))
		copy(k.names[i][:], derived[:])
	}
	return k
}

// TicketLifetime returns how long a session can be resumed with tickets.
//
// Implements:
//
//	int gnutls_db_get_default_cache_expiration(void);
func TicketLifetime() time.Duration {
	return time.Duration(C.gnutls_db_get_default_cache_expiration()) * time.Second
}

// EnableTicketKeys lets a server make tickets under the first key, and accept
// those of all. Tickets for a client that resumes with another key are made under
// that one. GnuTLS copies the keys.
//
// Implements:
//
//	int gnutls_session_ticket_enable_server(gnutls_session_t session,
//		const gnutls_datum_t *key);
func (s *Session) EnableTicketKeys(keys []TicketKey) Code {
	list := (*C.struct_cshim_ticket_key)(unsafe.Pointer(unsafe.SliceData(keys)))
	return Code(C.cshim_ext_ticket_keys_set(s.s, list, C.size_t(len(keys))))
}

// DeclineTickets makes a server that has ticket keys resume with no ticket in this
// handshake. It gives out tickets as ever.
//
// Implements:
//
//	void gnutls_db_set_cache_expiration(gnutls_session_t session, int seconds);
func (s *Session) DeclineTickets() { C.cshim_ext_tickets_decline(s.s, true) }
