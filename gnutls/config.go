package gnutls

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// ClientAuthType is a server's policy for certificates of clients. The values
// are those of crypto/tls.
type ClientAuthType int

const (
	// NoClientCert does not request a certificate. It is the default.
	NoClientCert ClientAuthType = iota
	// RequestClientCert requests a certificate; the client need not send one, and
	// it is not verified.
	RequestClientCert
	// RequireAnyClientCert requires a certificate and does not verify it.
	RequireAnyClientCert
	// VerifyClientCertIfGiven requests a certificate and verifies it if the
	// client sends one.
	VerifyClientCertIfGiven
	// RequireAndVerifyClientCert requires a certificate that is verified with
	// ClientCAs.
	RequireAndVerifyClientCert
)

func (t ClientAuthType) verifies() bool { return t >= VerifyClientCertIfGiven }

func (t ClientAuthType) requires() bool {
	return t == RequireAnyClientCert || t == RequireAndVerifyClientCert
}

// DefaultSessionTickets is the number of tickets that a server sends after a
// TLS 1.3 handshake if Config.SessionTickets is zero.
const DefaultSessionTickets = 2

// DefaultMaxSessionTickets is the most tickets that a server sends at once
// if Config.MaxSessionTickets is zero.
const DefaultMaxSessionTickets = 16

