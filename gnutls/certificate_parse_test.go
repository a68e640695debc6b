package gnutls

import (
	"crypto/sha256"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestConnectionsShareParsedCertificates(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	one, _ := connect(t, client, server)
	two, _ := connect(t, client, server)
	chain := one.ConnectionState().VerifiedChains[0]
	require.Len(t, chain, 2)
	for i, cert := range two.ConnectionState().VerifiedChains[0] {
		assert.Same(t, chain[i], cert)
	}
	assert.Same(t, chain[0], two.ConnectionState().PeerCertificates[0])
}

func TestParsedCertificatesAreForgotten(t *testing.T) {
	der := testCertificate(t, "notyet").Certificate[0]
	key := sha256.Sum256(der)
	cert, err := parseCertificate(der)
	require.NoError(t, err)
	_, ok := parsed.Load(key)
	require.True(t, ok)
	runtime.KeepAlive(cert)
	cert = nil
	require.Eventually(t, func() bool {
		runtime.GC()
		_, ok := parsed.Load(key)
		return !ok
	}, wait, time.Millisecond)
}
