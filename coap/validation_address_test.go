package coap

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// addressOf returns what a loop knows of the address of a new peer.
func addressOf(l *loop, peer string) *address {
	return &address{c: &conn{l: l, remote: netip.MustParseAddrPort(peer)}}
}

func TestEchoValues(t *testing.T) {
	l := makeLoop(Config{})
	a, other := addressOf(l, "192.0.2.1:5683"), addressOf(l, "192.0.2.1:5684")
	now := time.Unix(1_000_000, 0)
	assert.Equal(t, a.echo(now), a.echo(now))
	assert.Len(t, a.echo(now), echoBytes)
	assert.NotEqual(t, a.echo(now), other.echo(now))
	assert.NotEqual(t, a.echo(now), a.echo(now.Add(2*echoPeriod)))
	assert.NotEqual(t, a.echo(now), addressOf(makeLoop(Config{}), "192.0.2.1:5683").echo(now),
		"the key is random")
}

func TestSessionsOfAnAddressShareItsCredit(t *testing.T) {
	l := makeLoop(Config{AddressValidation: ValidateAlways})
	a, b := addressOf(l, "192.0.2.1:5683"), addressOf(l, "192.0.2.1:5684")
	m := &ccoap.Message{Type: ccoap.NonConfirmable, Body: make([]byte, creditBytes)}
	assert.True(t, a.unproved())
	assert.False(t, a.overdrawn(creditBytes))
	a.spend(1, m)
	assert.True(t, a.overdrawn(creditBytes))
	assert.True(t, b.overdrawn(creditBytes))
	a.earn(&ccoap.Message{Body: make([]byte, creditBytes)})
	assert.False(t, b.overdrawn(creditBytes), "three times what came")
	b.spend(2, m)
	assert.True(t, a.overdrawn(creditBytes))
	b.settle() // it is verified
	b.verified = true
	assert.False(t, a.overdrawn(creditBytes))
	b.spend(3, m)
	assert.False(t, a.overdrawn(creditBytes), "it has its own counter")
	assert.False(t, b.overdrawn(creditBytes), "which is larger")
	assert.Equal(t, 0, len(b.proofs), "no acknowledgement comes")

	b.consents = true
	assert.False(t, b.metered())
	assert.False(t,
		addressOf(makeLoop(Config{AddressValidation: ValidateNever}), "192.0.2.1:5683").metered())
}

func TestFewMessagesProveAnAddress(t *testing.T) {
	l := makeLoop(Config{AddressValidation: ValidateAlways})
	a := addressOf(l, "192.0.2.1:5683")
	id := func(mid uint16) messageID { return messageID{a.c.remote, mid} }
	for mid := range maxProofs + 1 {
		a.spend(mid, &ccoap.Message{Type: ccoap.Confirmable})
	}
	assert.Len(t, l.validation.proofs, maxProofs)
	assert.NotContains(t, l.validation.proofs, id(0), "the oldest one")
	assert.Equal(t, a.c, l.validation.proofs[id(maxProofs)])
	a.disprove(maxProofs)
	assert.NotContains(t, l.validation.proofs, id(maxProofs))
	assert.Len(t, a.proofs, maxProofs-1)
	a.dropProofs()
	assert.Empty(t, l.validation.proofs)
	assert.Empty(t, a.proofs)
}
