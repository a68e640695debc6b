package cgnutls

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// ticketOf returns the ticket in the body of a NewSessionTicket.
func ticketOf(t testing.TB, version string, message []byte) []byte {
	t.Helper()
	const lifetime, age = 4, 4
	rest := message[lifetime:]
	if version == "1.3" {
		nonce := int(message[lifetime+age])
		rest = message[lifetime+age+1+nonce:]
	}
	n := int(binary.BigEndian.Uint16(rest))
	require.GreaterOrEqual(t, len(rest), 2+n)
	return rest[2 : 2+n]
}

// testKeys are named ticket keys of all ones, all twos and so on.
func testKeys(values ...byte) []TicketKey {
	var list []TicketKey
	for _, v := range values {
		list = append(list, NewNamedTicketKey([64]byte(bytes.Repeat([]byte{v}, 64)), time.Now()))
	}
	return list
}

func newPairWithKeys(t testing.TB, version string, values ...byte) *pair {
	t.Helper()
	p := newPair(t, version, Options{Tickets: true}, Options{})
	require.Equal(t, OK, p.server.EnableTicketKeys(testKeys(values...)))
	return p
}

// getTicket makes a connection and returns its ticket, and data to resume with.
func getTicket(t testing.TB, version string, p *pair) (ticket, data []byte) {
	t.Helper()
	p.handshake(t)
	if version == "1.3" {
		p.sendTickets(t, 1)
		p.receive(t)
	}
	tickets := p.client.TakeTickets()
	require.Len(t, tickets, 1)
	data, _, code := p.client.Data(nil)
	require.Equal(t, OK, code)
	return ticketOf(t, version, tickets[0].Message), data
}

func resumes(t testing.TB, version string, p *pair, data []byte) bool {
	t.Helper()
	require.Equal(t, OK, p.client.SetData(data, version == "1.3"))
	p.handshake(t)
	assert.Equal(t, p.server.State().Resumed, p.client.State().Resumed)
	return p.server.State().Resumed
}

// The names are GnuTLS's own. Where another version derives them in another
// way, this fails, and previous keys cost a full handshake.
func TestTicketsBeginWithTheNameOfTheirKey(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		p := newPairWithKeys(t, version, 1)
		before := testKeys(1)[0]
		ticket, _ := getTicket(t, version, p)
		after := testKeys(1)[0] // another one where a step begins just now
		assert.Contains(t, [][16]byte{before.names[0], after.names[0]}, [16]byte(ticket), version)
		assert.NotEqual(t, before.names[0], before.names[1])
		assert.NotEqual(t, testKeys(2)[0].names[0], before.names[0])
	}
}

func TestTicketKeyNamesChangeEveryThreeLifetimes(t *testing.T) {
	step := 3 * TicketLifetime()
	begin := time.Unix(0, 0).Add(30000 * step)
	names := func(at time.Time) [2][16]byte { return NewNamedTicketKey([64]byte{1}, at).names }
	first := names(begin)
	assert.Equal(t, first, names(begin.Add(step-time.Second)))
	second := names(begin.Add(step))
	assert.Equal(t, first[0], second[1], "the previous step is still accepted")
	assert.NotEqual(t, first[0], second[0])
}

func TestServerAcceptsTheTicketsOfAllItsKeys(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		for _, tt := range []struct {
			keys []byte // of the server that gets a ticket of key 1
			want bool
		}{
			{[]byte{1}, true},
			{[]byte{1, 2}, true},
			{[]byte{2, 1}, true},
			{[]byte{5, 4, 3, 2, 1, 6, 7, 8}, true},
			{[]byte{2}, false},
			{[]byte{2, 3, 4}, false},
		} {
			t.Run(fmt.Sprintf("%s/%v", version, tt.keys), func(t *testing.T) {
				_, data := getTicket(t, version, newPairWithKeys(t, version, 1))
				assert.Equal(t, tt.want, resumes(t, version, newPairWithKeys(t, version, tt.keys...), data))
			})
		}
	}
}

// GnuTLS cannot change the key of a session that has used it.
func TestNewTicketsAreUnderTheKeyOfTheOldOne(t *testing.T) {
	_, data := getTicket(t, "1.3", newPairWithKeys(t, "1.3", 1))
	p := newPairWithKeys(t, "1.3", 2, 1)
	require.Equal(t, OK, p.client.SetData(data, true))
	ticket, _ := getTicket(t, "1.3", p)
	require.True(t, p.server.State().Resumed)
	assert.Contains(t, testKeys(1)[0].names, [16]byte(ticket))
}

func TestTicketsThatCannotBeReadCostAFullHandshake(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		ticket, data := getTicket(t, version, newPairWithKeys(t, version, 1))
		for name, at := range map[string]int{"name": 0, "IV": 16, "length": 33, "text": 40,
			"MAC": len(ticket) - 1} {
			t.Run(version+"/"+name, func(t *testing.T) {
				bad := slices.Clone(ticket)
				bad[at] ^= 0xff
				require.Equal(t, 1, bytes.Count(data, ticket))
				assert.False(t,
					resumes(t, version, newPairWithKeys(t, version, 2, 1), bytes.Replace(data, ticket, bad, 1)))
			})
		}
	}
}

const recordHeader, messageHeader = 5, 4

// helloRecord puts the body of a ClientHello into a record.
func helloRecord(body []byte) []byte {
	n := len(body)
	record := []byte{22, 3, 3, byte((n + messageHeader) >> 8), byte(n + messageHeader), 1, 0,
		byte(n >> 8), byte(n)}
	return append(record, body...)
}

// serverAnswer gives a ClientHello to a server with several keys.
func serverAnswer(t testing.TB, version string, body []byte) Result {
	t.Helper()
	p := newPairWithKeys(t, version, 2, 1)
	p.toServer = helloRecord(body)
	return p.stepServer()
}

func TestServerWithSeveralKeysOutlivesAnyClientHello(t *testing.T) {
	for _, version := range []string{"1.2", "1.3"} {
		t.Run(version, func(t *testing.T) {
			_, data := getTicket(t, version, newPairWithKeys(t, version, 1))
			p := newPair(t, version, Options{}, Options{})
			require.Equal(t, OK, p.client.SetData(data, version == "1.3"))
			p.stepClient()
			hello := p.toServer[recordHeader+messageHeader:]
			require.Equal(t, helloRecord(hello)[recordHeader:], p.toServer[recordHeader:], "one record")
			require.Equal(t, OK, serverAnswer(t, version, hello).Code)
			for n := range hello {
				t.Run(fmt.Sprintf("first %d bytes", n), func(t *testing.T) {
					r := serverAnswer(t, version, hello[:n])
					if version == "1.3" {
						assert.Negative(t, r.Code)
					}
					assert.NotEqual(t, InternalError, r.Code)
				})
				t.Run(fmt.Sprintf("byte %d changed", n), func(t *testing.T) {
					changed := slices.Clone(hello)
					changed[n] ^= 0xff
					assert.NotEqual(t, InternalError, serverAnswer(t, version, changed).Code)
				})
			}
		})
	}
}
