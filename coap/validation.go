package coap

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"slices"
	"time"

	"github.com/gnucoap/gnucoap/coap/internal/wire"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// An AddressValidation says when a server wants peers over UDP to prove that they have the
// address that their requests come from. A peer has proved it in a session when it
// acknowledges a message of the server, whose ID cannot be guessed, or sends back the Echo
// option of a response (RFC 9175). Until then whoever sends with a victim's address could
// have the server send to the victim (RFC 7252, section 11.3). A peer that answers a CoAP
// ping has the address, but may be a victim that speaks CoAP. Over DTLS, TCP and TLS
// addresses are always proved.
type AddressValidation int

const (
	// ValidateWhenLarge has peers without proof get what they ask for while that is little:
	// three times the bytes that come from an address, and 16 KiB on top, which come back in
	// 4 minutes. What may be sent again counts as often as it may. When 2 KiB of that are
	// used, a response is a message of its own that is to be acknowledged, which every client
	// does; to a body in blocks a CoAP ping is added instead, and who answers that has 16 MiB.
	// When all of it is used, requests are answered with 4.01 and an Echo option.
	ValidateWhenLarge AddressValidation = iota
	// ValidateAlways has all requests of peers without proof answered with 4.01 and an Echo
	// option, but for those for a group. Clients of this package send that back, see
	// Session.Do; those that do not know Echo are shut out.
	ValidateAlways
	// ValidateNever is for networks that nobody can send into with another's address.
	ValidateNever
)

const (
	creditBytes    = 16 << 10         // to send to an address without proof
	creditProof    = 2 << 10          // of it may be used before there must be a proof
	creditPeriod   = 4 * time.Minute  // in which it comes back
	creditAmount   = 3                // bytes to be sent for one that came (RFC 9175, section 2.4)
	creditPatience = 15 * time.Second // for the answer to a ping
	creditBuckets  = 4096
	reachableTimes = 1024            // the credit of an address that answers pings
	echoPeriod     = 2 * time.Minute // in which an Echo value stays the same
	echoBytes      = 6               // a response with it is no more than three times an empty request
)

// A credit counts what is sent to addresses without proof beyond what their requests allow.
// Addresses share a fixed number of counters by their hash, so that who makes addresses up
// can neither fill a table nor start anew. The loop guards it.
type credit struct {
	seed    maphash.Seed
	buckets []bucket // nil: nothing is used
	key     []byte   // of Echo values
}

type bucket struct {
	used int
	last time.Time // when it was looked at
}

// network is what addresses are counted by: of IPv6 one host has all of a /64.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is4() {
		return addr
	}
	p, _ := addr.Prefix(64)
	return p.Addr()
}

// of returns the counter of an address, as of now.
func (k *credit) of(addr netip.Addr) *bucket {
	if k.buckets == nil {
		k.seed = maphash.MakeSeed()
		k.buckets = make([]bucket, creditBuckets)
	}
	return k.buckets[maphash.Comparable(k.seed, network(addr))%creditBuckets].at(time.Now(), creditBytes)
}

// at gives back what has come back since the last call: so many bytes in creditPeriod.
func (b *bucket) at(now time.Time, bytes int) *bucket {
	if b.used > 0 {
		back := min(now.Sub(b.last), creditPeriod)
		b.used = max(0, b.used-int(int64(bytes)*int64(back)/int64(creditPeriod)))
	}
	b.last = now
	return b
}

// unproved reports whether the peer's address may be made up.
func (c *conn) unproved() bool { return !c.verified && c.l.validates() }

// metered reports whether what is sent in the session counts.
func (c *conn) metered() bool { return !c.consents && c.l.validates() }

func (l *loop) validates() bool {
	switch l.config.AddressValidation {
	case ValidateWhenLarge:
		return l.hearsAcknowledgements()
	case ValidateAlways:
		return true
	}
	return false
}

// probing reports whether the peer may yet answer a ping.
func (c *conn) probing() bool { return c.probe != nil && time.Since(c.probed) < creditPatience }

// account is what counts what is sent to the peer, and how many times the credit it has.
func (c *conn) account() (b *bucket, times int) {
	if c.verified {
		return c.spent.at(time.Now(), reachableTimes*creditBytes), reachableTimes
	}
	return c.l.credit.of(c.remote.Addr()), 1
}

// settle gives back to the address what the session has used of its credit.
func (c *conn) settle() {
	if !c.verified && c.spent.used > 0 {
		b := c.l.credit.of(c.remote.Addr())
		b.used = max(0, b.used-c.spent.used)
	}
	c.spent = bucket{}
}

// trust notes that the peer has the address that it says, and wants what is sent to it.
func (l *loop) trust(c *conn) {
	l.verify(c)
	c.dropProofs()
	c.consents = true
}

// prod has the peer answer a ping, which verifies its address. Clients acknowledge a block
// that is a message of its own in ways that do not let the next one through (libcoap 4.3.1
// and 4.3.4; go-coap 3.8.1 puts its next request into the acknowledgement).
func (c *conn) prod() {
	if c.probe != nil || !c.unproved() {
		return
	}
	p, err := c.sendPing()
	if err != nil {
		return
	}
	c.probed = time.Now()
	c.probe, p.told = p, func(there bool) {
		c.probe = nil
		if there {
			c.l.verify(c)
		}
	}
}

