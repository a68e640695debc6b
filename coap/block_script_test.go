package coap

import (
	"math/bits"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap/internal/block"
	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// message is what a message of a block-wise transfer says, without its type, ID and token.
func message(code coappeer.Code, body string, options ...coappeer.Option) coappeer.Message {
	m := coappeer.Message{Code: code, Options: options}
	if body != "" {
		m.Payload = []byte(body)
	}
	return m
}

// said returns what a message says.
func said(m coappeer.Message) coappeer.Message {
	return coappeer.Message{Code: m.Code, Options: m.Options, Payload: m.Payload}
}

func put(body string, options ...coappeer.Option) coappeer.Message {
	return message(coappeer.PUT, body, append(coappeer.Path("x"), options...)...)
}

// block1 and block2 are block options: a number, whether there is more, and the size.
func block1(num uint32, more bool, size int) coappeer.Option {
	return blockOption(coappeer.Block1, num, more, size)
}

func block2(num uint32, more bool, size int) coappeer.Option {
	return blockOption(coappeer.Block2, num, more, size)
}

func blockOption(number uint16, num uint32, more bool, size int) coappeer.Option {
	return coappeer.Block{Num: num, More: more,
		SZX: byte(bits.TrailingZeros(uint(size / 16)))}.Option(number)
}

// several is the size in a block option that says that there are several blocks
// (RFC 8323, section 6).
const several = 16 << block.BERT

// A scriptedClient is a UDP peer that talks to one server.
type scriptedClient struct {
	*coappeer.UDP
	server netip.AddrPort
	id     uint16
}

func newScriptedClient(t testing.TB, server netip.AddrPort) *scriptedClient {
	return &scriptedClient{UDP: coappeer.NewUDP(t), server: server}
}

// ask sends a confirmable request and returns what the piggybacked response says.
func (c *scriptedClient) ask(t testing.TB, m coappeer.Message) coappeer.Message {
	t.Helper()
	c.id++
	m.Type, m.ID, m.Token = coappeer.CON, c.id, []byte{byte(c.id >> 8), byte(c.id)}
	c.Send(c.server, m)
	got := c.Receive(t)
	require.Equal(t, m.Respond(got.Code, got.Payload, got.Options...), got.Message)
	return said(got.Message)
}

// serve takes a request and answers it.
func serve(t testing.TB, server *coappeer.UDP, answer coappeer.Message) coappeer.Received {
	t.Helper()
	m := server.Receive(t)
	server.Send(m.From, respond(m, answer))
	return m
}

func respond(request coappeer.Received, answer coappeer.Message) coappeer.Message {
	return request.Respond(answer.Code, answer.Payload, answer.Options...)
}

// askStream is ask over TCP.
func askStream(t testing.TB, c *coappeer.TCP, m coappeer.Message) coappeer.Message {
	t.Helper()
	m.Token = []byte{1}
	c.Send(m)
	got := c.Receive(t)
	require.Equal(t, m.Token, got.Token)
	return said(got.Message)
}

// serveStream is serve over TCP.
func serveStream(t testing.TB, server *coappeer.TCP, answer coappeer.Message) coappeer.Received {
	t.Helper()
	m := server.Receive(t)
	server.Send(respond(m, answer))
	return m
}
