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
	// FeatureAnyGroup is JoinGroup for groups of IPv4, and on an interface that is
	// named.
	FeatureAnyGroup Feature = iota + 1
	// FeatureMaxMessage is Config.MaxMessage.
	FeatureMaxMessage
	// FeatureRawPublicKeys is PKI.RawPublicKey and PKI.VerifyRawPublicKey.
	FeatureRawPublicKeys
	// FeaturePSKHints is PSK.ForHint, PSK.ServerName, ServerPSK.Hint and
	// ServerPSK.Hints.
	FeaturePSKHints
	// FeatureBothRoles is a Node that has endpoints and client sessions over DTLS
	// or TLS.
	FeatureBothRoles
	// FeatureSessionResumption is Config.ClientSessionCache and what follows it. It does not depend on
	// the version of libcoap: amd64 and arm64 have it, except with the build tags noresume and
	// nointerpose.
	FeatureSessionResumption
	// FeatureCredentials is Config.Priority, MinVersion and MaxVersion (and that TLS 1.0, 1.1 and
	// DTLS 1.0 are refused by default), keys that are any crypto.Signer, several certificates of a
	// client over TLS, any number of names that clients ask for, and other credentials for a
	// Node that listens. It is there where FeatureSessionResumption is.
	FeatureCredentials
	// FeatureAdoption is Adopt, Borrow and WrapSession of package native.
	FeatureAdoption
	// FeatureAddressValidation is ValidateWhenLarge. Without it a server answers peers over UDP as
	// ValidateNever has it. amd64 and arm64 have it with any version of libcoap, except with the build
	// tag nointerpose. Borrowed contexts lack it.
	FeatureAddressValidation
)

// Supports reports whether the version of libcoap that is loaded has a feature. What it
// lacks is ErrNotSupported. It may be called from any goroutine.
func Supports(f Feature) bool {
	switch f {
	case FeatureRawPublicKeys, FeaturePSKHints, FeatureBothRoles:
		return ccoap.HaveCredentials
	case FeatureAnyGroup:
		return ccoap.JoinsAnyGroup
	case FeatureMaxMessage:
		return ccoap.SetsMaxMessage
	case FeatureSessionResumption:
		return ccoap.HearsOfTLS()
	case FeatureCredentials:
		return ccoap.SetsUpTLS()
	case FeatureAdoption:
		return ccoap.Adopts
	case FeatureAddressValidation:
		return ccoap.TellsEmpty()
	}
	return false
}

// need returns an error where what is asked for needs a feature that is not there.
func need(f Feature, what string, asked bool) error {
	if !asked || Supports(f) {
		return nil
	}
	return fmt.Errorf("%s with libcoap %s: %w", what, Version(), ErrNotSupported)
}

// checkLibrary refuses a libcoap that is secured by another library than GnuTLS:
// it may be loaded in place of the right one, and takes other credentials.
func checkLibrary() error {
	if tls := ccoap.BuiltWith(); tls != ccoap.TLSGnuTLS {
		return fmt.Errorf("this libcoap is built with another TLS library than GnuTLS (number %d): %w",
			tls, ErrNotSupported)
	}
	return nil
}
