package coap

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// wantsEcho is a response that wants an Echo value.
func wantsEcho(value string, options ...coappeer.Option) coappeer.Message {
	return message(coappeer.Code(CodeUnauthorized), "",
		append(options, coappeer.String(uint16(OptionEcho), value))...)
}

// echoIn returns the Echo value of a request, or "".
func echoIn(t testing.TB, m coappeer.Message) string {
	t.Helper()
	n := 0
	for _, o := range m.Options {
		if o.Number == uint16(OptionEcho) {
			n++
		}
	}
	require.LessOrEqual(t, n, 1)
	value, _ := m.Option(uint16(OptionEcho))
	return string(value)
}

// How a body of a request can be given.
var bodyKinds = map[string]func(r *Request, body []byte){
	"memory": func(r *Request, body []byte) { r.Body = body },
	"seeker": func(r *Request, body []byte) {
		s := bytes.NewReader(append([]byte("skipped"), body...))
		s.Seek(7, io.SeekStart)
		r.Source = s
	},
	"reader": func(r *Request, body []byte) { r.Source = onlyReader{bytes.NewReader(body)} },
}

func TestServerThatValidatesAlwaysIsAnswered(t *testing.T) {
	body := randomBytes(3000)
	bodies := make(chan []byte, 10)
	res := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Method == MethodGet {
			w.Write(body)
			return
		}
		bodies <- r.Body
		w.SetCode(CodeChanged)
	}))
	addr := listen(t, &Config{AddressValidation: ValidateAlways}, UDP, res)
	// each must prove its address
	session := func(t *testing.T) *Session { return connect(t, nil, addr, UDP) }
	t.Run("observe", func(t *testing.T) {
		next := pull(t, session(t).Observe(waitContext(t), get()))
		assert.Equal(t, string(body), state(t, next))
		assert.Equal(t, 1, res.Observers())
		res.Notify()
		assert.Equal(t, string(body), state(t, next))
	})
	t.Run("GET", func(t *testing.T) {
		r, err := session(t).Get(waitContext(t), "/")
		require.NoError(t, err)
		assert.Equal(t, CodeContent, r.Code)
		assert.True(t, bytes.Equal(body, r.Body))
		assert.False(t, r.Options.Has(OptionEcho))
	})
	t.Run("GET to a sink", func(t *testing.T) {
		var sink bytes.Buffer
		r, err := session(t).Do(waitContext(t), &Request{Method: MethodGet, Sink: &sink})
		require.NoError(t, err)
		assert.Equal(t, CodeContent, r.Code)
		assert.True(t, bytes.Equal(body, sink.Bytes()))
	})
	t.Run("client", func(t *testing.T) {
		client, err := NewClient("coap://"+addr.String(), nil)
		require.NoError(t, err)
		defer client.Close()
		r, err := client.Do(waitContext(t), get())
		require.NoError(t, err)
		assert.Equal(t, CodeContent, r.Code)
		next := pull(t, client.Observe(waitContext(t), get()))
		assert.Equal(t, string(body), state(t, next))
	})
	for name, give := range bodyKinds {
		for _, size := range []int{10, len(body)} {
			t.Run(fmt.Sprint("PUT from ", name, " ", size), func(t *testing.T) {
				r := &Request{Method: MethodPut}
				give(r, body[:size])
				response, err := session(t).Do(waitContext(t), r)
				require.NoError(t, err)
				assert.Equal(t, CodeChanged, response.Code)
				assert.True(t, bytes.Equal(body[:size], receive(t, bodies)))
				assert.Empty(t, bodies)
			})
		}
	}
}

// demanding has a handler want an Echo option of each request.
func demanding(h HandlerFunc) HandlerFunc {
	return func(w ResponseWriter, r *Request) {
		if v, _ := r.Options.Get(OptionEcho); string(v) != "12345678" {
			w.SetCode(CodeUnauthorized)
			w.Options().Add(OptionEcho, []byte("12345678"))
			return
		}
		h(w, r)
	}
}

func TestHandlersThatWantAnEchoOptionGetTheRequestAgain(t *testing.T) {
	body := randomBytes(3000)
	test := func(t *testing.T, s *Session, handled <-chan []byte, blocks bool) {
		for name, give := range bodyKinds {
			r := &Request{Method: MethodPut}
			give(r, body)
			response, err := s.Do(waitContext(t), r)
			require.NoError(t, err)
			if name == "reader" && blocks { // the server has dealt with what cannot be read again
				assert.Equal(t, CodeUnauthorized, response.Code)
				continue
			}
			assert.Equal(t, CodeChanged, response.Code, name)
			assert.True(t, bytes.Equal(body, receive(t, handled)), name)
			assert.True(t, bytes.Equal(body, response.Body), name)
		}
		response, err := s.Get(waitContext(t), "/x")
		require.NoError(t, err)
		assert.Equal(t, CodeContent, response.Code)
		receive(t, handled)
		assert.Empty(t, handled)
	}
	handler := func() (HandlerFunc, <-chan []byte) {
		handled := make(chan []byte, 10)
		return demanding(func(w ResponseWriter, r *Request) {
			handled <- r.Body
			w.Write(r.Body)
		}), handled
	}
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		h, handled := handler()
		s := connect(t, nil, listen(t, nil, proto, h), proto)
		test(t, s, handled, !proto.Reliable())
	})
	eachSecure(t, func(t *testing.T, proto Protocol) {
		h, handled := handler()
		addr := listen(t, &Config{ServerPSK: pskServer}, proto, h)
		s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, "client1",
			testKey)
		require.NoError(t, err)
		test(t, s, handled, !proto.Reliable())
	})
}

