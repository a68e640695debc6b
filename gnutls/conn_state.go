package gnutls

import (
	"crypto/x509"
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A ConnectionState is the result of a handshake. Fields that crypto/tls has too
// have the same names and meanings. The slices and certificates are shared and
// must not be changed.
type ConnectionState struct {
	Version           uint16 // as VersionTLS13
	HandshakeComplete bool
	DidResume         bool   // whether it resumed an earlier session
	CipherSuite       uint16 // number of the cipher suite (IANA), 0 if GnuTLS does not know it
	// CipherSuiteName is GnuTLS's name, such as "TLS_AES_256_GCM_SHA384". Below
	// TLS 1.3 it lacks the WITH of the IANA name.
	CipherSuiteName string
	// Group is the key exchange group, such as "X25519", and empty where there
	// was none. For a resumed TLS 1.2 session it is that of the first.
	Group string

	// ResumeError is why a client that wanted to resume a session did not, as
	// far as the client can know: a *SessionDataError whose Reason is for instance
	// ErrNoSession, ErrSessionExpired or ErrSessionDeclined. It is nil if the
	// session was resumed, and if there was neither a Resume nor a
	// ClientSessionCache.
	ResumeError error
	// TicketRequest is what the client asked for (RFC 9149), or nil.
	// TicketRequestAnswered reports whether the server answered the request, and
	// then ExpectedTickets is the number of tickets that it announced.
	TicketRequest         *TicketRequest
	TicketRequestAnswered bool
	ExpectedTickets       int
	// EarlyDataAccepted reports whether the server accepted early data. EarlyData is
	// the number of bytes: on the server, Read returns them first.
	EarlyDataAccepted bool
	EarlyData         int

	NegotiatedProtocol string // application protocol (ALPN), or empty
	// ServerName is the name of the server: on a client the one that it
	// verified or would verify, on a server the one that the client asked for,
	// or empty.
	ServerName string

	// PeerCertificates is the chain that the peer sent, the leaf first, also
	// when the session was resumed. It is empty where the peer sent none. One that
	// crypto/x509 cannot parse is as Certificate.Leaf says.
	PeerCertificates []*x509.Certificate
	// VerifiedChains holds the chain, from the leaf to a trusted authority,
	// that the verification found. It is nil if the verification failed or did not
	// run.
	VerifiedChains [][]*x509.Certificate
	// VerifyError is why the verification of the peer's certificate failed, if
	// Config.InsecureSkipVerify accepted it nevertheless. It is also set when the
	// session was resumed.
	VerifyError error
	// OCSPResponse is the DER encoded OCSP response that the server stapled,
	// or nil.
	OCSPResponse []byte

	// PSK reports whether an external pre-shared key authenticated the peers,
	// and PSKIdentity its identity.
	PSK         bool
	PSKIdentity string
}

// connectionState makes a ConnectionState of what GnuTLS reports and the Config says.
func (c *Conn) connectionState(st cgnutls.State) (ConnectionState, error) {
	cs, err := connectionState(st)
	if c.client {
		cs.ServerName = c.serverName
		if cs.PSK {
			cs.PSKIdentity = c.config.PSKIdentity
		}
	}
	return cs, err
}

// connectionState makes a ConnectionState of what GnuTLS reports.
func connectionState(st cgnutls.State) (ConnectionState, error) {
	cs := ConnectionState{
		Version:            st.Version,
		DidResume:          st.Resumed,
		CipherSuite:        st.CipherSuite,
		CipherSuiteName:    st.Cipher,
		Group:              st.Group,
		NegotiatedProtocol: st.ALPN,
		ServerName:         st.ServerName,
		OCSPResponse:       st.OCSPResponse,
		PSK:                st.PSK && !(st.Resumed && len(st.PeerChain) > 0),
		PSKIdentity:        string(st.PSKIdentity),
	}
	if st.RawKey {
		return cs, nil
	}
	for i, der := range st.PeerChain {
		cert, err := parseCertificate(der)
		if err != nil {
			return cs, fmt.Errorf("gnutls: certificate %d of the peer: %w", i+1, err)
		}
		cs.PeerCertificates = append(cs.PeerCertificates, cert)
	}
	return cs, nil
}
