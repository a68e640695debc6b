package coap

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

// eachPlain runs a test for the transports without security.
func eachPlain(t *testing.T, f func(t *testing.T, proto Protocol)) {
	for _, proto := range []Protocol{UDP, TCP} {
		t.Run(proto.String(), func(t *testing.T) { f(t, proto) })
	}
}

// body returns n bytes that differ from place to place.
func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8)
	}
	return b
}

func uri(proto Protocol, addr netip.AddrPort, path string) string {
	return fmt.Sprintf("%s://%s%s", proto.Scheme(), addr, path)
}

var (
	coapServers = []string{"coap-server-gnutls", "coap-server-openssl"}
	coapClients = []string{"coap-client-gnutls", "coap-client-openssl"}
)

func TestLibcoapServer(t *testing.T) {
	for _, server := range coapServers {
		t.Run(server, func(t *testing.T) {
			_, addr := testenv.CoapServer(t, server, "-d", "10")
			eachPlain(t, func(t *testing.T, proto Protocol) {
				s, err := Dial(waitContext(t), uri(proto, addr, "/"), nil)
				require.NoError(t, err)
				defer s.Close()
				r, err := s.Get(waitContext(t), "/")
				require.NoError(t, err)
				assert.Equal(t, CodeContent, r.Code)
				assert.Contains(t, string(r.Body), "This is a test server made with libcoap")

				path := "/made-" + proto.String()
				r, err = s.Put(waitContext(t), path, OctetStream, body(5000))
				require.NoError(t, err)
				assert.Equal(t, CodeCreated, r.Code)
				r, err = s.Get(waitContext(t), path)
				require.NoError(t, err)
				assert.Equal(t, CodeContent, r.Code)
				assert.Equal(t, body(5000), r.Body)

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
	file := filepath.Join(t.TempDir(), "body")
	require.NoError(t, os.WriteFile(file, body(5000), 0o600))
	for _, client := range coapClients {
		t.Run(client, func(t *testing.T) {
			eachPlain(t, func(t *testing.T, proto Protocol) {
				bodies := make(chan []byte, 1)
				addr := listen(t, nil, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
					if r.Method == MethodPut {
						bodies <- r.Body
						return
					}
					fmt.Fprintf(w, "%v %s %q\n", r.Method, r.Options.Path(), r.Options.Queries())
				}))
				out := testenv.CoapClient(t, client, "-m", "get", uri(proto, addr, "/some/path?a=1&b"))
				assert.Contains(t, out, `GET /some/path ["a=1" "b"]`)
				testenv.CoapClient(t, client, "-m", "put", "-f", file, uri(proto, addr, "/x"))
				assert.True(t, bytes.Equal(body(5000), receive(t, bodies)))
			})
		})
	}
}
