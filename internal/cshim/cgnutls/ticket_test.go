package cgnutls

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The tests of this file follow the manual page of gnutls_session_get_data2,
// sentence by sentence. Those about what the library does around that call are
// in package gnutls.

var dummy = []byte{0, 0, 0, 0}

// "A session can be resumed later by calling gnutls_session_set_data() with
// the returned data."
func TestDataResumeASession(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		t.Run(version, func(t *testing.T) {
			first := newPair(t, version, Options{}, Options{})
			first.handshake(t)
			if version == "1.3" {
				first.sendTickets(t, 1)
				first.receive(t)
			}
			data, _, code := first.client.Data(nil)
			require.Equal(t, OK, code)

			second := newPair(t, version, Options{}, Options{})
			require.Equal(t, OK, second.client.SetData(data, version == "1.3"))
			second.handshake(t)
			assert.True(t, second.client.State().Resumed)
			assert.True(t, second.server.State().Resumed)
		})
	}
}

// "This function will fail if called prior to handshake completion." GnuTLS
// 3.7 does so only where TLS 1.3 is out of the question: with it, the call gives
// the dummy. Package gnutls asks only after the handshake.
func TestDataFailBeforeTheHandshakeIsOver(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		t.Run(version, func(t *testing.T) {
			p := newPair(t, version, Options{}, Options{})
			for _, step := range []func() Result{
				func() Result { return Result{} }, p.stepClient, p.stepServer,
			} {
				step()
				data, _, code := p.client.Data(nil)
				if version == "1.2" || code < 0 {
					assert.Negative(t, code)
				} else {
					assert.Equal(t, dummy, data)
				}
			}
		})
	}
}

// "In case of false start TLS, the handshake completes only after data have
// been successfully received from the peer."
func TestDataFailAfterAFalseStartUntilDataHaveCome(t *testing.T) {
	p := newPair(t, "1.2", Options{FalseStart: true}, Options{})
	for !p.client.FalseStarted() {
		require.Equal(t, OK, p.stepClient().Code)
		p.client.AcceptPeer()
		if !p.client.FalseStarted() {
			require.Equal(t, OK, p.stepServer().Code)
		}
	}
	_, _, code := p.client.Data(nil)
	assert.Equal(t, UnavailableDuringHandshake, code)

	require.Equal(t, OK, p.stepServer().Code)
	p.send(t, "data")
	assert.Equal(t, "data", p.receive(t))
	data, _, code := p.client.Data(nil)
	require.Equal(t, OK, code)
	assert.NotEqual(t, dummy, data)
}

// "Use gnutls_session_get_flags() and check for flag
// GNUTLS_SFLAGS_SESSION_TICKET; if this flag is not set, this function will
// wait for a new ticket within an estimated roundtrip, and if not received
// will return dummy data which cannot lead to resumption."
func TestDataAreADummyWithoutATicket(t *testing.T) {
	p := newPair(t, "1.3", Options{}, Options{})
	p.handshake(t)
	require.False(t, p.client.HasTicket())
	data, _, code := p.client.Data(nil)
	require.Equal(t, OK, code)
	assert.Equal(t, dummy, data)

	second := newPair(t, "1.3", Options{}, Options{})
	require.Equal(t, OK, second.client.SetData(data, true))
	second.handshake(t)
	assert.False(t, second.client.State().Resumed)
}

// The same sentence, where a ticket does come: the call takes it by itself.
func TestDataTakeATicketThatWaits(t *testing.T) {
	p := newPair(t, "1.3", Options{}, Options{})
	p.handshake(t)
	p.sendTickets(t, 1)
	require.False(t, p.client.HasTicket())
	data, used, code := p.client.Data(p.toClient)
	require.Equal(t, OK, code)
	assert.Equal(t, len(p.toClient), used)
	assert.True(t, p.client.HasTicket())
	assert.NotEqual(t, dummy, data)
}

