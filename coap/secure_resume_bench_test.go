package coap

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
)

// What package gnutls needs for a session in a program that has package coap, too: its
// calls of gnutls_init come here and go on. With the build tag noresume they do not come here.
func BenchmarkSessionOfPackageGnuTLS(b *testing.B) {
	client, server := net.Pipe()
	defer client.Close()
	require.NoError(b, server.Close())
	config := &gnutls.Config{RootCAs: pool(b, "ca"), ServerName: "example.test"}
	b.ReportAllocs()
	for b.Loop() {
		require.Error(b, gnutls.Client(client, config).Handshake())
	}
}
