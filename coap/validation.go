package coap

import (
	"hash/maphash"
	"net/netip"
	"time"

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

// A validation is what a loop knows of addresses without proof.
type validation struct {
	credit credit
	proofs map[messageID]*conn // whose address an acknowledgement proves
}

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
	return k.buckets[maphash.Comparable(k.seed, network(addr))%creditBuckets].at(time.Now(),
		creditBytes)
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

func (l *loop) validates() bool {
	switch l.config.AddressValidation {
	case ValidateWhenLarge:
		return l.hearsAcknowledgements()
	case ValidateAlways:
		return true
	}
	return false
}

// verify notes that the peer of a server session has the address that it says.
func (c *conn) verify() {
	if c.address.verified || c.ended != nil {
		return
	}
	c.l.idle.remove(c)
	c.address.settle()
	c.address.verified = true
	c.l.idle.add(c)
	for _, b := range c.transfers.bodies {
		c.l.store.shares.move(&b.held, c.holder())
	}
	for _, o := range c.observers.byToken {
		c.l.observers.shares.move(&o.held, c.holder())
	}
}

// trust notes that the peer has the address that it says, and wants what is sent to it.
func (c *conn) trust() {
	c.verify()
	c.address.dropProofs()
	c.address.consents = true
}

// hearsAcknowledgements reports whether acknowledgements come to onHeard.
func (l *loop) hearsAcknowledgements() bool { return ccoap.TellsEmpty() && !l.borrowed }

// transmit sends a message, and counts it.
func (c *conn) transmit(m *ccoap.Message) (mid int, err error) {
	mid, err = c.native.Send(m)
	if err == nil && c.address.metered() {
		c.address.spend(mid, m)
	}
	return mid, err
}

// tries is how often a confirmable message may be sent.
func (c *Config) tries() int { return 1 + orDefault(c.MaxRetransmit, defaultMaxRetransmit) }

// admit reports whether a request may be handled for all that is known of its address.
// Otherwise it must be challenged.
func (in *serverRequest) admit() bool {
	c := in.c
	if !c.address.metered() {
		return true
	}
	if c.address.echoes(&in.m) {
		c.trust()
		return true
	}
	return (in.multicast || c.address.verified || c.l.config.AddressValidation != ValidateAlways) &&
		!c.address.overdrawn(creditBytes)
}

// challenge answers with an Echo value (RFC 9175, section 2.3).
func (in *serverRequest) challenge() {
	if in.multicast {
		return
	}
	options := Options{{OptionEcho, in.c.address.echo(time.Now())}}
	_ = in.respond(&ccoap.Message{Code: int(CodeUnauthorized), Options: options.encode()})
}

// wantsProof reports whether a response is to be acknowledged, so that the address is proved.
func (in *serverRequest) wantsProof(response *ccoap.Message) bool {
	if !in.c.address.metered() || len(in.c.address.proofs) > 0 || in.multicast ||
		!Code(response.Code).IsSuccess() || !in.c.l.hearsAcknowledgements() {
		return false
	}
	l := in.c.l
	return in.c.address.overdrawn(creditProof) ||
		in.observer != nil && l.observers.pressed() ||
		in.blocks != nil && in.blocks.has1 && l.store.pressed(l.config.maxBody())
}
