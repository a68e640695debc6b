package coap

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func TestRequestsHaveTheTokenThatTheyAskFor(t *testing.T) {
	for _, token := range []string{"\x00", "a", "token", "\x00\x00\x00\x00\x00\x00\x00\x00",
		"8 bytes!"} {
		server := coappeer.NewUDP(t)
		s := connect(t, nil, server.Addr(), UDP)
		for name, r := range map[string]*Request{
			"GET":           {Method: MethodGet, Token: []byte(token)},
			"PUT in blocks": {Method: MethodPut, Token: []byte(token), Body: randomBytes(1500)},
		} {
			c := start(waitContext(t), s, r)
			first := server.Receive(t)
			assert.Equal(t, token, string(first.Token), name)
			last := first
			if b, ok := first.Block(coappeer.Block1); ok {
				server.Send(first.From, first.Respond(coappeer.Continue, nil, b.Option(coappeer.Block1)))
				last = server.Receive(t)
			}
			server.Send(last.From, last.Respond(coappeer.Changed, nil))
			got := receive(t, c)
			require.NoError(t, got.err, name)
			assert.Equal(t, CodeChanged, got.Code, name)
		}
	}
}

func TestTokensOfAnotherLengthAreOthers(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	c := start(waitContext(t), s, &Request{Method: MethodGet, Token: []byte("a")})
	m := server.Receive(t)
	server.Send(m.From, m.Acknowledge())
	for i, token := range []string{"", "\x00a", "\x01a", "\x00\x00\x00\x00\x00\x00\x01a"} {
		wrong := m.Separate(coappeer.NON, uint16(i+1), coappeer.NotFound, nil)
		wrong.Token = []byte(token)
		server.Send(m.From, wrong)
	}
	server.Send(m.From, m.Separate(coappeer.NON, 9, coappeer.Content, nil))
	got := receive(t, c)
	require.NoError(t, got.err)
	assert.Equal(t, CodeContent, got.Code)
}

func TestObservationsHaveTheTokenThatTheyAskFor(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	server.Answer(func(m coappeer.Received) []coappeer.Message {
		if m.Code == coappeer.Empty {
			return nil
		}
		return []coappeer.Message{m.Respond(coappeer.Content, m.Token,
			coappeer.Uint(coappeer.Observe, 1))}
	})
	for response, err := range s.Observe(waitContext(t),
		&Request{Method: MethodGet, Token: []byte("obs")}) {
		require.NoError(t, err)
		assert.Equal(t, "obs", string(response.Body))
		break
	}
}

func TestTokensAreOfOneRequestAtATime(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, &Config{NSTART: 2}, server.Addr(), UDP)
	r := &Request{Method: MethodGet, Token: []byte("one")}
	c := start(waitContext(t), s, r)
	m := server.Receive(t)
	_, err := s.Do(waitContext(t), r)
	assert.ErrorIs(t, err, errTokenInUse)
	for _, err := range s.Observe(waitContext(t), r) {
		assert.ErrorIs(t, err, errTokenInUse)
	}
	server.Send(m.From, m.Respond(coappeer.Content, nil))
	require.NoError(t, receive(t, c).err)

	c = start(waitContext(t), s, r)
	m = server.Receive(t)
	server.Send(m.From, m.Respond(coappeer.Content, nil))
	require.NoError(t, receive(t, c).err, "the token is free again")
}

func TestLongTokensAreRefused(t *testing.T) {
	s := connect(t, nil, coappeer.NewUDP(t).Addr(), UDP)
	r := &Request{Method: MethodGet, Token: []byte(strings.Repeat("x", 9))}
	_, err := s.Do(waitContext(t), r)
	assert.ErrorContains(t, err, "a token of 9 bytes; 8 are the most")
	for _, err := range s.Observe(waitContext(t), r) {
		assert.ErrorContains(t, err, "a token of 9 bytes")
	}
}
