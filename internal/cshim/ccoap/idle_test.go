//go:build !libcoap2

package ccoap_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// A datagram that is no request makes a session too.
func TestSessionsThatNobodyRefersToAreBounded(t *testing.T) {
	const most, all = 50, 2000
	// COAP_EVENT_SERVER_SESSION_NEW and _DEL
	const made, gone = ccoap.Event(0x4001), ccoap.Event(0x4002)
	counts := map[ccoap.Event]int{}
	c := ccoap.NewContext(&ccoap.Callbacks{
		Heard: func(ccoap.SessionID, netip.AddrPort, ccoap.Heard, uint16) bool { return false },
		Event: func(_ ccoap.SessionID, event ccoap.Event) { counts[event]++ },
	})
	require.NotNil(t, c)
	defer c.Free()
	c.SetMaxIdle(most)
	addr, err := c.Listen(netip.MustParseAddrPort("127.0.0.1:0"), ccoap.UDP)
	require.NoError(t, err)
	crowd := coappeer.NewCrowd(t)
	for i := range all {
		crowd.Send(i, addr, coappeer.Message{Type: coappeer.RST, ID: uint16(i)})
		for end := time.Now().Add(20 * time.Second); counts[made] <= i && time.Now().Before(end); {
			c.Poll()
		}
	}
	assert.Equal(t, all, counts[made])
	assert.LessOrEqual(t, counts[made]-counts[gone], most)
}
