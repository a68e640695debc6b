package coap

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// unknownCritical is a critical option that nobody has defined.
const unknownCritical = 2049

func TestUnknownCriticalOptionsAreRefused(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, nil, proto, hello)
		s := connect(t, nil, addr, proto)
		for _, test := range []struct {
			options Options
			code    Code
			body    string
		}{
			{Options{{unknownCritical, []byte("x")}}, CodeBadOption, "option 2049 is not understood"},
			{Options{{OptionEDHOC, nil}}, CodeBadOption, "EDHOC is not understood"},
			{Options{{unknownCritical + 1, []byte("x")}}, CodeContent, "hello"},
		} {
			r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: test.options})
			require.NoError(t, err)
			assert.Equal(t, test.code, r.Code)
			assert.Equal(t, test.body, string(r.Body))
		}
	})
}

// Supernumerary critical options are as unknown ones (RFC 7252, section 5.4.5), and others
// are ignored.
func TestOptionsThatComeTwiceTooOften(t *testing.T) {
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		format, _ := r.Options.ContentFormat()
		w.Options().SetContentFormat(format)
	}))
	peer := coappeer.NewUDP(t)
	ask := func(typ coappeer.Type, id uint16, number uint16) {
		peer.Send(addr, coappeer.Message{Type: typ, Code: coappeer.GET, ID: id, Token: []byte{byte(id)},
			Options: []coappeer.Option{coappeer.Uint(number, 40), coappeer.Uint(number, 41)}})
	}
	ask(coappeer.CON, 1, coappeer.Accept)
	refused := peer.Expect(t, coappeer.ACK, coappeer.BadOption)
	// else libcoap has refused it
	if text := string(refused.Payload); ccoap.PassesCritical() && text != "" && text != "Bad Option" {
		assert.Contains(t, string(refused.Payload), "Accept")
		assert.NotContains(t, string(refused.Payload), "not understood")
	}
	ask(coappeer.NON, 2, coappeer.Accept)
	assert.EqualValues(t, 2, peer.Expect(t, coappeer.RST, coappeer.Empty).ID)
	ask(coappeer.CON, 3, coappeer.ContentFormat)
	m := peer.Receive(t)
	if m.Code == coappeer.BadOption { // some versions refuse these as well
		return
	}
	require.Equal(t, coappeer.Content, m.Code)
	format, ok := m.Uint(coappeer.ContentFormat)
	assert.True(t, ok)
	assert.EqualValues(t, 40, format)
}

func TestCriticalOptionsThatAreUnderstood(t *testing.T) {
	config := &Config{CriticalOptions: []OptionID{unknownCritical, 257,
		OptionID(ccoap.MaxOption()-1) | 1, 33, 49, 65, 81, 97, 113, 129, 255}}
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, config, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) { *w.Options() = r.Options }))
		s := connect(t, config, addr, proto)
		var options Options
		for _, id := range config.CriticalOptions {
			options.Add(id, []byte{byte(id)})
		}
		r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: options})
		require.NoError(t, err)
		assert.Equal(t, CodeContent, r.Code)
		assert.Equal(t, options, r.Options)
	})
}

// Some versions of libcoap drop any message with it.
func TestHighestOption(t *testing.T) {
	const highest = 65535
	c, err := NewNode(&Config{CriticalOptions: []OptionID{highest}})
	if ccoap.MaxOption() < highest {
		assert.ErrorIs(t, err, ErrNotSupported)
		assert.ErrorContains(t, err,
			"Config.CriticalOptions: this libcoap drops messages with option 65535")
	} else if assert.NoError(t, err) {
		c.Close()
	}
	if !ccoap.LeavesOddOptions() {
		return
	}
	s := connect(t, nil, listen(t, nil, UDP, hello), UDP)
	r, err := s.Do(waitContext(t),
		&Request{Method: MethodGet, Options: Options{{highest, []byte("x")}}})
	require.NoError(t, err)
	assert.Equal(t, CodeBadOption, r.Code)
	assert.Equal(t, "option 65535 is not understood", string(r.Body))
}

func TestCriticalOptionsOfTheConfig(t *testing.T) {
	_, err := NewNode(&Config{CriticalOptions: []OptionID{2049, 2050}})
	assert.EqualError(t, err, "coap: node: Config.CriticalOptions: option 2050 is not critical")
}

