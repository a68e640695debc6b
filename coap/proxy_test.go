package coap

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProxyGetsWhatIsForProxies(t *testing.T) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) {
		for _, proxy := range []bool{false, true} {
			server, err := NewContext(nil)
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
				{Options{{OptionURIHost, []byte("host.example")}, {OptionProxyScheme, []byte("coap")}, {OptionSize1, []byte{1}}}, true},
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
			r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: Options{{OptionProxyScheme, []byte("coap")}}})
			require.NoError(t, err)
			switch {
			case Version() == "4.3.4":
				assert.Equal(t, CodeBadOption, r.Code)
			case proxy && Version() == "4.2.1":
				assert.Equal(t, "proxy", string(r.Body))
			default:
				assert.Equal(t, CodeProxyingNotSupported, r.Code)
			}
		}
	})
}

func TestClosedContextHandlesNoProxy(t *testing.T) {
	c, err := NewContext(nil)
	require.NoError(t, err)
	c.Close()
	assert.ErrorIs(t, c.HandleProxy(HandlerFunc(NotFound)), net.ErrClosed)
}
