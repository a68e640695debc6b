package cshim_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Package ccoap cannot see the constants of GnuTLS: it has them as numbers.
func TestNumbersOfGnuTLS(t *testing.T) {
	for name, c := range map[string]struct{ got, want int }{
		"GNUTLS_CLIENT":              {ccoap.InitClient, cgnutls.InitClient},
		"GNUTLS_DATAGRAM":            {ccoap.InitDatagram, cgnutls.InitDatagram},
		"GNUTLS_NO_AUTO_SEND_TICKET": {ccoap.InitNoAutoSendTicket, cgnutls.InitNoAutoSendTicket},
		"GNUTLS_E_INTERNAL_ERROR":    {ccoap.InitInternalError, cgnutls.InitInternalError},
		"GNUTLS_CRD_CERTIFICATE":     {ccoap.CertificateType, cgnutls.CertificateType},
	} {
		assert.Equal(t, c.want, c.got, name)
	}
}