func TestEchoOptionIsSentBackOnce(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	for _, test := range []struct {
		name   string
		r      Request
		answer coappeer.Message
		code   Code
	}{
		{"GET", Request{Method: MethodGet, Token: []byte("mine")}, message(coappeer.Content, "fresh"),
			CodeContent},
		{"NON", Request{Method: MethodGet, NonConfirmable: true}, message(coappeer.Content, "fresh"),
			CodeContent},
		{"PUT", Request{Method: MethodPut, Body: []byte("body")}, message(coappeer.Changed, ""),
			CodeChanged},
		{"in vain", Request{Method: MethodGet}, wantsEcho("another"), CodeUnauthorized},
		{"not wanted", Request{Method: MethodGet}, message(coappeer.Code(CodeUnauthorized), ""),
			CodeUnauthorized},
	} {
		r := test.r
		r.Options.AddString(OptionURIPath, "x")
		r.Options.Add(OptionRequestTag, []byte("tag"))
		c := start(waitContext(t), s, &r)
		first := serve(t, server, wantsEcho("\x00\xffvalue"))
		second := serve(t, server, test.answer)
		assert.Empty(t, echoIn(t, first.Message), test.name)
		assert.Equal(t, "\x00\xffvalue", echoIn(t, second.Message), test.name)
		assert.NotEqual(t, first.ID, second.ID, test.name)
		assert.NotEqual(t, first.Token, second.Token, test.name)
		assert.Equal(t, first.Type, second.Type, test.name)
		assert.Equal(t, first.Code, second.Code, test.name)
		assert.Equal(t, first.Path(), second.Path(), test.name)
		assert.Equal(t, first.Payload, second.Payload, test.name)
		assert.Len(t, second.Options, len(first.Options)+1, test.name)
		outcome := receive(t, c)
		require.NoError(t, outcome.err, test.name)
		assert.Equal(t, test.code, outcome.Code, test.name)
		if test.name == "in vain" {
			echo, _ := outcome.Options.Get(OptionEcho)
			assert.Equal(t, "another", string(echo))
		}
	}
}

func TestResponsesThatAreNotAnsweredWithAnEchoOption(t *testing.T) {
	own := Request{Options: Options{{OptionEcho, []byte("own")}}}
	for name, test := range map[string]struct {
		r      Request
		answer coappeer.Message
	}{
		"own Echo option": {own, wantsEcho("value")},
		"NoEcho":          {Request{NoEcho: true}, wantsEcho("value")},
		"without one":     {Request{}, message(coappeer.Code(CodeUnauthorized), "")},
		"another code": {Request{}, message(coappeer.Code(CodeServiceUnavailable), "",
			coappeer.String(uint16(OptionEcho), "value"))},
		"too long": {Request{}, wantsEcho(strings.Repeat("x", 41))},
		"empty":    {Request{}, wantsEcho("")},
	} {
		server := coappeer.NewUDP(t)
		s := connect(t, nil, server.Addr(), UDP)
		test.r.Method = MethodGet
		c := start(waitContext(t), s, &test.r)
		serve(t, server, test.answer)
		outcome := receive(t, c)
		require.NoError(t, outcome.err, name)
		assert.Equal(t, Code(test.answer.Code), outcome.Code, name)
		assert.Len(t, server.Captured(), 1, name)
	}
}

func TestServerThatAlwaysWantsAnotherEchoValueIsAskedTwice(t *testing.T) {
	server := coappeer.NewUDP(t)
	server.Answer(func(m coappeer.Received) []coappeer.Message {
		return []coappeer.Message{respond(m, wantsEcho(fmt.Sprint("value of ", m.ID)))}
	})
	s := connect(t, nil, server.Addr(), UDP)
	for name, r := range map[string]*Request{
		"GET":           get(),
		"PUT":           {Method: MethodPut, Body: []byte("body")},
		"PUT in blocks": {Method: MethodPut, Body: randomBytes(3000)},
		"PUT of source": {Method: MethodPut, Source: bytes.NewReader(randomBytes(3000))},
		"to a sink":     {Method: MethodGet, Sink: io.Discard},
	} {
		before := len(server.Captured())
		response, err := s.Do(waitContext(t), r)
		require.NoError(t, err, name)
		assert.Equal(t, CodeUnauthorized, response.Code, name)
		assert.Len(t, server.Captured(), before+2, name)
	}
	before := len(server.Captured())
	for response, err := range s.Observe(waitContext(t), get()) {
		require.NoError(t, err)
		assert.Equal(t, CodeUnauthorized, response.Code)
	}
	assert.Len(t, server.Captured(), before+2)
}

