package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

func TestSecondConnectionResumes(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t,
		run(&out, testenv.File("server.pem"), testenv.File("server.key"), testenv.File("ca.pem")))
	assert.Equal(t, "connection 1: 200 OK: HTTP/1.1 over TLS 1.3, resumed: false\n"+
		"connection 2: 200 OK: HTTP/1.1 over TLS 1.3, resumed: true\n", out.String())
}

func TestUntrustedServerIsRefused(t *testing.T) {
	var out bytes.Buffer
	err := run(&out, testenv.File("server.pem"), testenv.File("server.key"),
		testenv.File("other-ca.pem"))
	assert.ErrorIs(t, err, gnutls.CertificateUnknownAuthority)
	assert.Empty(t, out.String())
}