// "To get notified when new tickets are received by the server use
// gnutls_handshake_set_hook_function() to wait for
// GNUTLS_HANDSHAKE_NEW_SESSION_TICKET messages. Each call of
// gnutls_session_get_data2() after a ticket is received, will return session
// resumption data corresponding to the last received ticket."
func TestEveryTicketIsSeenAndDataAreOfTheLast(t *testing.T) {
	p := newPair(t, "1.3", Options{Tickets: true}, Options{})
	p.handshake(t)
	p.sendTickets(t, 3)
	p.send(t, "between")
	p.sendTickets(t, 1)
	assert.Equal(t, "between", p.receive(t))
	tickets := p.client.TakeTickets()
	require.Len(t, tickets, 4)
	seen := make(map[string]bool)
	for _, ticket := range tickets {
		seen[string(ticket.Session)] = true
		assert.NotEqual(t, dummy, ticket.Session)
		assert.Greater(t, len(ticket.Message), 12)

		again := newPair(t, "1.3", Options{}, Options{})
		require.Equal(t, OK, again.client.SetData(ticket.Session, true))
		again.handshake(t)
		assert.True(t, again.client.State().Resumed)
	}
	assert.Len(t, seen, 4)
	last, _, code := p.client.Data(nil)
	require.Equal(t, OK, code)
	assert.Equal(t, tickets[3].Session, last)
	assert.Empty(t, p.client.TakeTickets())

	p.sendTickets(t, 1)
	p.receive(t)
	newer, _, code := p.client.Data(nil)
	require.Equal(t, OK, code)
	assert.NotEqual(t, last, newer)
}

// "Note that this function under TLS1.3 requires a callback to be set with
// gnutls_transport_set_pull_timeout_function() for successful operation. […]
// If not set, the function will return a successful error code, but will
// return dummy data."
func TestDataNeedThePullTimeoutCallback(t *testing.T) {
	p := newPair(t, "1.3", Options{}, Options{})
	p.handshake(t)
	p.sendTickets(t, 1)
	p.client.SetPullTimeout(false)
	data, used, code := p.client.Data(p.toClient)
	require.Equal(t, OK, code)
	assert.Zero(t, used)
	assert.Equal(t, dummy, data)

	p.client.SetPullTimeout(true)
	data, _, code = p.client.Data(p.toClient)
	require.Equal(t, OK, code)
	assert.NotEqual(t, dummy, data)
}

// "The returned data are allocated and must be released using gnutls_free()."
// Under the address sanitizer a datum that is not shows as a leak; here, the
// counts of LiveObjects.
func TestDataAreReleased(t *testing.T) {
	p := newPair(t, "1.3", Options{Tickets: true}, Options{})
	p.handshake(t)
	p.sendTickets(t, 2)
	before := LiveObjects().Buffers
	p.receive(t)
	assert.Equal(t, before+2, LiveObjects().Buffers, "two tickets are queued")
	_, _, code := p.client.Data(nil)
	require.Equal(t, OK, code)
	p.client.TakeTickets()
	assert.Equal(t, before, LiveObjects().Buffers)
}

// Tickets that nobody takes go with the session.
func TestQueuedTicketsAreFreedWithTheSession(t *testing.T) {
	p := newPair(t, "1.3", Options{Tickets: true, KeyLog: true}, Options{})
	p.handshake(t)
	p.sendTickets(t, 2)
	p.receive(t)
	assert.Positive(t, LiveObjects().Buffers)
}

// Output that does not fit stays in GnuTLS until there is room.
func TestOutputWaitsForRoom(t *testing.T) {
	p := newPair(t, "1.3", Options{Tickets: true}, Options{})
	p.handshake(t)
	small := make([]byte, 100)
	r := p.server.SendTickets(3, small)
	for r.Full {
		p.toClient = append(p.toClient, small[:r.Made]...)
		r = p.server.SendTickets(3, small)
	}
	require.Equal(t, OK, r.Code)
	p.toClient = append(p.toClient, small[:r.Made]...)
	p.receive(t)
	assert.Len(t, p.client.TakeTickets(), 3)
}
