package coap

import (
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// Version returns the version of the libcoap library that is loaded, such as
// "4.3.1". It may be called from any goroutine.
func Version() string { return ccoap.Version() }

// A Feature is something that not every version of libcoap has.
type Feature int

const (
	// FeatureSecurity is DTLS and TLS: endpoints, and client sessions.
	FeatureSecurity Feature = iota + 1
	// FeatureAnyGroup is JoinGroup for groups of IPv4, and on an interface that is
	// named.
	FeatureAnyGroup
	// FeatureRawPublicKeys is PKI.RawPublicKey and PKI.VerifyRawPublicKey.
	FeatureRawPublicKeys
	// FeaturePSKHints is PSK.ForHint and ServerPSK.Hints.
	FeaturePSKHints
)

// Supports reports whether the version of libcoap that is loaded has a feature. What it
// lacks is ErrNotSupported. It may be called from any goroutine.
func Supports(f Feature) bool {
	switch f {
	case FeatureSecurity, FeatureRawPublicKeys, FeaturePSKHints:
		return ccoap.HaveCredentials
	case FeatureAnyGroup:
		return ccoap.JoinsAnyGroup
	}
	return false
}

// checkLibrary refuses a libcoap that is secured by another library than GnuTLS:
// it may be loaded in place of the right one, and takes other credentials.
func checkLibrary() error {
	if tls := ccoap.BuiltWith(); tls != ccoap.TLSGnuTLS {
		return fmt.Errorf("this libcoap is built with another TLS library than GnuTLS (number %d): %w", tls, ErrNotSupported)
	}
	return nil
}
