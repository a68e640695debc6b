package coap

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func dialStream(t *testing.T, addr netip.AddrPort) *rawStream {
	conn, err := net.Dial("tcp", addr.String())
	require.NoError(t, err)
	return newRawStream(t, conn, 5000)
}

// acceptStream opens a session with a server that the test plays.
func acceptStream(t *testing.T, config *Config) (*Session, *rawStream) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	s := connect(t, config, netip.MustParseAddrPort(ln.Addr().String()), TCP)
	conn, err := ln.Accept()
	require.NoError(t, err)
	return s, newRawStream(t, conn, 5000)
}

func TestServerTakesSeveralBlocksInAMessage(t *testing.T) {
	body := strings.Repeat(kilobyte, 5) + "end"
	c := dialStream(t, listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		assert.Equal(t, body, string(r.Body))
	})))
	got := c.ask(t, put(body[:3072]).with(OptionBlock1, bertBlock(0, true)))
	assert.Equal(t, wireBlock{code: CodeContinue}.with(OptionBlock1, bertBlock(0, true)), got)
	got = c.ask(t, put(body[3072:]).with(OptionBlock1, bertBlock(3, false)))
	assert.Equal(t, wireBlock{code: CodeChanged}.with(OptionBlock1, bertBlock(3, false)), got)

	got = c.ask(t, put(body[:3000]).with(OptionBlock1, bertBlock(0, true)))
	assert.Equal(t, CodeBadRequest, got.code, "not a multiple of 1024")
}

func TestServerSendsSeveralBlocksInAMessage(t *testing.T) {
	body := string(randomBytes(10_000))
	c := dialStream(t, listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte(body)) })))
	get := wireBlock{code: MethodGet}
	plain := c.ask(t, get)
	two, _ := plain.options.Get(OptionBlock2)
	assert.Equal(t, testBlock(0, true, 1024), two, "the client has not said that it can do more")
	var received string
	for _, want := range [][]byte{bertBlock(0, true), bertBlock(4, true), bertBlock(8, false)} {
		got := c.ask(t, get.with(OptionBlock2, bertBlock(uint32(len(received)/1024), false)))
		two, _ := got.options.Get(OptionBlock2)
		assert.Equal(t, want, two)
		received += got.body
	}
	assert.Equal(t, body, received)
}

func TestClientTakesSeveralBlocksInAMessage(t *testing.T) {
	body := string(randomBytes(10_000))
	s, server := acceptStream(t, nil)
	c := start(waitContext(t), s, get())
	first := server.serve(t, reply(CodeContent, body[:4096]).with(OptionBlock2, bertBlock(0, true)))
	assert.Empty(t, first.options)
	second := server.serve(t, reply(CodeContent, body[4096:]).with(OptionBlock2, bertBlock(4, false)))
	assert.Equal(t, Options{{OptionBlock2, bertBlock(4, false)}}, second.options)
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, body, string(outcome.Body))
}

func TestClientSendsSeveralBlocksInAMessage(t *testing.T) {
	body := string(randomBytes(10_000))
	s, server := acceptStream(t, nil)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: []byte(body)})
	for num := range uint32(10) {
		code := CodeContinue
		if num == 9 {
			code = CodeChanged
		}
		got := server.serve(t, reply(code, "").with(OptionBlock1, testBlock(num, num < 9, 1024)))
		one, _ := got.options.Get(OptionBlock1)
		assert.Equal(t, testBlock(num, num < 9, 1024), one, "the server has not said that it can do more")
	}
	require.NoError(t, receive(t, c).err)

	c = start(waitContext(t), s, get())
	server.serve(t, reply(CodeContent, "small").with(OptionBlock2, bertBlock(0, false)))
	require.NoError(t, receive(t, c).err)

	c = start(waitContext(t), s, &Request{Method: MethodPut, Body: []byte(body)})
	var received string
	for _, want := range [][]byte{bertBlock(0, true), bertBlock(4, true)} {
		got := server.serve(t, reply(CodeContinue, "").with(OptionBlock1, want))
		one, _ := got.options.Get(OptionBlock1)
		assert.Equal(t, want, one)
		received += got.body
	}
	last := server.serve(t, reply(CodeChanged, "").with(OptionBlock1, bertBlock(8, false)))
	assert.Equal(t, body, received+last.body)
	require.NoError(t, receive(t, c).err)
}

func TestBodyThatFitsGoesInOneMessage(t *testing.T) {
	s, server := acceptStream(t, nil)
	c := start(waitContext(t), s, &Request{Method: MethodPut, Body: randomBytes(4900)})
	got := server.serve(t, reply(CodeChanged, ""))
	assert.Empty(t, got.options)
	assert.Len(t, got.body, 4900)
	require.NoError(t, receive(t, c).err)
}
