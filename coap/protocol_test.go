package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestProtocolHasItsSchemeAndPort(t *testing.T) {
	for _, tc := range []struct {
		proto            Protocol
		name, scheme     string
		port             uint16
		secure, reliable bool
	}{
		{UDP, "udp", "coap", 5683, false, false},
		{DTLS, "dtls", "coaps", 5684, true, false},
		{TCP, "tcp", "coap+tcp", 5683, false, true},
		{TLS, "tls", "coaps+tcp", 5684, true, true},
		{9, "protocol 9", "protocol 9", 5683, false, false},
	} {
		assert.Equal(t, tc.name, tc.proto.String())
		assert.Equal(t, tc.scheme, tc.proto.Scheme())
		assert.Equal(t, tc.port, tc.proto.DefaultPort(), tc.name)
		assert.Equal(t, tc.secure, tc.proto.Secure(), tc.name)
		assert.Equal(t, tc.reliable, tc.proto.Reliable(), tc.name)
	}
	assert.Zero(t, UDP)
}