func TestResponsesWithUnknownCriticalOptions(t *testing.T) {
	odd := coappeer.Option{Number: unknownCritical}
	answers := map[string]func(m coappeer.Received) coappeer.Message{
		"piggybacked": func(m coappeer.Received) coappeer.Message {
			return m.Respond(coappeer.Content, nil, odd)
		},
		"non-confirmable": func(m coappeer.Received) coappeer.Message {
			return m.Separate(coappeer.NON, 1, coappeer.Content, nil, odd)
		},
		"confirmable": func(m coappeer.Received) coappeer.Message {
			return m.Separate(coappeer.CON, 1, coappeer.Content, nil, odd)
		},
	}
	for name, answer := range answers {
		t.Run(name, func(t *testing.T) {
			peer := coappeer.NewUDP(t)
			s := connect(t, nil, peer.Addr(), UDP)
			c := start(waitContext(t), s, get())
			m := peer.Receive(t)
			peer.Send(m.From, answer(m))
			err := receive(t, c).err
			assert.ErrorIs(t, err, ErrOption)
			assert.ErrorContains(t, err,
				"the response has option 2049, which is critical and not understood")
			switch {
			case name == "piggybacked":
			case ccoap.Rejects:
				assert.EqualValues(t, 1, peer.Expect(t, coappeer.RST, coappeer.Empty).ID)
			case name == "confirmable": // acknowledged before anybody looks at it
				assert.EqualValues(t, 1, peer.Expect(t, coappeer.ACK, coappeer.Empty).ID)
			}

			c = start(waitContext(t), s, get())
			m = peer.Receive(t)
			peer.Send(m.From, m.Respond(coappeer.BadOption, nil, odd))
			got := receive(t, c)
			require.NoError(t, got.err)
			assert.Equal(t, CodeBadOption, got.Code)
			assert.True(t, got.Options.Has(unknownCritical))
		})
	}
	t.Run("tcp", func(t *testing.T) {
		ln := coappeer.ListenTCP(t)
		s := connect(t, nil, ln.Addr(), TCP)
		peer := ln.Accept(t)
		peer.ExchangeCSM(t)
		c := start(waitContext(t), s, get())
		peer.Send(peer.Expect(t, coappeer.GET).Respond(coappeer.Content, nil, odd))
		assert.ErrorIs(t, receive(t, c).err, ErrOption)
	})
}

// An option of a wrong length is as one that is not understood (RFC 7252, section 5.4.3), and
// an empty Uri-Query is none.
func TestOptionsOfWrongLengths(t *testing.T) {
	if !ccoap.LeavesOddOptions() {
		t.Skip("libcoap rejects them")
	}
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		fmt.Fprintf(w, "%s %q %s", r.Options.Path(), r.Options.Queries(), r.Body)
	}))
	c := newScriptedClient(t, addr)
	long := coappeer.Option{Number: 300, Value: make([]byte, 300)}
	for _, test := range []struct {
		name    string
		options []coappeer.Option
		code    coappeer.Code
		body    string
	}{
		{"an empty query", []coappeer.Option{coappeer.String(coappeer.URIPath, "a"),
			{Number: coappeer.URIQuery}}, coappeer.Content, `/a [""] x`},
		{"empty and other queries",
			[]coappeer.Option{{Number: coappeer.URIQuery}, coappeer.String(coappeer.URIQuery, "b"),
				{Number: coappeer.URIQuery}, coappeer.Uint(coappeer.Accept, 0), long}, coappeer.Content,
			`/ ["b" "" ""] x`},
		{"elective ones", []coappeer.Option{coappeer.String(coappeer.ETag, "123456789"),
			coappeer.String(coappeer.URIPath, "a"),
			coappeer.String(coappeer.ContentFormat, "12345"), coappeer.String(coappeer.MaxAge, "12345"),
			long,
			{Number: 1000, Value: []byte("x")}}, coappeer.Content, "/a [] x"},
		{"critical", []coappeer.Option{coappeer.String(coappeer.URIPort, "123"),
			coappeer.String(coappeer.URIPath, "a")},
			coappeer.BadOption, "Uri-Port is of a wrong length"},
		{"a path that is too long",
			[]coappeer.Option{coappeer.String(coappeer.URIPath, strings.Repeat("x", 256))},
			coappeer.BadOption, "Uri-Path is of a wrong length"},
		{"reserved", []coappeer.Option{{Number: 128}, {Number: 132}, {Number: 136}, {Number: 140}},
			coappeer.Content, "/ [] x"},
	} {
		got := c.ask(t, message(coappeer.GET, "x", test.options...))
		assert.Equal(t, []any{test.code, test.body}, []any{got.Code, string(got.Payload)}, test.name)
	}
	c.SendRaw(addr,
		append(coappeer.Message{Type: coappeer.CON, Code: coappeer.GET, ID: 5000,
			Options: []coappeer.Option{{Number: coappeer.URIQuery}}}.AppendUDP(nil), 0xf1))
	c.Send(addr, coappeer.Message{Type: coappeer.CON, Code: coappeer.GET, ID: 5001})
	m := c.Receive(t)
	if m.ID == 5000 { // else libcoap has dropped it
		assert.Equal(t, coappeer.RST, m.Type)
		m = c.Receive(t)
	}
	assert.EqualValues(t, 5001, m.ID)

	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	answer := start(waitContext(t), s, get())
	serve(t, server, message(coappeer.Content, "x", coappeer.String(coappeer.ETag, "123456789")))
	r := receive(t, answer)
	require.NoError(t, r.err)
	assert.Equal(t, "x", string(r.Body))
	answer = start(waitContext(t), s, get())
	serve(t, server, message(coappeer.Content, "x", coappeer.String(coappeer.IfNoneMatch, "1")))
	assert.ErrorContains(t, receive(t, answer).err,
		"If-None-Match, which is critical and of a wrong length")
}