// A Config configures clients and servers. Its zero value is a safe client:
// it trusts the system's certificate authorities, verifies the server's name
// and speaks TLS 1.2 and 1.3 with the system's GnuTLS priorities. Fields that
// crypto/tls has too have the same names and meanings.
//
// A Config may be used by any number of connections in any goroutines. It
// must not be changed after the first of them; a copy made by Clone may be.
type Config struct {
	// Certificates are the key pairs to present. A server picks the one whose
	// names match the name that the client asks for, and otherwise the first that
	// suits the client. A client picks the first whose chain has an issuer that the
	// server lists, if it lists any, and whose key can sign as the server asks, and
	// sends no certificate if there is no such pair. Under TLS 1.3 the first Read of
	// a client fails if the server does not accept its certificate.
	Certificates []Certificate

	// RootCAs are the authorities that a client trusts; nil means the system's.
	RootCAs *CertPool
	// ServerName is the name that a client verifies the server's certificate
	// against and that it sends (SNI) unless it is an IP address. If it is empty,
	// Dial and Dialer take it from the address.
	ServerName string
	// InsecureSkipVerify makes a client accept any certificate. The error that the
	// verification would have given is in ConnectionState.VerifyError, except that a
	// key usage which is wrong for the cipher suite is not reported. For tests and
	// diagnosis only.
	InsecureSkipVerify bool

	// ClientAuth is a server's policy for certificates of clients.
	ClientAuth ClientAuthType
	// ClientCAs are the authorities that a server verifies its clients with.
	// They are required if ClientAuth verifies certificates.
	ClientCAs *CertPool

	// VerifyConnection, if set, is called once in every handshake, including
	// resumed ones, after the checks that this Config asks for. Its error fails
	// the handshake; the peer gets the Alert that the error wraps, or
	// bad_certificate. It runs on the goroutine of the handshake, outside C. Keying
	// material is not available yet, and under TLS 1.2 neither are the group and, on
	// a server, the cipher suite.
	VerifyConnection func(ConnectionState) error

	// NextProtos are the application protocols (ALPN), in order of preference.
	// The handshake fails if both sides name some and have none in common. GnuTLS
	// takes at most 8, of at most 31 bytes each.
	NextProtos []string

	// MinVersion and MaxVersion bound the version, as VersionTLS12 and so on.
	// They only narrow what the priorities allow. A MinVersion of zero
	// means TLS 1.2 if Priority is empty, and no bound otherwise.
	MinVersion, MaxVersion uint16
	// Priority is a GnuTLS priority string, such as "SECURE192" or
	// "NORMAL:-CIPHER-ALL:+AES-256-GCM". Empty means the system's policy, with
	// ECDHE-PSK and DHE-PSK added if a pre-shared key is configured.
	// See https://gnutls.org/manual/html_node/Priority-Strings.html.
	Priority string

	// PSKIdentity and PSKKey are a client's external pre-shared key (RFC 4279,
	// RFC 8446 section 2.2). A server that does not use it must present a
	// certificate, which is verified as usual; under TLS 1.2 a GnuTLS server that
	// has certificates prefers them.
	PSKIdentity string
	PSKKey      []byte
	// GetPSK, if set, makes a server accept pre-shared keys: it returns the key
	// of an identity, or nil if there is none, which fails the handshake. A
	// client that uses one needs no certificate, whatever ClientAuth says. GetPSK
	// is called from inside the handshake, which waits for it, and must not use the
	// connection except to Close it. ctx is that of HandshakeContext.
	GetPSK func(ctx context.Context, identity string) ([]byte, error)

	// ClientSessionCache, if set, keeps the session data of a client for its
	// later connections to resume with. See NewClientSessionCache.
	ClientSessionCache ClientSessionCache
	// OnSessionTicket, if set, is called for every ticket that a client
	// receives, in order: under TLS 1.3 from the calls of Read and SessionData
	// that receive them, and under TLS 1.2 from the handshake. If more than 255 are
	// waiting, the oldest are dropped. It runs outside C with no lock held, and may
	// use the connection.
	OnSessionTicket func(*Conn, *SessionData)
	// TicketRequest, if set, makes a client ask for a number of TLS 1.3 tickets
	// (RFC 9149). Nil leaves the number to ClientSessionCache if that is a
	// TicketRequester; otherwise the server gets no request and sends as many as
	// it likes.
	TicketRequest *TicketRequest
	// FalseStart lets a TLS 1.2 client send data before the server's last
	// handshake message has come (RFC 7918).
	FalseStart bool

	// SessionTicketsDisabled turns session tickets off, on clients and servers.
	SessionTicketsDisabled bool
	// SessionTickets is the number of tickets that a server sends after a TLS
	// 1.3 handshake to clients that do not ask for a number; 0 means
	// DefaultSessionTickets, and a negative number means none.
	SessionTickets int
	// MaxSessionTickets is the most tickets that a server sends at once, after
	// the handshake and with each SendTickets, 1 to 255, whatever a client asks for
	// (RFC 9149 section 3). 0 means DefaultMaxSessionTickets, or SessionTickets
	// if that is more.
	MaxSessionTickets int
	// LimitTickets, if set, is called on a server for each client that asks for
	// a number of tickets. It returns how many of TicketRequestInfo.Tickets to send;
	// more counts as all of them, and a negative number as none. It is called from
	// inside the handshake, which waits for it, and must not use the connection
	// except to Close it.
	LimitTickets func(TicketRequestInfo) int
	// TicketRequestsIgnored makes a server ignore RFC 9149.
	TicketRequestsIgnored bool
	// MaxEarlyData is how many bytes of early data (0-RTT) a server accepts from
	// a client that resumes, at most 65536; 0 means none. Early data can be
	// replayed within limits: docs/resumption.md says what they may be used for.
	// GnuTLS's tickets do not contain the application protocol, so NextProtos may
	// have one entry at most. A server with GnuTLS 3.7.1 accepts no early data.
	MaxEarlyData int
	// AntiReplay keeps a server from accepting the same early data twice. Nil
	// means one in memory for this Config. Servers that share a TicketKey must
	// share an AntiReplay.
	AntiReplay AntiReplay
	// TicketKey encrypts a server's tickets. Servers with the same key resume
	// each other's sessions. Nil means a random one for this Config.
	TicketKey *TicketKey
	// TicketKeyFile is used instead of TicketKey to take the keys from a file that
	// replicas share, and to reload them when it changes.
	TicketKeyFile *TicketKeyFile
	// SessionStore keeps a server's TLS 1.2 sessions for clients that resume
	// by session ID. Nil means a store in memory for this Config that keeps the
	// last 1024.
	SessionStore SessionStore

	// MaxCallbacks bounds how many handshakes of clients, and how many of servers, may
	// be inside GetPSK, SessionStore, LimitTickets, AntiReplay and the Sign of a
	// crypto.Signer at once; 0 means DefaultMaxCallbacks. GnuTLS calls these functions,
	// and each call that blocks occupies a thread. Further handshakes wait for their
	// turn, until their context ends, their deadline passes or they are closed.
	// Handshakes that call none of these functions do not wait. A Clone has turns of
	// its own.
	MaxCallbacks int

	// AllowTruncation makes Read return io.EOF if the peer ends the
	// connection between two records and without close_notify, instead of an
	// error that matches io.ErrUnexpectedEOF. It is for peers that never send
	// close_notify. An attacker who ends the TCP connection can then truncate data
	// unnoticed: use it only with protocols whose messages carry their own length.
	AllowTruncation bool

	// KeyLogWriter, if set, gets the secrets of every connection in the NSS key
	// log format, for tools such as Wireshark. Whoever reads them can decrypt the
	// connections.
	KeyLogWriter io.Writer
	// Logger, if set, gets events that no returned error reports, and every failed
	// handshake of a server with its reason and peer, because net/http drops that
	// error: at level Warn, or at level Debug if the peer left without sending
	// anything. Keys and tickets are never logged.
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