// hearsAcknowledgements reports whether acknowledgements come to onHeard.
func (l *loop) hearsAcknowledgements() bool { return ccoap.TellsEmpty() && !l.borrowed }

// transmit sends a message, and counts it.
func (c *conn) transmit(m *ccoap.Message) (mid int, err error) {
	mid, err = c.native.Send(m)
	if err != nil || !c.metered() {
		return mid, err
	}
	n := wire.DatagramSize(len(m.Token), m.Options, len(m.Body))
	if m.Type == ccoap.Confirmable {
		n *= c.l.config.tries()
		c.prove(mid)
	}
	b, _ := c.account()
	b.used += n
	if !c.verified {
		c.spent.used += n
	}
	return mid, nil
}

// earn counts a message that has come.
func (c *conn) earn(m *ccoap.Message) {
	n := creditAmount * wire.DatagramSize(len(m.Token), m.Options, len(m.Body))
	b, _ := c.account()
	b.used = max(0, b.used-n)
	if !c.verified {
		c.spent.used = max(0, c.spent.used-n)
	}
}

// overdrawn reports whether more is used than so many bytes of the credit of an address
// without proof, or as many times more as an address has that answers.
func (c *conn) overdrawn(bytes int) bool {
	if !c.metered() {
		return false
	}
	b, times := c.account()
	return b.used > times*bytes
}

// tries is how often a confirmable message may be sent.
func (c *Config) tries() int { return 1 + orDefault(c.MaxRetransmit, defaultMaxRetransmit) }

// echo is the Echo value of a session at a time: only who gets it can send it back. The
// server keeps nothing.
func (c *conn) echo(at time.Time) []byte {
	k := &c.l.credit
	if k.key == nil {
		k.key = make([]byte, sha256.Size)
		rand.Read(k.key)
	}
	h := hmac.New(sha256.New, k.key)
	b := binary.BigEndian.AppendUint64(nil, uint64(at.Unix()/int64(echoPeriod/time.Second)))
	b = binary.BigEndian.AppendUint16(b, c.remote.Port())
	b, _ = c.remote.Addr().AppendBinary(b)
	h.Write(b)
	return h.Sum(nil)[:echoBytes]
}

// echoes reports whether a message has an Echo value of the session.
func (c *conn) echoes(m *ccoap.Message) bool {
	value, ok := findOption(m.Options, OptionEcho)
	now := time.Now()
	return ok && (hmac.Equal(value, c.echo(now)) || hmac.Equal(value, c.echo(now.Add(-echoPeriod))))
}

// admit reports whether a request may be handled for all that is known of its address.
// Otherwise it must be challenged.
func (in *incoming) admit() bool {
	c := in.c
	if !c.metered() {
		return true
	}
	if c.echoes(&in.m) {
		c.l.trust(c)
		return true
	}
	return (in.multicast || c.verified || c.l.config.AddressValidation != ValidateAlways) && !c.overdrawn(creditBytes)
}

// challenge answers with an Echo value (RFC 9175, section 2.3).
func (in *incoming) challenge() {
	if in.multicast {
		return
	}
	options := Options{{OptionEcho, in.c.echo(time.Now())}}
	_ = in.respond(&ccoap.Message{Code: int(CodeUnauthorized), Options: options.encode()})
}

// wantsProof reports whether a response is to be acknowledged, so that the address is proved.
func (in *incoming) wantsProof(response *ccoap.Message) bool {
	if !in.c.metered() || len(in.c.proofs) > 0 || in.multicast || !Code(response.Code).IsSuccess() || !in.c.l.hearsAcknowledgements() {
		return false
	}
	l := in.c.l
	return in.c.overdrawn(creditProof) ||
		in.observer != nil && l.observers > l.config.maxObservers()/2 ||
		in.blocks != nil && in.blocks.has1 && l.store.pressed(l.config.maxBody())
}

// maxProofs is how many messages of a session may prove its peer's address.
const maxProofs = 4

// prove notes a confirmable message whose acknowledgement proves the address.
func (c *conn) prove(mid int) {
	if len(c.proofs) == maxProofs {
		delete(c.l.proofs, c.proofs[0])
		c.proofs = append(c.proofs[:0], c.proofs[1:]...)
	}
	id := messageID{c.remote, uint16(mid)}
	c.proofs = append(c.proofs, id)
	c.l.proofs[id] = c
}

// disprove forgets a message that was not acknowledged.
func (c *conn) disprove(mid int) {
	id := messageID{c.remote, uint16(mid)}
	if c.l.proofs[id] == c {
		delete(c.l.proofs, id)
		c.proofs = slices.DeleteFunc(c.proofs, func(other messageID) bool { return other == id })
	}
}

// dropProofs forgets them.
func (c *conn) dropProofs() {
	for _, id := range c.proofs {
		if c.l.proofs[id] == c {
			delete(c.l.proofs, id)
		}
	}
	c.proofs = nil
}
