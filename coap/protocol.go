package coap

import "fmt"

// A Protocol is a transport with its security.
type Protocol int

const (
	UDP  Protocol = iota // RFC 7252
	DTLS                 // RFC 7252, section 9
	TCP                  // RFC 8323
	TLS                  // RFC 8323
)

// String returns "udp", "dtls", "tcp" or "tls".
func (p Protocol) String() string {
	switch p {
	case UDP:
		return "udp"
	case DTLS:
		return "dtls"
	case TCP:
		return "tcp"
	case TLS:
		return "tls"
	}
	return fmt.Sprintf("protocol %d", int(p))
}

var schemes = map[string]Protocol{"coap": UDP, "coaps": DTLS, "coap+tcp": TCP, "coaps+tcp": TLS}

// Scheme returns the scheme of URIs: "coap", "coaps", "coap+tcp" or "coaps+tcp".
func (p Protocol) Scheme() string {
	for scheme, q := range schemes {
		if p == q {
			return scheme
		}
	}
	return p.String()
}

// DefaultPort returns the port that a URI without one means: 5683, or 5684 with
// DTLS and TLS.
func (p Protocol) DefaultPort() uint16 {
	if p.Secure() {
		return 5684
	}
	return 5683
}

// Secure reports whether p is DTLS or TLS.
func (p Protocol) Secure() bool { return p == DTLS || p == TLS }

// Reliable reports whether p is TCP or TLS, where messages do not get lost and are
// not acknowledged.
func (p Protocol) Reliable() bool { return p == TCP || p == TLS }
