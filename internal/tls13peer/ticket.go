package tls13peer

import (
	"encoding/binary"
	"slices"
	"time"
)

// A Ticket is one that a server sent: a pre-shared key and its name.
type Ticket struct {
	Lifetime   uint32 // seconds
	AgeAdd     uint32
	Nonce      []byte
	Name       []byte // the ticket itself
	Extensions Extensions

	key  []byte
	came time.Time
}

// MaxEarlyData returns how many bytes of early data the server takes with it.
func (t *Ticket) MaxEarlyData() uint32 {
	body, ok := t.Extensions.body(ExtEarlyData)
	if !ok || len(body) != 4 {
		return 0
	}
	return binary.BigEndian.Uint32(body)
}

// EarlyData returns the extension of a ticket that allows n bytes of early data.
func EarlyData(n uint32) Extension { return Extension{ExtEarlyData, u32(n)} }

func (t *Ticket) marshal() []byte {
	return message(typeNewSessionTicket, u32(t.Lifetime), u32(t.AgeAdd), vector(1, t.Nonce),
		vector(2, t.Name), t.Extensions.marshal())
}

func parseTicket(raw []byte) (*Ticket, error) {
	p := parser{rest: raw[4:]}
	t := &Ticket{
		Lifetime:   uint32(p.uint(4)),
		AgeAdd:     uint32(p.uint(4)),
		Nonce:      p.vector(1),
		Name:       p.vector(2),
		Extensions: p.extensions(),
	}
	return t, p.done("NewSessionTicket")
}

// derive gives the ticket its key and the time of now.
func (t *Ticket) derive(resumption []byte) {
	t.key = expandLabel(resumption, "resumption", t.Nonce, len(resumption))
	t.came = time.Now()
}

const binderSize = 32

// offer returns the extension "pre_shared_key" with a binder of zeros.
func (t *Ticket) offer() Extension {
	age := uint32(time.Since(t.came).Milliseconds()) + t.AgeAdd
	identities := vector(2, vector(2, t.Name), u32(age))
	binders := vector(2, vector(1, make([]byte, binderSize)))
	return Extension{ExtPreSharedKey, slices.Concat(identities, binders)}
}
