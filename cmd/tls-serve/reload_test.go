package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestHangupReloadsTheFiles(t *testing.T) {
	cert := filepath.Join(t.TempDir(), "cert.pem")
	install := func(name string) {
		t.Helper()
		var both []byte
		for _, part := range []string{".pem", ".key"} {
			text, err := os.ReadFile(testenv.File(name + part))
			require.NoError(t, err)
			both = append(both, text...)
		}
		require.NoError(t, os.WriteFile(cert, both, 0o600))
	}
	install("server")
	s, cmd := startProcess(t, "-cert", cert)
	cache := gnutls.NewClientSessionCache(0)
	subject := func() (name string, resumed bool) {
		t.Helper()
		config := clientConfig(t)
		config.InsecureSkipVerify = true
		config.ClientSessionCache = cache
		c := connect(t, s, config)
		echoes(t, c)
		st := c.ConnectionState()
		return st.PeerCertificates[0].Subject.CommonName, st.DidResume
	}
	before, _ := subject()

	require.NoError(t, os.WriteFile(cert, []byte("nonsense"), 0o600))
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	assert.Contains(t, s.log.Await(t, `msg="not reloaded" (.*)`)[1], cert, "the file is named")
	name, resumed := subject()
	assert.Equal(t, before, name, "the old certificate stays")
	assert.True(t, resumed)

	install("alpha")
	require.NoError(t, cmd.Process.Signal(syscall.SIGHUP))
	s.log.Await(t, `msg=reloaded`)
	_, resumed = subject()
	assert.True(t, resumed, "the key of the tickets stays")
	cache = gnutls.NewClientSessionCache(0)
	name, _ = subject()
	assert.NotEqual(t, before, name)
}