func TestEchoOptionInTheMidstOfATransfer(t *testing.T) {
	body := randomBytes(2500)
	for name, give := range bodyKinds {
		t.Run("upload from "+name, func(t *testing.T) {
			server := coappeer.NewUDP(t)
			s := connect(t, nil, server.Addr(), UDP)
			r := &Request{Method: MethodPut}
			give(r, body)
			c := start(waitContext(t), s, r)
			got := playServer(t, server, []turn{
				{one: block1(0, true, 1024), body: 1024,
					answer: message(coappeer.Continue, "", block1(0, true, 1024))},
				{one: block1(1, true, 1024), body: 1024, answer: wantsEcho("value", block1(1, true, 1024))},
				{one: block1(1, true, 1024), body: 1024,
					answer: message(coappeer.Continue, "", block1(1, true, 1024))},
				{one: block1(2, false, 1024), body: 452,
					answer: message(coappeer.Changed, "", block1(2, false, 1024))},
			})
			outcome := receive(t, c)
			require.NoError(t, outcome.err)
			assert.Equal(t, CodeChanged, outcome.Code)
			assert.Equal(t, body[1024:2048], got[2].Payload)
			for i, want := range []string{"", "", "value", "value"} {
				assert.Equal(t, want, echoIn(t, got[i]), i)
			}
		})
	}
	t.Run("download", func(t *testing.T) {
		server := coappeer.NewUDP(t)
		s := connect(t, nil, server.Addr(), UDP)
		c := start(waitContext(t), s, get())
		got := playServer(t, server, []turn{
			{answer: message(coappeer.Content, string(body[:1024]), block2(0, true, 1024))},
			{two: block2(1, false, 1024), answer: wantsEcho("value")},
			{two: block2(1, false, 1024),
				answer: message(coappeer.Content, string(body[1024:2048]), block2(1, true, 1024))},
			{two: block2(2, false, 1024),
				answer: message(coappeer.Content, string(body[2048:]), block2(2, false, 1024))},
		})
		outcome := receive(t, c)
		require.NoError(t, outcome.err)
		assert.Equal(t, CodeContent, outcome.Code)
		assert.True(t, bytes.Equal(body, outcome.Body))
		assert.Equal(t, "value", echoIn(t, got[3]))
	})
}

func TestLongEchoOptionMakesSmallerBlocks(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	r := &Request{Method: MethodPut, Body: randomBytes(1024)}
	r.Options.AddString(OptionURIQuery, strings.Repeat("q", 90))
	c := start(waitContext(t), s, r)
	server.Send(s.LocalAddr(), respond(server.Receive(t), wantsEcho(strings.Repeat("x", 40))))
	got := playServer(t, server, []turn{
		{one: block1(0, true, 512), body: 512,
			answer: message(coappeer.Continue, "", block1(0, true, 512))},
		{one: block1(1, false, 512), body: 512,
			answer: message(coappeer.Changed, "", block1(1, false, 512))},
	})
	outcome := receive(t, c)
	require.NoError(t, outcome.err)
	assert.Equal(t, CodeChanged, outcome.Code)
	assert.Equal(t, strings.Repeat("x", 40), echoIn(t, got[1]))
}

func TestObservationHasTheEchoOption(t *testing.T) {
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	done := make(chan struct{})
	states := make(chan string, 1)
	ctx := waitContext(t)
	go func() {
		defer close(done)
		for r, err := range s.Observe(ctx, &Request{Method: MethodGet, Token: []byte("mine")}) {
			if err != nil {
				states <- err.Error()
				return
			}
			if states <- string(r.Body); string(r.Body) == "2" {
				return
			}
		}
	}()
	first := registers(t, server, observeRegister)
	assert.Empty(t, echoIn(t, first.Message))
	server.Send(first.From, respond(first, wantsEcho("one")))
	second := registers(t, server, observeRegister)
	assert.Equal(t, "one", echoIn(t, second.Message))
	assert.NotEqual(t, first.Token, second.Token)
	server.Send(second.From,
		second.Respond(coappeer.Content, []byte("1"), coappeer.Uint(coappeer.Observe, 1)))
	assert.Equal(t, "1", receive(t, states))
	server.Send(second.From, notifies(second, coappeer.NON, 7, 2, "2"))
	assert.Equal(t, "2", receive(t, states))
	receive(t, done)

	end := registers(t, server, observeDeregister)
	assert.Equal(t, "one", echoIn(t, end.Message))
	server.Send(end.From, respond(end, wantsEcho("two")))
	end = registers(t, server, observeDeregister)
	assert.Equal(t, second.Token, end.Token)
	assert.Equal(t, "two", echoIn(t, end.Message))
	server.Send(end.From, respond(end, wantsEcho("three")))
	c := start(waitContext(t), s, get())
	next := serve(t, server, message(coappeer.Content, ""))
	_, observes := next.Option(coappeer.Observe)
	assert.False(t, observes)
	require.NoError(t, receive(t, c).err)
}
