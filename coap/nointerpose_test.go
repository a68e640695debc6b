//go:build nointerpose

package coap

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// With the build tag nointerpose no function is replaced in libcoap: Supports says what is
// missing, what needs it is refused, and the rest works.
func TestNothingIsReplacedInLibcoap(t *testing.T) {
	for _, f := range []Feature{FeatureSessionResumption, FeatureCredentials,
		FeatureAddressValidation} {
		assert.False(t, Supports(f), "%d", f)
	}
	assert.False(t, ccoap.PassesCritical())
	assert.False(t, ccoap.LeavesOddOptions())
	_, err := NewNode(&Config{SessionTickets: 1})
	assert.ErrorIs(t, err, ErrNotSupported)
	_, err = NewNode(&Config{Priority: "NORMAL"})
	assert.ErrorIs(t, err, ErrNotSupported)
}

func TestRequestsOverEachProtocolWithoutReplacedFunctions(t *testing.T) {
	config := &Config{
		ServerPSK: ServerPSK{GetKey: func(string, string) ([]byte, error) { return []byte("key"), nil }},
	}
	for _, proto := range []Protocol{UDP, DTLS, TCP, TLS} {
		t.Run(proto.String(), func(t *testing.T) {
			addr := listen(t, config, proto, echo)
			var s *Session
			if proto.Secure() {
				var err error
				s, err = newTestNode(t, nil).NewClientSessionPSK(netip.AddrPort{}, addr, proto, "me",
					[]byte("key"))
				require.NoError(t, err)
			} else {
				s = connect(t, nil, addr, proto)
			}
			body := randomBytes(5000)
			r, err := s.Post(waitContext(t), "/", OctetStream, body)
			require.NoError(t, err)
			assert.Equal(t, body, r.Body)
		})
	}
}
