package gnutls

import (
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Versions of TLS, as numbered on the wire and in crypto/tls. Those of DTLS are for
// sessions of package coap; this package negotiates TLS only.
const (
	VersionTLS10 uint16 = 0x0301
	VersionTLS11 uint16 = 0x0302
	VersionTLS12 uint16 = 0x0303
	VersionTLS13 uint16 = 0x0304

	VersionDTLS10 uint16 = 0xfeff
	VersionDTLS12 uint16 = 0xfefd
)

var versions = []struct {
	wire     uint16
	name     string
	priority string // its name in a priority string
	datagram string // the name of the corresponding version of DTLS, if there is one
}{
	{VersionTLS10, "TLS 1.0", "VERS-TLS1.0", ""},
	{VersionTLS11, "TLS 1.1", "VERS-TLS1.1", "VERS-DTLS1.0"},
	{VersionTLS12, "TLS 1.2", "VERS-TLS1.2", "VERS-DTLS1.2"},
	{VersionTLS13, "TLS 1.3", "VERS-TLS1.3", ""},
}

// VersionName returns the name of a version, such as "TLS 1.3".
func VersionName(version uint16) string {
	for _, v := range versions {
		if v.wire == version {
			return v.name
		}
	}
	switch version {
	case VersionDTLS10:
		return "DTLS 1.0"
	case VersionDTLS12:
		return "DTLS 1.2"
	}
	return fmt.Sprintf("0x%04X", version)
}

// LibraryVersion returns the version of the GnuTLS library in use, such as
// "3.7.9" (gnutls_check_version).
func LibraryVersion() string { return cgnutls.Version() }
