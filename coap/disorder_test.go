package coap

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// disorder doubles datagrams, some of them so late that the next one overtakes them. It is the
// same in each run.
func disorder(seed uint64) func(coappeer.Datagram) coappeer.Verdict {
	r := rand.New(rand.NewPCG(seed, seed))
	return func(coappeer.Datagram) coappeer.Verdict {
		switch n := r.IntN(100); {
		case n < 20:
			return coappeer.Repeat
		case n < 30:
			return coappeer.Duplicate
		}
		return coappeer.Forward
	}
}

// A block that was doubled or overtaken is answered again, and ends nothing.
func TestBodiesGetThroughDisorder(t *testing.T) {
	body := randomBytes(200_000)
	for seed := range uint64(4) {
		sent := make(chan []byte, 10)
		relay := coappeer.NewRelay(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
			if r.Method == MethodGet {
				w.Write(body)
				return
			}
			sent <- r.Body
		})))
		relay.Rule(disorder(seed))
		s := connect(t, nil, relay.Addr(), UDP)
		r, err := s.Do(waitContext(t), &Request{Method: MethodPut, Body: body})
		require.NoError(t, err)
		assert.Equal(t, CodeChanged, r.Code)
		assert.True(t, bytes.Equal(body, receive(t, sent)))
		r, err = s.Do(waitContext(t), get())
		require.NoError(t, err)
		assert.True(t, bytes.Equal(body, r.Body))
		assert.Empty(t, sent, "the handler is called once")
	}
}

func TestLibcoapClientSendsABodyThroughDisorder(t *testing.T) {
	if oldTools {
		t.Skip("its client does not send bodies of this size")
	}
	body := randomBytes(200_000)
	name := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(name, body, 0o600))
	for seed := range uint64(4) {
		sent := make(chan []byte, 10)
		relay := coappeer.NewRelay(t,
			listen(t, nil, UDP, HandlerFunc(func(_ ResponseWriter, r *Request) { sent <- r.Body })))
		relay.Rule(disorder(seed))
		client := testenv.Start(t, "coap-client-gnutls", "-m", "put", "-f", name, "-B", "15",
			"coap://"+relay.Addr().String()+"/x")
		assert.Zero(t, client.Wait(t), client.Output())
		assert.True(t, bytes.Equal(body, receive(t, sent)))
		assert.NotContains(t, client.Output(), "4.08")
		assert.Empty(t, sent, "the handler is called once")
		assert.Less(t, len(relay.Captured()), 10*200, "no block is sent again and again")
	}
}

// RFC 7252, section 5.8: whatever the method.
func TestUnknownMethodsAreNotAllowed(t *testing.T) {
	if !ccoap.TellsEmpty() {
		t.Skip("libcoap answers these by itself")
	}
	for path, options := range map[string][]coappeer.Option{"/": nil,
		"/.well-known/core": coappeer.Path(".well-known/core")} {
		c := newScriptedClient(t, listen(t, nil, UDP, hello))
		for _, method := range []coappeer.Code{8, 9, 31} {
			assert.Equal(t, coappeer.MethodNotAllowed, c.ask(t, message(method, "", options...)).Code, path)
		}
		c.Send(c.server,
			coappeer.Message{Type: coappeer.NON, Code: 8, ID: 99, Token: []byte("x"), Options: options})
		assert.Equal(t, "x", string(c.Expect(t, coappeer.NON, coappeer.MethodNotAllowed).Token))
		assert.Equal(t, "hello", string(c.ask(t, message(coappeer.POST, "")).Payload))
	}
}

// 2.03 is about all of the body, also where the request is for a later block of it.
func TestValidForALaterBlock(t *testing.T) {
	c := newScriptedClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		w.SetCode(CodeValid)
		w.Options().Add(OptionETag, []byte("tag"))
	})))
	got := c.ask(t,
		message(coappeer.GET, "", coappeer.String(coappeer.ETag, "tag"), block2(3, false, 64)))
	assert.Equal(t, message(coappeer.Valid, "", coappeer.String(coappeer.ETag, "tag")), got)

	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	answer := start(waitContext(t), s,
		&Request{Method: MethodGet, Options: Options{{OptionETag, []byte("tag")}}})
	serve(t, server, message(coappeer.Content, kilobyte, coappeer.String(coappeer.ETag, "other"),
		block2(0, true, 1024)))
	serve(t, server, message(coappeer.Valid, "", coappeer.String(coappeer.ETag, "tag")))
	r := receive(t, answer)
	require.NoError(t, r.err)
	assert.Equal(t, CodeValid, r.Code)
	assert.Empty(t, r.Body)
}
