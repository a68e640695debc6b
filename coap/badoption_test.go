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

// badOptions are options that no message may have, by what an error says of them.
var badOptions = map[string]Options{
	"ETag has 9 bytes, not 1 to 8":                {{OptionETag, make([]byte, 9)}},
	"Uri-Host has 0 bytes, not 1 to 255":          {{OptionURIHost, nil}},
	"Uri-Host has 256 bytes, not 1 to 255":        {{OptionURIHost, make([]byte, 256)}},
	"Uri-Path has 256 bytes, not 0 to 255":        {{OptionURIPath, make([]byte, 256)}},
	"Uri-Query has 256 bytes, not 0 to 255":       {{OptionURIQuery, make([]byte, 256)}},
	"Proxy-Uri has 1035 bytes, not 1 to 1034":     {{OptionProxyURI, make([]byte, 1035)}},
	"Content-Format has 3 bytes, not 0 to 2":      {{OptionContentFormat, make([]byte, 3)}},
	"option 65000 has 65536 bytes, not 0 to 655":  {{65000, make([]byte, 65536)}},
	"option 65000 has 65541 bytes, not 0 to 655":  {{65000, make([]byte, 65541)}},
	"option 65000 has 1048576 bytes, not 0 to 65": {{65000, make([]byte, 1<<20)}},
	"ETag comes after Uri-Path":                   {{OptionURIPath, nil}, {OptionETag, []byte{1}}},
	"more than one Content-Format":                {{OptionContentFormat, nil}, {OptionContentFormat, nil}},
	`Uri-Path is ".."`:                            {{OptionURIPath, []byte("..")}},
}

func TestRequestsWithBadOptionsAreNotSent(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	for want, options := range badOptions {
		for _, r := range []*Request{
			{Method: MethodGet, Options: options},
			{Method: MethodPut, Options: options, Body: randomBytes(5000)},
			{Method: MethodPut, Options: options, Source: strings.NewReader("body")},
		} {
			_, err := s.Do(waitContext(t), r)
			assert.ErrorIs(t, err, ErrOption, want)
			assert.ErrorContains(t, err, want)
			assert.ErrorContains(t, err, "coap: "+r.Method.String()+" coap://"+peer.Addr().String()+": bad option: ")
		}
		for _, err := range s.Observe(waitContext(t), &Request{Method: MethodGet, Options: options}) {
			assert.ErrorIs(t, err, ErrOption, want)
			assert.ErrorContains(t, err, want)
		}
	}
	assert.Empty(t, peer.Captured())
}

func TestRequestsNeedAMethod(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	for _, code := range []Code{CodeEmpty, CodeContent, CodePing, 255} {
		_, err := s.Do(waitContext(t), &Request{Method: code})
		assert.ErrorContains(t, err, "code "+code.String()+" is no method")
	}
	assert.Empty(t, peer.Captured())
}

func TestBadResponsesBecomeInternalServerErrors(t *testing.T) {
	type bad struct {
		want   string
		answer func(w ResponseWriter)
	}
	answers := []bad{
		{"code GET is not one of a response", func(w ResponseWriter) { w.SetCode(MethodGet) }},
		{"is not one of a response", func(w ResponseWriter) { w.SetCode(CodePing) }},
		{"is not one of a response", func(w ResponseWriter) { w.SetCode(1 << 5) }},
		{"Block2, which is the library's to add", func(w ResponseWriter) { w.Options().Add(OptionBlock2, nil) }},
		{"Block1, which is the library's to add", func(w ResponseWriter) { w.Options().Add(OptionBlock1, nil) }},
		{"of which option 65000 has 1200", func(w ResponseWriter) { w.Options().Add(65000, make([]byte, 1200)) }},
	}
	for want, options := range badOptions {
		answers = append(answers, bad{want, func(w ResponseWriter) { *w.Options() = options }})
	}
	for _, tc := range answers {
		t.Run(tc.want, func(t *testing.T) {
			eachUnsecured(t, func(t *testing.T, proto Protocol) {
				if proto == TCP && strings.Contains(tc.want, "has 1200") { // they fit there
					return
				}
				logger, lines := logs()
				addr := listen(t, &Config{Logger: logger}, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
					w.Write(randomBytes(len(r.Body)))
					tc.answer(w)
				}))
				s := connect(t, nil, addr, proto)
				for _, size := range []int{0, 3000} {
					r, err := s.Post(waitContext(t), "/here", OctetStream, randomBytes(size))
					require.NoError(t, err)
					assert.Equal(t, CodeInternalServerError, r.Code)
					assert.Empty(t, r.Body)
					line := receive(t, lines)
					assert.Contains(t, line, "response refused")
					assert.Contains(t, strings.ReplaceAll(line, `\"`, `"`), tc.want)
				}
			})
		})
	}
}

func TestBadNotificationsEndTheObservation(t *testing.T) {
	logger, lines := logs()
	resource := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Session.AppData() != nil {
			w.Options().Set(OptionETag, make([]byte, 9))
		}
		r.Session.SetAppData("registered")
	}))
	s := connect(t, nil, listen(t, &Config{Logger: logger}, UDP, resource), UDP)
	var codes []Code
	for r, err := range s.Observe(waitContext(t), get()) {
		require.NoError(t, err)
		codes = append(codes, r.Code)
		resource.Notify()
	}
	assert.Equal(t, []Code{CodeContent, CodeInternalServerError}, codes)
	assert.Contains(t, receive(t, lines), "ETag has 9 bytes")
	assert.Zero(t, resource.Observers())
}

