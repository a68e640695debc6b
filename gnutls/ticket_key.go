package gnutls

import (
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// TicketKeySize is the length of a ticket key in bytes.
const TicketKeySize = 64

// A TicketKey is the master key from which GnuTLS derives the keys that
// encrypt and authenticate a server's session tickets. It can decrypt the
// sessions that were made with it: keep it secret. It is immutable and may be shared
// by configurations and goroutines.
type TicketKey struct {
	key [TicketKeySize]byte
}

// NewTicketKey returns a random key (gnutls_session_ticket_key_generate).
func NewTicketKey() (*TicketKey, error) {
	b, code := cgnutls.NewTicketKey()
	if code < 0 {
		return nil, check("making a ticket key", code)
	}
	defer clear(b)
	return ParseTicketKey(b)
}

// ParseTicketKey returns the key whose TicketKeySize bytes are b, as returned by
// Bytes.
func ParseTicketKey(b []byte) (*TicketKey, error) {
	if len(b) != TicketKeySize {
		return nil, fmt.Errorf("gnutls: a ticket key has %d bytes, not %d", TicketKeySize, len(b))
	}
	return &TicketKey{key: [TicketKeySize]byte(b)}, nil
}

// Bytes returns the secret bytes of the key.
func (k *TicketKey) Bytes() []byte { return append([]byte(nil), k.key[:]...) }

// String does not reveal the key.
func (k *TicketKey) String() string { return "TicketKey(secret)" }

// GoString does not reveal the key either.
func (k *TicketKey) GoString() string { return k.String() }
