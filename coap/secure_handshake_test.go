package coap

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Each datagram of a handshake may be lost, on the way to a server of ours and back.
func TestHandshakeSurvivesLoss(t *testing.T) {
	if !Supports(FeatureSessionResumption) || !ccoap.CountsTimeouts {
		return // libcoap by itself does not see to it, see fix_wait.h, and 4.2.1 gives up early
	}
	addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, DTLS, hello)
	for _, direction := range []coappeer.Direction{coappeer.ToServer, coappeer.ToClient} {
		for n := range 7 {
			t.Run(fmt.Sprint(direction, n), func(t *testing.T) {
				t.Parallel()
				relay := coappeer.NewRelay(t, addr)
				relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
					if d.Direction == direction && d.N == n {
						return coappeer.Drop
					}
					return coappeer.Forward
				})
				s, err := Dial(prompt(t), uri(DTLS, relay.Addr(), ""),
					&Config{PKI: PKI{RootCAs: pool(t, "ca")}})
				require.NoError(t, err)
				defer s.Close()
				_, err = s.Get(waitContext(t), "/")
				assert.NoError(t, err)
			})
		}
	}
}

// A flight that goes in several datagrams gets through a bad network only where all of them do.
// What is lost of the last one comes again when the client asks.
func TestFlightsGoInOneDatagram(t *testing.T) {
	if !Supports(FeatureSessionResumption) {
		return // libcoap by itself sends them one by one
	}
	const identity, key = "identity", "a key of some bytes"
	addr := listen(t,
		&Config{ServerPSK: ServerPSK{GetKey: func(string, string) ([]byte, error) {
			return []byte(key), nil
		}}}, DTLS, hello)
	relay := coappeer.NewRelay(t, addr)
	relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
		if d.Direction == coappeer.ToClient && d.N == lastFlight() {
			return coappeer.Drop
		}
		return coappeer.Forward
	})
	s, err := Dial(waitContext(t), uri(DTLS, relay.Addr(), ""),
		&Config{PSK: PSK{Identity: identity, Key: []byte(key)}})
	require.NoError(t, err)
	defer s.Close()
	var sent [2]int
	for _, d := range relay.Captured() {
		sent[d.Direction]++
	}
	all := lastFlight() + 2
	for direction, n := range sent { // on a busy machine, and with 4.2.1, it may go three times
		assert.GreaterOrEqual(t, n, all,
			"ClientHellos and the last flight, which goes twice; or their answers: %d", direction)
		assert.LessOrEqual(t, n, all+1)
	}
}

// lastFlight is how many datagrams of a handshake come before the last one of its direction.
func lastFlight() int {
	if ccoap.ChecksCookies() {
		return 2
	}
	return 1
}

func TestHandshakeKeepsToTheMTU(t *testing.T) {
	if !Supports(FeatureSessionResumption) {
		return
	}
	const mtu = 300
	config := &Config{MTU: mtu, PKI: PKI{Certificates: pairs(t, "server")}}
	addr := listen(t, config, DTLS, manyBlocks)
	relay := coappeer.NewRelay(t, addr)
	s, err := Dial(waitContext(t), uri(DTLS, relay.Addr(), ""),
		&Config{MTU: mtu, PKI: PKI{RootCAs: pool(t, "ca")}})
	require.NoError(t, err)
	defer s.Close()
	r, err := s.Get(waitContext(t), "/")
	require.NoError(t, err)
	assert.Len(t, r.Body, 5000)
	for _, d := range relay.Captured() {
		assert.LessOrEqual(t, len(d.Data), mtu)
	}
}

// libcoap by itself ends the process when its file descriptors go above 1023.
func TestHandshakeWithManyFiles(t *testing.T) {
	if !Supports(FeatureSessionResumption) {
		return
	}
	for range 1100 {
		f, err := os.Open(os.DevNull)
		require.NoError(t, err)
		defer f.Close()
	}
	eachSecure(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, proto, hello)
		_, err := connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}}, addr, proto).Do(waitContext(t),
			get())
		assert.NoError(t, err)
	})
}

// A session that is opened when the context has nothing else to do sends its ClientHello again.
func TestClientHelloIsSentAgain(t *testing.T) {
	c := newTestNode(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}})
	other, err := c.NewClientSession(netip.AddrPort{}, listen(t, nil, UDP, hello), UDP)
	require.NoError(t, err)
	_, err = other.Do(waitContext(t), get())
	require.NoError(t, err)
	peer := coappeer.NewUDP(t)
	_, err = c.NewClientSession(netip.AddrPort{}, peer.Addr(), DTLS)
	require.NoError(t, err)
	for range 2 {
		peer.ReceiveRaw(t)
	}
}

func TestHandshakesThatAreOverAreForgotten(t *testing.T) {
	var h handshakes
	assert.Zero(t, h.sweep())
	h.add(&conn{ended: net.ErrClosed})
	assert.Zero(t, h.sweep())
	assert.Empty(t, h.conns)
}

func TestPatienceIsThatOfOneMessage(t *testing.T) {
	patience := func(config Config) time.Duration { return (&conn{l: makeLoop(config)}).patience() }
	assert.Equal(t, 31*time.Second, patience(Config{}))
	assert.Equal(t, 3*time.Second, patience(Config{MaxRetransmit: 1}))
}
