package coap

import (
	"math/bits"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	peer "github.com/gnucoap/gnucoap/internal/coappeer"
)

// message is what a message of a block-wise transfer says, without its type, ID and token.
func message(code peer.Code, body string, options ...peer.Option) peer.Message {
	m := peer.Message{Code: code, Options: options}
	if body != "" {
		m.Payload = []byte(body)
	}
	return m
}

// said returns what a message says.
func said(m peer.Message) peer.Message {
	return peer.Message{Code: m.Code, Options: m.Options, Payload: m.Payload}
}

func put(body string, options ...peer.Option) peer.Message {
	return message(peer.PUT, body, append(peer.Path("x"), options...)...)
}

// block1 and block2 are block options: a number, whether there is more, and the size.
func block1(num uint32, more bool, size int) peer.Option {
	return blockOption(peer.Block1, num, more, size)
}

func block2(num uint32, more bool, size int) peer.Option {
	return blockOption(peer.Block2, num, more, size)
}

func blockOption(number uint16, num uint32, more bool, size int) peer.Option {
	return peer.Block{Num: num, More: more, SZX: byte(bits.TrailingZeros(uint(size / 16)))}.Option(number)
}

// several is the size in a block option that says that there are several blocks
// (RFC 8323, section 6).
const several = 16 << bert

// A scriptedClient is a UDP peer that talks to one server.
type scriptedClient struct {
	*peer.UDP
	server netip.AddrPort
	id     uint16
}

func newScriptedClient(t testing.TB, server netip.AddrPort) *scriptedClient {
	return &scriptedClient{UDP: peer.NewUDP(t), server: server}
}

// ask sends a confirmable request and returns what the piggybacked response says.
func (c *scriptedClient) ask(t testing.TB, m peer.Message) peer.Message {
	t.Helper()
	c.id++
	m.Type, m.ID, m.Token = peer.CON, c.id, []byte{byte(c.id >> 8), byte(c.id)}
	c.Send(c.server, m)
	got := c.Receive(t)
	require.Equal(t, m.Respond(got.Code, got.Payload, got.Options...), got.Message)
	return said(got.Message)
}

// serve takes a request and answers it.
func serve(t testing.TB, server *peer.UDP, answer peer.Message) peer.Received {
	t.Helper()
	m := server.Receive(t)
	server.Send(m.From, respond(m, answer))
	return m
}

func respond(request peer.Received, answer peer.Message) peer.Message {
	return request.Respond(answer.Code, answer.Payload, answer.Options...)
}

// askStream is ask over TCP.
func askStream(t testing.TB, c *peer.TCP, m peer.Message) peer.Message {
	t.Helper()
	m.Token = []byte{1}
	c.Send(m)
	got := c.Receive(t)
	require.Equal(t, m.Token, got.Token)
	return said(got.Message)
}

// serveStream is serve over TCP.
func serveStream(t testing.TB, server *peer.TCP, answer peer.Message) peer.Received {
	t.Helper()
	m := server.Receive(t)
	server.Send(respond(m, answer))
	return m
}
