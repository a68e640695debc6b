package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// A portlessCache has the session of each transport, whatever the server's port.
type portlessCache struct{ sessions sync.Map }

func scheme(key string) string { name, _, _ := strings.Cut(key, ":"); return name }

func (c *portlessCache) Get(key string) *gnutls.SessionData {
	d, _ := c.sessions.LoadAndDelete(scheme(key))
	session, _ := d.(*gnutls.SessionData)
	return session
}

func (c *portlessCache) Put(key string, d *gnutls.SessionData) { c.sessions.Store(scheme(key), d) }

func TestServersWithTheSameTicketKeyResumeEachOthersSessions(t *testing.T) {
	t.Parallel()
	if !coap.Supports(coap.FeatureSessionResumption) {
		var stderr bytes.Buffer
		assert.Equal(t, 2, run(waitContext(t),
			[]string{"-k", "secret", "--ticket-key", filepath.Join(t.TempDir(), "keys")}, &stderr, &stderr))
		assert.Contains(t, stderr.String(), "do not resume")
		return
	}
	roots := gnutls.NewCertPool()
	require.NoError(t, roots.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	own, err := gnutls.LoadX509KeyPair(testenv.File("client.pem"), testenv.File("client.key"))
	require.NoError(t, err)
	for name, test := range map[string]struct {
		args   []string
		client coap.Config
	}{
		"pre-shared key": {[]string{"-k", "secret"},
			coap.Config{PSK: coap.PSK{Identity: "me", Key: []byte("secret")}}},
		"certificate": {
			[]string{"-c", testenv.File("server.pem"), "-j", testenv.File("server.key")},
			coap.Config{PKI: coap.PKI{RootCAs: roots}},
		},
		"client certificate": {
			[]string{"-c", testenv.File("server.pem"), "-j", testenv.File("server.key"), "-C",
				testenv.File("ca.pem")},
			coap.Config{PKI: coap.PKI{RootCAs: roots, Certificates: []gnutls.Certificate{own}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			sessions := new(portlessCache)
			resumes := func(server func(scheme string) string, scheme string) bool {
				t.Helper()
				config := test.client
				config.ClientSessionCache = sessions
				s := dial(t, server(scheme), &config)
				defer s.Close()
				r, err := s.Get(waitContext(t), "/")
				require.NoError(t, err)
				assert.Equal(t, coap.CodeContent, r.Code)
				d, err := s.SessionData(waitContext(t))
				require.NoError(t, err)
				sessions.Put(scheme, d)
				state, ok := s.TLS()
				require.True(t, ok)
				return state.DidResume
			}
			withKey := func(file string) func(scheme string) string {
				return start(t, append(test.args, "--ticket-key", filepath.Join(dir, file))...)
			}
			first, second, other := withKey("keys"), withKey("keys"), withKey("other")
			for _, scheme := range []string{"coaps", "coaps+tcp"} {
				assert.False(t, resumes(first, scheme))
				assert.True(t, resumes(first, scheme))
				assert.True(t, resumes(second, scheme), "the same key")
				assert.False(t, resumes(other, scheme), "another key")
			}
			info, err := os.Stat(filepath.Join(dir, "keys"))
			require.NoError(t, err)
			assert.Equal(t, os.FileMode(0o600), info.Mode())
		})
	}
}
