package coap

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// An address is what a session knows of the address that its peer says it has.
type address struct {
	c        *conn
	verified bool   // the peer has it
	consents bool   // the peer has shown that it wants what is sent to it
	spent    bucket // of its credit
	probe    *ping  // whose answer verifies the address, or nil
	probed   time.Time
	proofs   []messageID // whose acknowledgements prove the address
}

// unproved reports whether the peer's address may be made up.
func (a *address) unproved() bool { return !a.verified && a.c.l.validates() }

// metered reports whether what is sent in the session counts.
func (a *address) metered() bool { return !a.consents && a.c.l.validates() }

// probing reports whether the peer may yet answer a ping.
func (a *address) probing() bool { return a.probe != nil && time.Since(a.probed) < creditPatience }

// account is what counts what is sent to the peer, and how many times the credit it has.
func (a *address) account() (b *bucket, times int) {
	if a.verified {
		return a.spent.at(time.Now(), reachableTimes*creditBytes), reachableTimes
	}
	return a.c.l.validation.credit.of(a.c.remote.Addr()), 1
}

// settle gives back to the address what the session has used of its credit.
func (a *address) settle() {
	if !a.verified && a.spent.used > 0 {
		b := a.c.l.validation.credit.of(a.c.remote.Addr())
		b.used = max(0, b.used-a.spent.used)
	}
	a.spent = bucket{}
}

// spend counts a message that was sent under a message ID.
func (a *address) spend(mid int, m *ccoap.Message) {
	n := wire.DatagramSize(len(m.Token), m.Options, len(m.Body))
	if m.Type == ccoap.Confirmable {
		n *= a.c.l.config.tries()
		a.prove(mid)
	}
	b, _ := a.account()
	b.used += n
	if !a.verified {
		a.spent.used += n
	}
}

// earn counts a message that came.
func (a *address) earn(m *ccoap.Message) {
	n := creditAmount * wire.DatagramSize(len(m.Token), m.Options, len(m.Body))
	b, _ := a.account()
	b.used = max(0, b.used-n)
	if !a.verified {
		a.spent.used = max(0, a.spent.used-n)
	}
}

// overdrawn reports whether more is used than so many bytes of the credit of an address
// without proof, or as many times more as an address has that answers.
func (a *address) overdrawn(bytes int) bool {
	if !a.metered() {
		return false
	}
	b, times := a.account()
	return b.used > times*bytes
}

// echo is the Echo value of a session at a time: only who gets it can send it back. The
// server keeps nothing.
func (a *address) echo(at time.Time) []byte {
	k := &a.c.l.validation.credit
	if k.key == nil {
		k.key = make([]byte, sha256.Size)
		rand.Read(k.key)
	}
	h := hmac.New(sha256.New, k.key)
	b := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/int64(echoPeriod/time.Second)))
	b = binary.BigEndian.AppendUint16(b, a.c.remote.Port())
	b, _ = a.c.remote.Addr().AppendBinary(b)
	h.Write(b)
	return h.Sum(nil)[:echoBytes]
}

// echoes reports whether a message has an Echo value of the session.
func (a *address) echoes(m *ccoap.Message) bool {
	value, ok := findOption(m.Options, OptionEcho)
	now := time.Now()
	return ok && (hmac.Equal(value, a.echo(now)) || hmac.Equal(value, a.echo(now.Add(-echoPeriod))))
}

// prod has the peer answer a ping, which verifies its address. Clients acknowledge a block
// that is a message of its own in ways that do not let the next one through (libcoap 4.3.1
// and 4.3.4; go-coap 3.8.1 puts its next request into the acknowledgement).
func (a *address) prod() {
	if a.probe != nil || !a.unproved() {
		return
	}
	p, err := a.c.sendPing()
	if err != nil {
		return
	}
	a.probed = time.Now()
	a.probe, p.told = p, func(there bool) {
		a.probe = nil
		if there {
			a.c.verify()
		}
	}
}

// maxProofs is how many messages of a session may prove its peer's address.
const maxProofs = 4

// prove notes a confirmable message whose acknowledgement proves the address.
func (a *address) prove(mid int) {
	if len(a.proofs) == maxProofs {
		delete(a.c.l.validation.proofs, a.proofs[0])
		a.proofs = append(a.proofs[:0], a.proofs[1:]...)
	}
	id := messageID{a.c.remote, uint16(mid)}
	a.proofs = append(a.proofs, id)
	a.c.l.validation.proofs[id] = a.c
}

// disprove forgets a message that was not acknowledged.
func (a *address) disprove(mid int) {
	id := messageID{a.c.remote, uint16(mid)}
	if a.c.l.validation.proofs[id] == a.c {
		delete(a.c.l.validation.proofs, id)
		a.proofs = slices.DeleteFunc(a.proofs, func(other messageID) bool { return other == id })
	}
}

// dropProofs forgets all messages whose acknowledgements prove the address.
func (a *address) dropProofs() {
	for _, id := range a.proofs {
		if a.c.l.validation.proofs[id] == a.c {
			delete(a.c.l.validation.proofs, id)
		}
	}
	a.proofs = nil
}
