package gnutls_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/bridge"
)

var _ bridge.GnuTLS = gnutls.Lender

func TestBridgeGetsWhatIsLent(t *testing.T) {
	assert.Equal(t, gnutls.Lender, bridge.Lent)
}