func TestOptionsTooLongForAMessageAreNamed(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	long := Options{{OptionURIPath, []byte("a")}, {65000, make([]byte, 2000)}}
	for _, r := range []*Request{
		{Method: MethodGet, Options: long},
		{Method: MethodPut, Options: long, Body: randomBytes(500)},
		{Method: MethodPut, Options: long, Body: randomBytes(5000)},
		{Method: MethodPut, Options: long, Source: strings.NewReader("body")},
	} {
		_, err := s.Do(waitContext(t), r)
		assert.ErrorIs(t, err, ErrTooLarge)
		assert.ErrorContains(t, err, "the options have 2007, of which option 65000 has 2000")
	}
	// One that is sent as it is has no way to go in blocks.
	_, err := s.Do(waitContext(t), &Request{Method: MethodPut, Options: Options{{OptionBlock1, nil}}, Body: randomBytes(2000)})
	assert.ErrorIs(t, err, ErrTooLarge)
	assert.ErrorContains(t, err, "the body has 2000 bytes")
	assert.Empty(t, peer.Captured())
}

// The format has room for 65804 bytes of an option.
func TestLongOptionsOverTCP(t *testing.T) {
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		value, _ := r.Options.Get(65000)
		w.Options().Add(65000, value[:min(len(value), maxOption)])
		w.Options().Add(65000, []byte("behind"))
	}))
	s := connect(t, nil, addr, TCP)
	for _, size := range []int{12, 13, 268, 269, 1035, 65535} {
		sent := randomBytes(size)
		r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: Options{{65000, sent}}})
		require.NoError(t, err)
		assert.Equal(t, Options{{65000, sent}, {65000, []byte("behind")}}, r.Options)
	}
	if oldTools { // libcoap 4.2.1 counts lengths in 16 bits
		return
	}
	peer := coappeer.DialTCP(t, addr)
	peer.ExchangeCSM(t, coappeer.Uint(coappeer.MaxMessageSize, 1<<20))
	for _, size := range []int{65536, 65540, 65804} {
		peer.Send(coappeer.Message{Code: coappeer.GET, Options: []coappeer.Option{{Number: 65000, Value: randomBytes(size)}}})
		m := peer.Expect(t, coappeer.Content)
		value, _ := m.Option(65000)
		assert.Equal(t, randomBytes(size)[:65535], value)
		assert.Len(t, m.Options, 2)
	}
}

func TestOwnSizeOptionsStay(t *testing.T) {
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		size, _ := r.Options.Uint(OptionSize1)
		w.Options().AddUint(OptionSize2, size)
		w.Write(randomBytes(3000))
	}))
	s := connect(t, nil, addr, UDP)
	r := &Request{Method: MethodPost, Body: randomBytes(3000)}
	r.Options.AddUint(OptionSize1, 3000)
	response, err := s.Do(waitContext(t), r)
	require.NoError(t, err)
	assert.Equal(t, randomBytes(3000), response.Body)
}

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
	if text := string(refused.Payload); ccoap.PassesCritical() && text != "" && text != "Bad Option" { // else libcoap has refused it
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
	config := &Config{CriticalOptions: []OptionID{unknownCritical, 257, OptionID(ccoap.MaxOption()-1) | 1, 33, 49, 65, 81, 97, 113, 129, 255}}
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, config, proto, HandlerFunc(func(w ResponseWriter, r *Request) { *w.Options() = r.Options }))
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
		assert.ErrorContains(t, err, "Config.CriticalOptions: option 65535")
	} else if assert.NoError(t, err) {
		c.Close()
	}
	if !ccoap.LeavesOddOptions() {
		return
	}
	s := connect(t, nil, listen(t, nil, UDP, hello), UDP)
	r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: Options{{highest, []byte("x")}}})
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
		"piggybacked": func(m coappeer.Received) coappeer.Message { return m.Respond(coappeer.Content, nil, odd) },
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
			assert.ErrorContains(t, err, "the response has option 2049, which is critical and not understood")
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
		{"an empty query", []coappeer.Option{coappeer.String(coappeer.URIPath, "a"), {Number: coappeer.URIQuery}}, coappeer.Content, `/a [""] x`},
		{"empty and other queries", []coappeer.Option{{Number: coappeer.URIQuery}, coappeer.String(coappeer.URIQuery, "b"),
			{Number: coappeer.URIQuery}, coappeer.Uint(coappeer.Accept, 0), long}, coappeer.Content, `/ ["b" "" ""] x`},
		{"elective ones", []coappeer.Option{coappeer.String(coappeer.ETag, "123456789"), coappeer.String(coappeer.URIPath, "a"),
			coappeer.String(coappeer.ContentFormat, "12345"), coappeer.String(coappeer.MaxAge, "12345"), long,
			{Number: 1000, Value: []byte("x")}}, coappeer.Content, "/a [] x"},
		{"critical", []coappeer.Option{coappeer.String(coappeer.URIPort, "123"), coappeer.String(coappeer.URIPath, "a")},
			coappeer.BadOption, "Uri-Port is of a wrong length"},
		{"a path that is too long", []coappeer.Option{coappeer.String(coappeer.URIPath, strings.Repeat("x", 256))},
			coappeer.BadOption, "Uri-Path is of a wrong length"},
		{"reserved", []coappeer.Option{{Number: 128}, {Number: 132}, {Number: 136}, {Number: 140}}, coappeer.Content, "/ [] x"},
	} {
		got := c.ask(t, message(coappeer.GET, "x", test.options...))
		assert.Equal(t, []any{test.code, test.body}, []any{got.Code, string(got.Payload)}, test.name)
	}
	c.SendRaw(addr, append(coappeer.Message{Type: coappeer.CON, Code: coappeer.GET, ID: 5000, Options: []coappeer.Option{{Number: coappeer.URIQuery}}}.AppendUDP(nil), 0xf1))
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
	assert.ErrorContains(t, receive(t, answer).err, "If-None-Match, which is critical and of a wrong length")
}
