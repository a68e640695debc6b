package coap

import (
	"net"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

func TestProxyGetsWhatIsForProxies(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		for _, proxy := range []bool{false, true} {
			server, err := NewNode(nil)
			require.NoError(t, err)
			defer server.Close()
			server.Handle(HandlerFunc(func(w ResponseWriter, _ *Request) { w.Write([]byte("server")) }))
			if proxy {
				h := HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte("proxy")) })
				require.NoError(t, server.HandleProxy(h))
				require.NoError(t, server.HandleProxy(h))
			}
			addr, err := server.Listen(loopback, proto)
			require.NoError(t, err)
			s, err := Dial(waitContext(t), uri(proto, addr, ""), nil)
			require.NoError(t, err)
			defer s.Close()
			for _, test := range []struct {
				options Options
				proxied bool
			}{
				{nil, false},
				{Options{{OptionURIPath, []byte("a")}, {OptionSize1, []byte{1}}}, false},
				{Options{{OptionProxyURI, []byte("coap://host.example/a")}}, true},
				{Options{{OptionURIHost, []byte("host.example")}, {OptionProxyScheme, []byte("coap")},
					{OptionSize1, []byte{1}}}, true},
			} {
				r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: test.options})
				require.NoError(t, err)
				switch {
				case !test.proxied:
					assert.Equal(t, "server", string(r.Body))
				case proxy:
					assert.Equal(t, "proxy", string(r.Body))
				default:
					assert.Equal(t, CodeProxyingNotSupported, r.Code)
				}
			}
			r, err := s.Do(waitContext(t),
				&Request{Method: MethodGet, Options: Options{{OptionProxyScheme, []byte("coap")}}})
			require.NoError(t, err)
			if r.Code == CodeContent { // libcoap may leave the judgement to the handler
				assert.True(t, proxy)
				assert.Equal(t, "proxy", string(r.Body))
			} else { // or answer by itself
				assert.Contains(t, []Code{CodeBadOption, CodeProxyingNotSupported}, r.Code)
			}
		}
	})
}

func TestClosedContextHandlesNoProxy(t *testing.T) {
	c, err := NewNode(nil)
	require.NoError(t, err)
	c.Close()
	assert.ErrorIs(t, c.HandleProxy(HandlerFunc(NotFound)), net.ErrClosed)
}

// What is safe to forward gets to the handler, and what is not is refused (RFC 7252, section
// 5.7.1).
func TestProxyGetsOptionsThatAreSafeToForward(t *testing.T) {
	if !ccoap.PassesCritical() {
		t.Skip("libcoap refuses them first")
	}
	const safeCritical, unsafeCritical, safeElective, unsafeElective, own = 2049, 2051, 2048, 2050,
		2055
	server := newTestNode(t, &Config{CriticalOptions: []OptionID{own}})
	require.NoError(t, server.HandleProxy(HandlerFunc(func(w ResponseWriter, r *Request) {
		if id, ok := r.Unrecognized(); ok {
			w.Write([]byte(id.String()))
		}
	})))
	peer := newScriptedClient(t, listenOn(t, server, UDP, hello))
	for _, test := range []struct {
		option OptionID
		code   coappeer.Code
		body   string
	}{
		{OptionOSCORE, coappeer.Content, "OSCORE"},
		{safeCritical, coappeer.Content, "option 2049"},
		{unsafeCritical, coappeer.BadOption, "option 2051 is not understood and unsafe to forward"},
		{own, coappeer.Content, ""},
		{safeElective, coappeer.Content, ""},
		{unsafeElective, coappeer.BadOption, "option 2050 is not understood and unsafe to forward"},
		{OptionNoResponse, coappeer.Content, ""},
	} {
		if test.option == OptionOSCORE && ccoap.TakesOSCORE {
			continue
		}
		options := []coappeer.Option{coappeer.String(coappeer.ProxyURI, "coap://host.example/a"),
			{Number: uint16(test.option)}}
		slices.SortFunc(options, func(a, b coappeer.Option) int { return int(a.Number) - int(b.Number) })
		got := peer.ask(t, message(coappeer.GET, "", options...))
		assert.Equal(t, []any{test.code, test.body}, []any{got.Code, string(got.Payload)},
			test.option.String())
	}
	for option, code := range map[uint16]coappeer.Code{safeCritical: coappeer.BadOption,
		unsafeElective: coappeer.Content} {
		got := peer.ask(t, message(coappeer.GET, "", coappeer.Option{Number: option}))
		assert.Equal(t, code, got.Code, "%d, for the server itself", option)
	}
}

// Whoever sends an option understands it in the response.
func TestResponsesMayHaveTheCriticalOptionsOfTheirRequest(t *testing.T) {
	if !ccoap.PassesCritical() {
		t.Skip("libcoap drops them first")
	}
	server := coappeer.NewUDP(t)
	s := connect(t, nil, server.Addr(), UDP)
	for _, id := range []OptionID{OptionOSCORE, 2049} {
		answer := start(waitContext(t),
			s, &Request{Method: MethodGet, Options: Options{{id, []byte("x")}}})
		serve(t, server, message(coappeer.Content, "", coappeer.Option{Number: uint16(id)}))
		require.NoError(t, receive(t, answer).err)
	}
	_, bad := Options{{OptionMaxAge, nil}, {2048, nil}}.Unforwardable()
	assert.False(t, bad)
	id, bad := Options{{2048, nil}, {2050, nil}, {2051, nil}}.Unforwardable()
	assert.True(t, bad)
	assert.EqualValues(t, 2050, id)
}
