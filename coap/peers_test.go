package coap

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

// eachTransport runs a test for each transport that there is. config is that of
// clients with testKey, and arguments what libcoap's client needs.
func eachTransport(t *testing.T,
	f func(t *testing.T, proto Protocol, config *Config, arguments []string)) {
	eachUnsecured(t, func(t *testing.T, proto Protocol) { f(t, proto, nil, nil) })
	eachSecure(t, func(t *testing.T, proto Protocol) {
		f(t, proto, &Config{PSK: PSK{Identity: "client1", Key: testKey}},
			testenv.CoAPClientPSK("client1", string(testKey)))
	})
}

func uri(proto Protocol, addr netip.AddrPort, path string) string {
	return fmt.Sprintf("%s://%s%s", proto.Scheme(), addr, path)
}

// oldTools says that libcoap's programs are of 4.2.1, as the library is: the client
// sends a large body in blocks only when it is told their size, and the server makes
// a resource before its last block is there.
var oldTools = strings.HasPrefix(Version(), "4.2.")

func TestLibcoapServer(t *testing.T) {
	t.Parallel()
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			server := testenv.StartCoAPServer(t, flavour,
				append(testenv.CoAPServerPSK(string(testKey)), "-d", "10")...)
			eachTransport(t, func(t *testing.T, proto Protocol, config *Config, _ []string) {
				s, err := Dial(waitContext(t), server.URI(proto.Scheme(), "/"), config)
				require.NoError(t, err)
				defer s.Close()
				r, err := s.Get(waitContext(t), "/")
				require.NoError(t, err)
				assert.Equal(t, CodeContent, r.Code)
				assert.Contains(t, string(r.Body), "This is a test server made with libcoap")

				body, path := randomBytes(5000), "/made-"+proto.String()
				r, err = s.Put(waitContext(t), path, OctetStream, body)
				require.NoError(t, err)
				if oldTools && !proto.Reliable() {
					assert.Equal(t, CodeChanged, r.Code)
				} else {
					assert.Equal(t, CodeCreated, r.Code)
				}
				r, err = s.Get(waitContext(t), path)
				require.NoError(t, err)
				assert.Equal(t, CodeContent, r.Code)
				assert.True(t, bytes.Equal(body, r.Body))

				r, err = s.Get(waitContext(t), "/none")
				require.NoError(t, err)
				assert.Equal(t, CodeNotFound, r.Code)
				r, err = s.Get(waitContext(t), "/async?1") // answers later
				require.NoError(t, err)
				assert.Equal(t, "done", string(r.Body))
				assert.NoError(t, s.Ping(waitContext(t)))
			})
		})
	}
}

func TestLibcoapClient(t *testing.T) {
	for _, flavour := range testenv.CoAPFlavours {
		t.Run(flavour, func(t *testing.T) {
			eachTransport(t, func(t *testing.T, proto Protocol, _ *Config, arguments []string) {
				if oldTools && flavour == "gnutls" && proto == TLS {
					return // it aborts where the server is fast
				}
				bodies := make(chan []byte, 1)
				addr := listen(t, &Config{ServerPSK: pskServer}, proto,
					HandlerFunc(func(w ResponseWriter, r *Request) {
						if r.Method == MethodPut {
							bodies <- r.Body
							return
						}
						fmt.Fprintf(w, "%v %s %q\n", r.Method, r.Options.Path(), r.Options.Queries())
					}))
				got := testenv.RunCoAPClient(t, flavour, testenv.CoAPRequest{
					URI: uri(proto, addr, "/some/path?a=1&b"), Args: arguments,
				})
				assert.Equal(t, "GET /some/path [\"a=1\" \"b\"]\n", string(got.Body), got.Output)

				size := 5000
				switch {
				case oldTools && proto.Reliable(): // it stops after the first block
					size = 1000
				case oldTools:
					arguments = append(arguments, "-b", "1024")
				}
				body := randomBytes(size)
				testenv.RunCoAPClient(t, flavour, testenv.CoAPRequest{
					Method: "put", URI: uri(proto, addr, "/x"), Payload: body, Args: arguments,
				})
				assert.True(t, bytes.Equal(body, receive(t, bodies)))
			})
		})
	}
}
