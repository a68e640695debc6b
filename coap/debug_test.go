package coap

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func TestBadListsOfDatagramsToLose(t *testing.T) {
	for _, list := range []string{"", "x", "1,x", "-x", "50 %"} {
		assert.ErrorContains(t, LoseDatagrams(list), "coap: ", list)
	}
}

func TestLargestMessageIsTold(t *testing.T) {
	if !Supports(FeatureMaxMessage) {
		_, err := NewNode(&Config{MaxMessage: 4096})
		require.ErrorIs(t, err, ErrNotSupported)
		return
	}
	for size, want := range map[int]uint32{0: 8388864, mostMessage: 8388864, 64: 64, 4096: 4096} {
		server := coappeer.ListenTCP(t)
		c, err := NewNode(&Config{MaxMessage: size})
		require.NoError(t, err)
		defer c.Close()
		s, err := c.NewClientSession(netip.AddrPort{}, server.Addr(), TCP)
		require.NoError(t, err)
		defer s.Close()
		got, ok := server.Accept(t).ExchangeCSM(t).Uint(coappeer.MaxMessageSize)
		assert.True(t, ok)
		assert.Equal(t, want, got)
	}
	for _, bad := range []int{-1, 63, mostMessage + 1, 1 << 32} {
		_, err := NewNode(&Config{MaxMessage: bad})
		assert.ErrorContains(t, err, fmt.Sprintf("Config.MaxMessage is %d, not 0 or from 64 to 8388864", bad))
	}
}
