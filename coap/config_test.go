package coap

import (
	"fmt"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func TestBadConfigsAreRefused(t *testing.T) {
	for want, config := range map[string]Config{
		"Config.AckTimeout is 999ms, not 0 or from 1 s to 65535 s":     {AckTimeout: 999 * time.Millisecond},
		"Config.AckTimeout is 18h12m16s, not":                          {AckTimeout: 65536 * time.Second},
		"Config.AckTimeout is -1s, not":                                {AckTimeout: -time.Second},
		"Config.AckRandomFactor is 0.5, not 0 or from 1 to 65535":      {AckRandomFactor: 0.5},
		"Config.AckRandomFactor is NaN, not":                           {AckRandomFactor: math.NaN()},
		"Config.AckRandomFactor is +Inf, not":                          {AckRandomFactor: math.Inf(1)},
		"Config.MaxRetransmit is -1, not from 0 to 20":                 {MaxRetransmit: -1},
		"Config.MaxRetransmit is 21, not from 0 to 20":                 {MaxRetransmit: 21},
		"Config.NSTART is 65536, not from 0 to 65535":                  {NSTART: 65536},
		"Config.NSTART is -1, not":                                     {NSTART: -1},
		"Config.MTU is 63, not 0 or from 64 to 65535":                  {MTU: 63},
		"Config.MTU is 65536, not":                                     {MTU: 65536},
		"Config.IdleTimeout is -1s, not 0 or from 1 s to 2147483647 s": {IdleTimeout: -time.Second},
		"Config.IdleTimeout is 1193046h28m15s, not":                    {IdleTimeout: (1<<32 - 1) * time.Second},
		"Config.IdleTimeout is 1ns, not":                               {IdleTimeout: 1},
		"Config.MaxSessions is -1, not 0 or more":                      {MaxSessions: -1},
		"Config.ObserverCheck is -1s, not 0 or more":                   {ObserverCheck: -time.Second},
		"Config.AddressValidation is 3, not one of the constants":      {AddressValidation: 3},
		"Config.MaxRequests is -1, not 0 or more":                      {MaxRequests: -1},
		"Config.MaxSessionRequests is -1, not 0 or more":               {MaxSessionRequests: -1},
		"Config.BlockSize is -1, not 0 or more":                        {BlockSize: -1},
		"Config.MaxBody is -1, not 0 or more":                          {MaxBody: -1},
		"Config.MaxObservers is -1, not 0 or more":                     {MaxObservers: -1},
		"Config.Leisure is -1ns, not 0 or more":                        {Leisure: -1},
		"Config.MulticastHops is -1, not from 0 to 255":                {MulticastHops: -1},
		"Config.MulticastHops is 256, not":                             {MulticastHops: 256},
	} {
		_, err := NewNode(&config)
		assert.ErrorContains(t, err, "coap: node: "+want)
		_, err = Dial(waitContext(t), "coap://127.0.0.1:9", &config)
		assert.ErrorContains(t, err, "coap: dial coap://127.0.0.1:9: "+want)
		_, err = (&Server{Config: &config}).Listen("coap://127.0.0.1:0")
		assert.ErrorContains(t, err, want)
	}
}

// The extremes that are allowed work.
func TestExtremeConfigs(t *testing.T) {
	addr := listen(t, &Config{
		MTU: 64, BlockSize: 1, MaxSessions: 1, IdleTimeout: time.Second, MaxBody: 1 << 40,
	}, UDP, echo)
	for _, config := range []Config{
		{AckTimeout: 65535 * time.Second, AckRandomFactor: 1, MaxRetransmit: 20, NSTART: 65535, MTU: 64},
		{AckTimeout: time.Second, AckRandomFactor: 65535, MaxRetransmit: 1, NSTART: 1, MTU: 65535,
			BlockSize: math.MaxInt},
	} {
		s := connect(t, &config, addr, UDP)
		r, err := s.Post(waitContext(t), "/", OctetStream, randomBytes(500))
		require.NoError(t, err)
		assert.Equal(t, randomBytes(500), r.Body)
	}
}

func TestFirstMessageOfASessionMayHaveTheMTU(t *testing.T) {
	addr := listen(t, &Config{MTU: 1450}, UDP, hello)
	peer := coappeer.NewUDP(t)
	peer.Send(addr, coappeer.Message{Type: coappeer.CON, Code: coappeer.PUT, ID: 1,
		Payload: make([]byte, 1400)})
	m := peer.Receive(t)
	assert.Equal(t, coappeer.ACK, m.Type)
	assert.Equal(t, coappeer.Code(CodeChanged), m.Code)
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
		assert.ErrorContains(t, err,
			fmt.Sprintf("Config.MaxMessage is %d, not 0 or from 64 to 8388864", bad))
	}
}
