package coap

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestSecureLibcoapServer(t *testing.T) {
	t.Parallel()
	ca := pool(t, "ca")
	withPSK := func(identity, key string) *Config {
		return &Config{MaxRetransmit: 1, PSK: PSK{Identity: identity, Key: []byte(key)}}
	}
	psk, pki := testenv.CoAPServerPSK("secret"), testenv.CoAPPKI(t, "server")
	anybody := slices.Concat(pki, []string{"-n"})
	for _, tc := range []struct {
		name   string
		server []string
		client *Config
		is     error    // nil: it answers
		silent Protocol // over which a server with GnuTLS gives up without a word; UDP: over none
	}{
		{"key", psk, withPSK("client1", "secret"), nil, UDP},
		{"wrong key", psk, withPSK("client1", "wrong"), ErrHandshake, TLS},
		{"key for the hint", slices.Concat(psk, []string{"-h", "a hint"}), &Config{PSK: PSK{
			ForHint: func(hint string) (string, []byte, error) {
				return "for " + hint, []byte("secret"), nil
			},
		}}, nil, UDP},
		{"certificate", anybody, &Config{PKI: PKI{RootCAs: ca}}, nil, UDP},
		{"both certificates", pki, &Config{PKI: PKI{RootCAs: ca, Certificates: pairs(t, "client")}}, nil,
			UDP},
		{"no client certificate", pki, &Config{PKI: PKI{RootCAs: ca}}, ErrHandshake, UDP},
		{"untrusted", anybody, &Config{PKI: PKI{RootCAs: pool(t, "other-ca")}},
			gnutls.CertificateUnknownAuthority, UDP},
		{"wrong name", anybody, &Config{PKI: PKI{RootCAs: ca, ServerName: "elsewhere.test"}},
			gnutls.CertificateWrongName, UDP},
		{"expired", slices.Concat(testenv.CoAPPKI(t, "expired"), []string{"-n"}),
			&Config{PKI: PKI{RootCAs: ca}}, gnutls.CertificateExpired, UDP},
		{"a key where certificates are", anybody, withPSK("client1", "secret"), ErrHandshake, UDP},
		{"certificates where a key is", psk, &Config{MaxRetransmit: 1, PKI: PKI{RootCAs: ca}},
			ErrHandshake, UDP},
	} {
		if tc.client.PSK.ForHint != nil && !Supports(FeaturePSKHints) {
			continue
		}
		t.Run(tc.name, func(t *testing.T) {
			for _, flavour := range testenv.CoAPFlavours {
				t.Run(flavour, func(t *testing.T) {
					server := testenv.StartCoAPServer(t, flavour, tc.server...)
					eachSecure(t, func(t *testing.T, proto Protocol) {
						s := connect(t, tc.client, server.SecureAddr, proto)
						if tc.silent == proto && flavour == "gnutls" {
							select {
							case <-s.Done():
								assert.ErrorIs(t, s.Err(), tc.is)
							case <-time.After(time.Second):
								assert.Equal(t, StateHandshake, s.State())
							}
							return
						}
						if tc.is != nil {
							err := s.Ready(prompt(t))
							if err == nil { // with TLS 1.3 a server refuses later
								_, err = s.Do(prompt(t), get())
							}
							require.ErrorIs(t, err, tc.is)
							return
						}
						r, err := s.Do(waitContext(t), get())
						require.NoError(t, err)
						assert.Contains(t, string(r.Body), "This is a test server made with libcoap")
						state, ok := s.TLS()
						require.True(t, ok)
						assert.Equal(t, tc.client.PSK.isSet(), state.PSK)
					})
				})
			}
		})
	}
}

func TestSecureLibcoapClient(t *testing.T) {
	certificate := PKI{Certificates: pairs(t, "server")}
	requiring := PKI{Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
		ClientCAs: pool(t, "ca")}
	trusting := []string{"-R", testenv.File("ca.pem")}
	psk := ServerPSK{GetKey: pskServer.GetKey}
	if Supports(FeaturePSKHints) {
		psk.Hint = "a hint"
	}
	for _, tc := range []struct {
		name   string
		server *Config
		client []string
		want   string // identity of the client; "none": it is refused
	}{
		{"key", &Config{ServerPSK: psk}, testenv.CoAPClientPSK("client1", string(testKey)), "client1"},
		{"unknown identity", &Config{ServerPSK: psk}, testenv.CoAPClientPSK("nobody", string(testKey)),
			"none"},
		{"certificate", &Config{PKI: certificate}, trusting, ""},
		{"certificate or key", &Config{PKI: certificate, ServerPSK: psk},
			testenv.CoAPClientPSK("client1", string(testKey)), "client1"},
		{"key or certificate", &Config{PKI: certificate, ServerPSK: psk}, trusting, ""},
		{"both certificates", &Config{PKI: requiring}, testenv.CoAPPKI(t, "client"), "client one"},
		{"no client certificate", &Config{PKI: requiring}, trusting, "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, flavour := range testenv.CoAPFlavours {
				t.Run(flavour, func(t *testing.T) {
					eachSecure(t, func(t *testing.T, proto Protocol) {
						if oldTools && flavour == "gnutls" && proto == TLS {
							return // it aborts where the server is fast
						}
						seen := make(chan string, 1)
						addr := listen(t, tc.server, proto, HandlerFunc(func(w ResponseWriter, r *Request) {
							identity := r.Session.PeerIdentity()
							if certs := r.Session.PeerCertificates(); certs != nil {
								identity = certs[0].Subject.CommonName
							}
							seen <- identity
							w.Write([]byte("hello"))
						}))
						got := testenv.RunCoAPClient(t, flavour, testenv.CoAPRequest{
							URI:  proto.Scheme() + "://" + addr.String() + "/",
							Args: slices.Concat(tc.client, []string{"-B", "3"}),
						})
						if tc.want == "none" {
							assert.Nil(t, got.Body, got.Output)
							assert.Empty(t, seen)
							return
						}
						assert.Equal(t, "hello", string(got.Body), got.Output)
						assert.Equal(t, tc.want, receive(t, seen))
					})
				})
			}
		})
	}
}
