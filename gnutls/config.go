package gnutls

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// ClientAuthType says what a server asks of its clients' certificates. The
// values are those of crypto/tls.
type ClientAuthType int

const (
	// NoClientCert asks for no certificate. It is the default.
	NoClientCert ClientAuthType = iota
	// RequestClientCert asks for a certificate; none is needed and none is
	// verified.
	RequestClientCert
	// RequireAnyClientCert needs a certificate and does not verify it.
	RequireAnyClientCert
	// VerifyClientCertIfGiven asks for a certificate and verifies it where the
	// client sends one.
	VerifyClientCertIfGiven
	// RequireAndVerifyClientCert needs a certificate that ClientCAs verify.
	RequireAndVerifyClientCert
)

func (t ClientAuthType) verifies() bool { return t >= VerifyClientCertIfGiven }

func (t ClientAuthType) requires() bool {
	return t == RequireAnyClientCert || t == RequireAndVerifyClientCert
}

// DefaultSessionTickets is the number of tickets that a server sends after a
// TLS 1.3 handshake where Config.SessionTickets is zero.
const DefaultSessionTickets = 2

// DefaultMaxSessionTickets is the most tickets that a server sends at once
// where Config.MaxSessionTickets is zero.
const DefaultMaxSessionTickets = 16

// A Config configures clients and servers. Its zero value is a safe client:
// it trusts the system's certificate authorities, verifies the server's name
// and speaks TLS 1.2 and 1.3 with the system's GnuTLS priorities. Fields have
// the names and meanings of crypto/tls where that package has them.
//
// A Config may be used by any number of connections in any goroutines. It
// must not be changed after the first of them; Clone makes a copy that may be.
type Config struct {
	// Certificates are the key pairs to present. A server picks the one whose
	// names match what the client asks for, and otherwise the first that suits
	// the client; a client picks the first whose chain names an issuer that the
	// server lists, if it lists any, and whose key signs as the server asks, and
	// sends none where there is no such pair. Under TLS 1.3 a client learns with
	// its first Read that the server does not accept its certificate.
	Certificates []Certificate

	// RootCAs are the authorities that a client trusts; nil means the system's.
	RootCAs *CertPool
	// ServerName is the name that a client verifies the server's certificate
	// against and that it sends (SNI) unless it is an IP address. Dial and
	// Dialer take it from the address where it is empty.
	ServerName string
	// InsecureSkipVerify makes a client accept any certificate, also one whose key
	// usage is wrong for the cipher suite, which no VerifyError tells. What the
	// verification would have said is in ConnectionState.VerifyError. For
	// tests and diagnosis only.
	InsecureSkipVerify bool

	// ClientAuth says what a server asks of its clients' certificates.
	ClientAuth ClientAuthType
	// ClientCAs are the authorities that a server verifies its clients with.
	// It is needed where ClientAuth verifies.
	ClientCAs *CertPool

	// VerifyConnection, if set, is called once in every handshake, also a
	// resumed one, after the checks that this Config asks for. Its error fails
	// the handshake; the peer gets the Alert that the error wraps, and otherwise
	// bad_certificate. It runs on the goroutine of the handshake, outside C. Keying
	// material is not there yet, and under TLS 1.2 neither are the group and, on a
	// server, the cipher suite.
	VerifyConnection func(ConnectionState) error

	// NextProtos are the application protocols (ALPN), the preferred first.
	// Where both sides name some and share none, the handshake fails. GnuTLS
	// takes at most 8, of at most 31 bytes each.
	NextProtos []string

	// MinVersion and MaxVersion bound the version, as VersionTLS12 and so on.
	// They only ever narrow what the priorities allow. A MinVersion of zero
	// means TLS 1.2 where Priority is empty, and otherwise no bound.
	MinVersion, MaxVersion uint16
	// Priority is a GnuTLS priority string, such as "SECURE192" or
	// "NORMAL:-CIPHER-ALL:+AES-256-GCM". Empty means the system's policy, with
	// ECDHE-PSK and DHE-PSK added where a pre-shared key is configured.
	// See https://gnutls.org/manual/html_node/Priority-Strings.html.
	Priority string

	// PSKIdentity and PSKKey are a client's external pre-shared key (RFC 4279,
	// RFC 8446 section 2.2). A server that does not take it up must present a
	// certificate, which is verified as ever; under TLS 1.2 a GnuTLS server that
	// has certificates prefers them.
	PSKIdentity string
	PSKKey      []byte
	// GetPSK, if set, makes a server accept pre-shared keys: it returns the key
	// of an identity, or nil where there is none, which fails the handshake. A
	// client that uses one needs no certificate, whatever ClientAuth says. GetPSK
	// is called from inside the handshake, which waits for it, and must not use the
	// connection apart from Close. ctx is that of HandshakeContext.
	GetPSK func(ctx context.Context, identity string) ([]byte, error)

	// ClientSessionCache, if set, keeps what a client needs to resume, and
	// hands it to its later connections. See NewClientSessionCache.
	ClientSessionCache ClientSessionCache
	// OnSessionTicket, if set, is called for every ticket that a client
	// receives, in order, under TLS 1.3 from the calls of Read and SessionData
	// that find them, and under TLS 1.2 from the handshake. Of more than 255 that
	// wait for it the oldest are dropped. It runs outside C and holds no lock: it
	// may use the connection.
	OnSessionTicket func(*Conn, *SessionData)
	// TicketRequest, if set, makes a client say how many TLS 1.3 tickets it would
	// like (RFC 9149). Nil leaves it to ClientSessionCache where that is a
	// TicketRequester; otherwise the server gets no request and sends as many as
	// it likes.
	TicketRequest *TicketRequest
	// FalseStart lets a TLS 1.2 client send data before the server's last
	// handshake message has come (RFC 7918).
	FalseStart bool

	// SessionTicketsDisabled turns session tickets off on both sides.
	SessionTicketsDisabled bool
	// SessionTickets is the number of tickets that a server sends after a TLS
	// 1.3 handshake to clients that do not say how many they would like; 0 means
	// DefaultSessionTickets, and a negative number none.
	SessionTickets int
	// MaxSessionTickets is the most tickets that a server sends at once, after
	// the handshake and with each SendTickets, 1 to 255, whatever a client asks for
	// (RFC 9149 section 3). 0 means DefaultMaxSessionTickets, or SessionTickets
	// where that is more.
	MaxSessionTickets int
	// LimitTickets, if set, is called on a server for each client that asks for
	// tickets. It returns how many of TicketRequestInfo.Tickets to send: what is
	// more counts as all, and less than 0 as none. It is called from inside the
	// handshake, which waits for it, and must not use the connection apart from
	// Close.
	LimitTickets func(TicketRequestInfo) int
	// TicketRequestsIgnored makes a server behave as if it did not know RFC
	// 9149.
	TicketRequestsIgnored bool
	// MaxEarlyData is how many bytes of early data (0-RTT) a server accepts from
	// a client that resumes, at most 65536; 0 means none. Early data can be
	// replayed within limits, see docs/resumption.md for what they may be used
	// for. GnuTLS's tickets do not tell which application protocol they are for,
	// so NextProtos may hold one at most. A server with GnuTLS 3.7.1 accepts none.
	MaxEarlyData int
	// AntiReplay keeps a server from accepting the same early data twice. Nil
	// means one in memory for this Config; servers that share a TicketKey must
	// share one.
	AntiReplay AntiReplay
	// TicketKey encrypts a server's tickets. Servers with the same key resume
	// each other's sessions. Nil means a random one for this Config.
	TicketKey *TicketKey
	// TicketKeyFile, instead of TicketKey, takes the keys of a server's tickets
	// from a file that replicas share, and follows its changes.
	TicketKeyFile *TicketKeyFile
	// SessionStore keeps a server's TLS 1.2 sessions for clients that resume
	// by session ID. Nil means a store in memory for this Config that holds the
	// last 1024.
	SessionStore SessionStore

	// MaxCallbacks bounds how many handshakes may be inside GetPSK, SessionStore,
	// LimitTickets, AntiReplay and the Sign of a crypto.Signer at once, on each side;
	// 0 means DefaultMaxCallbacks. GnuTLS calls them, and each that waits holds a
	// thread. Other handshakes wait for their turn with their context, their deadline
	// and Close; those that call none of them do not wait. A Clone has turns of its own.
	MaxCallbacks int

	// AllowTruncation makes Read return io.EOF where the peer ends the
	// connection between two records and without close_notify, in place of an
	// error that matches io.ErrUnexpectedEOF. It is for peers that never send one.
	// Whoever can end the TCP connection can then cut data off unnoticed: use it
	// only with protocols that tell by themselves where their messages end.
	AllowTruncation bool

	// KeyLogWriter, if set, gets the secrets of every connection in the NSS key
	// log format, for tools such as Wireshark. It gives up all security.
	KeyLogWriter io.Writer
	// Logger, if set, gets what happens to connections that no returned error
	// tells, and each handshake of a server that fails, with the reason and the
	// peer, because net/http drops that error: as a warning, and for debugging
	// where the peer left without a word. Keys and tickets are never logged.
	Logger *slog.Logger

	mu     sync.Mutex // guards what follows
	client *native
	server *native
}

