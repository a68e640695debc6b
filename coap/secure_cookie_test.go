package coap

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clientHello returns the first datagram of a client over DTLS.
func clientHello(t *testing.T) []byte {
	t.Helper()
	server, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback))
	require.NoError(t, err)
	defer server.Close()
	to := server.LocalAddr().(*net.UDPAddr).AddrPort()
	s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, to, DTLS, "client1", testKey)
	require.NoError(t, err)
	defer s.Close()
	hello := make([]byte, 2000)
	n, err := server.Read(hello)
	require.NoError(t, err)
	return hello[:n]
}

// libcoap keeps a session for each address that sends a ClientHello, and takes no more of them
// when it has 100.
func TestClientHellosOfAddressesThatDoNotAnswer(t *testing.T) {
	addr := listen(t, &Config{ServerPSK: pskServer}, DTLS, hello)
	first := clientHello(t)
	for range 150 {
		conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(addr))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
		_, err = conn.Write(first)
		require.NoError(t, err)
		_, err = conn.Read(make([]byte, 100)) // the server asks for a cookie
		require.NoError(t, err)
	}
	s, err := newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, DTLS, "client1", testKey)
	require.NoError(t, err)
	_, err = s.Do(prompt(t), get())
	require.NoError(t, err)
}
