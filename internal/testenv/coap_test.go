package testenv_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

const welcome = "This is a test server made with libcoap"

// eachFlavour runs f with each flavour of server and client.
func eachFlavour(t *testing.T, f func(t *testing.T, server, client string)) {
	for _, server := range testenv.CoAPFlavours {
		for _, client := range testenv.CoAPFlavours {
			t.Run(server+" server, "+client+" client", func(t *testing.T) { f(t, server, client) })
		}
	}
}

func TestCoAPClientsReachServersOnEveryTransport(t *testing.T) {
	psk, pki := testenv.CoAPServerPSK("secret"), testenv.CoAPPKI(t, "server")
	eachFlavour(t, func(t *testing.T, server, client string) {
		s := testenv.StartCoAPServer(t, server, slices.Concat(psk, pki, []string{"-n"})...)
		for _, test := range []struct {
			name, scheme string
			args         []string
		}{
			{"UDP", "coap", nil},
			{"TCP", "coap+tcp", nil},
			{"DTLS with a key", "coaps", testenv.CoAPClientPSK("client1", "secret")},
			{"TLS with a key", "coaps+tcp", testenv.CoAPClientPSK("client1", "secret")},
			{"DTLS with a root", "coaps", []string{"-R", testenv.File("ca.pem")}},
			{"TLS with a root", "coaps+tcp", []string{"-R", testenv.File("ca.pem")}},
			{"DTLS with a certificate", "coaps", testenv.CoAPPKI(t, "client")},
			{"TLS with a certificate", "coaps+tcp", testenv.CoAPPKI(t, "client")},
		} {
			t.Run(test.name, func(t *testing.T) {
				if abortsOverTLS(t, client) && test.scheme == "coaps+tcp" {
					t.Skip("the client aborts where the server is fast")
				}
				got := testenv.RunCoAPClient(t, client,
					testenv.CoAPRequest{URI: s.URI(test.scheme, "/"), Args: test.args})
				assert.Equal(t, "2.05", got.Code, got.Output)
				assert.Contains(t, string(got.Body), welcome)
			})
		}
	})
}

// abortsOverTLS reports whether a client is that of libcoap 4.2.1 with GnuTLS.
func abortsOverTLS(t *testing.T, flavour string) bool {
	return flavour == "gnutls" && !testenv.CoAPClientTakes(t, 'w')
}

func TestCoAPServerAsksForCertificates(t *testing.T) {
	eachFlavour(t, func(t *testing.T, server, client string) {
		if abortsOverTLS(t, client) {
			t.Skip("the client aborts where the server is fast")
		}
		s := testenv.StartCoAPServer(t, server, testenv.CoAPPKI(t, "server")...)
		got := testenv.RunCoAPClient(t, client,
			testenv.CoAPRequest{URI: s.URI("coaps+tcp", "/"), Args: testenv.CoAPPKI(t, "client")})
		assert.Equal(t, "2.05", got.Code, got.Output)

		got = testenv.RunCoAPClient(t, client,
			testenv.CoAPRequest{URI: s.URI("coaps+tcp", "/"), Args: []string{"-R", testenv.File("ca.pem")}})
		assert.Empty(t, got.Code, got.Output)
		assert.Nil(t, got.Body)
	})
}

func TestCoAPClientTellsErrors(t *testing.T) {
	s := testenv.StartCoAPServer(t, "gnutls")
	got := testenv.RunCoAPClient(t, "gnutls", testenv.CoAPRequest{URI: s.URI("coap", "/nowhere")})
	assert.Equal(t, "4.04", got.Code, got.Output)
	assert.Nil(t, got.Body)
	assert.Contains(t, got.Output, "4.04 Not Found")
}

func TestLargeBodiesGoThroughCoAPServers(t *testing.T) {
	body := bytes.Repeat([]byte("0123456789\x00\xff\n"), 400)
	schemes := []string{"coap", "coap+tcp"}
	if !testenv.CoAPClientTakes(t, 'w') { // over TCP it stops behind the first block
		schemes = schemes[:1]
	}
	eachFlavour(t, func(t *testing.T, server, client string) {
		s := testenv.StartCoAPServer(t, server, "-d", "10")
		for _, scheme := range schemes {
			uri := s.URI(scheme, "/large")
			put := testenv.RunCoAPClient(t, client,
				testenv.CoAPRequest{Method: "put", URI: uri, Payload: body, Args: []string{"-b", "1024"}})
			require.Regexp(t, `^2\.0[14]$`, put.Code, put.Output)
			got := testenv.RunCoAPClient(t, client, testenv.CoAPRequest{URI: uri})
			assert.Equal(t, "2.05", got.Code)
			assert.True(t, bytes.Equal(body, got.Body), "%d bytes", len(got.Body))
		}
	})
}