// Clone returns a copy of c that may be changed and shares no state with c.
// A nil c gives a nil Config.
func (c *Config) Clone() *Config {
	if c == nil {
		return nil
	}
	return &Config{
		Certificates:           c.Certificates,
		RootCAs:                c.RootCAs,
		ServerName:             c.ServerName,
		InsecureSkipVerify:     c.InsecureSkipVerify,
		ClientAuth:             c.ClientAuth,
		ClientCAs:              c.ClientCAs,
		VerifyConnection:       c.VerifyConnection,
		NextProtos:             c.NextProtos,
		MinVersion:             c.MinVersion,
		MaxVersion:             c.MaxVersion,
		Priority:               c.Priority,
		PSKIdentity:            c.PSKIdentity,
		PSKKey:                 c.PSKKey,
		GetPSK:                 c.GetPSK,
		ClientSessionCache:     c.ClientSessionCache,
		OnSessionTicket:        c.OnSessionTicket,
		TicketRequest:          c.TicketRequest,
		FalseStart:             c.FalseStart,
		SessionTicketsDisabled: c.SessionTicketsDisabled,
		SessionTickets:         c.SessionTickets,
		MaxSessionTickets:      c.MaxSessionTickets,
		LimitTickets:           c.LimitTickets,
		TicketRequestsIgnored:  c.TicketRequestsIgnored,
		MaxEarlyData:           c.MaxEarlyData,
		AntiReplay:             c.AntiReplay,
		TicketKey:              c.TicketKey,
		TicketKeyFile:          c.TicketKeyFile,
		SessionStore:           c.SessionStore,
		MaxCallbacks:           c.MaxCallbacks,
		AllowTruncation:        c.AllowTruncation,
		KeyLogWriter:           c.KeyLogWriter,
		Logger:                 c.Logger,
	}
}
