package coap

import (
	"cmp"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/gnucoap/gnucoap/gnutls"
)

// A Config configures Nodes, and the clients and servers that have one of
// their own. Its zero value is useful: the transmission parameters are those of
// RFC 7252, section 4.8. A Config may be used by any number of Nodes in any
// goroutines. It must not be changed after the first of them.
type Config struct {
	// AckTimeout, AckRandomFactor and MaxRetransmit say when a confirmable
	// message is sent again: first after AckTimeout times a random number from 1
	// to AckRandomFactor, then after twice that time, and so on, MaxRetransmit
	// times in all. Zero means 2 s, 1.5 and 4. AckTimeout is 1 s at least. A client gives up a
	// DTLS handshake if the server stays silent for MaxRetransmit retransmissions, the first
	// after 1 s; otherwise it continues for 247 s.
	AckTimeout      time.Duration
	AckRandomFactor float64
	MaxRetransmit   int
	// NSTART is how many confirmable messages may wait for their acknowledgement
	// in one session; further ones wait for these. Zero means 1.
	NSTART int
	// MTU bounds the size of messages, in bytes, without the headers of IP, UDP
	// and TCP. Zero means 1152 over UDP and DTLS, and what the peer allows over
	// TCP and TLS.
	MTU int
	// MaxMessage is the most bytes that a message may have that is received over TCP and TLS, from 64
	// to 8388864, which is as much as libcoap can take: peers are told (RFC 8323, section 5.3.1). Zero
	// means 8388864. libcoap 4.2.1 cannot change it: others are ErrNotSupported there.
	MaxMessage int
	// IdleTimeout is how long a server keeps a session that nobody uses, in whole
	// seconds, 1 s at least. Zero means 5 minutes. A client over DTLS that was restarted without
	// closing its session, and comes again from the same port, is ignored for so long.
	IdleTimeout time.Duration
	// MaxSessions is how many sessions a server keeps: when it is exceeded, the one goes
	// that was idle longest, over UDP first one whose peer has not proved its address.
	// Those that only observe go when none is idle, and those that are in use stay. Zero
	// means 10000. Of peers over UDP that have not proved their address no more than
	// 1000 idle sessions are kept. It wraps coap_context_set_max_idle_sessions.
	MaxSessions int
	// MaxRequests is how many requests a Node handles at once as a server, and
	// MaxSessionRequests how many of one session: further ones are answered with 5.03
	// and a Max-Age of 5 s (RFC 7252, section 5.9.3.4). Peers over UDP that have not
	// proved their address get no more than three quarters of MaxRequests. Over TCP and
	// TLS requests beyond MaxSessionRequests wait instead: the connection is not read
	// from. Zero means 2000 and 200.
	MaxRequests        int
	MaxSessionRequests int
	// AddressValidation says when peers over UDP must prove that an address is theirs.
	AddressValidation AddressValidation
	// BlockSize is how many bytes of a body one message has that is sent in
	// blocks, and how many a client asks for: a power of 2 from 16 to 1024; others
	// are rounded down. Zero means 1024, which clients do not ask for. Over TCP and
	// TLS bodies go in blocks only where they are larger than the peer's messages
	// may be.
	BlockSize int
	// MaxBody is the most bytes that a body of many blocks may have that is kept
	// in memory: that of a request at a server, and that of a response at a
	// client. Zero means 8 MiB. A server keeps bodies that are not through for 247
	// s, and forgets those that were not used for longest when a Node has
	// more than 8 times MaxBody bytes of them, or 4096.
	MaxBody int

	// MaxObservers is how many observations a Node has as a server: beyond it the
	// address that has most of them loses its oldest, and if that is the one that asks
	// for more, the request is answered without an observation (RFC 7641, section 4.1). Peers
	// over UDP that have not proved their address count as one address. Zero means
	// 10000.
	MaxObservers int
	// ObserverCheck is after what time without a sign of life the server asks whether an
	// observer is there, with a ping (RFC 7641, section 4.5); one that does not answer is
	// forgotten. Those over UDP that have not proved their address are asked after
	// IdleTimeout, which is the least for all. Zero means 4 hours.
	ObserverCheck time.Duration

	// PSK and PKI secure sessions of clients over DTLS and TLS: PSK where it is set,
	// and otherwise PKI, which by default trusts the system's certificate authorities. ServerPSK
	// and PKI secure servers; at least one of them must be set there.
	PSK       PSK
	PKI       PKI
	ServerPSK ServerPSK

	// MinVersion, MaxVersion and Priority say what sessions over DTLS and TLS may have, as in
	// package gnutls: the versions only narrow what the priorities allow, and a MinVersion of
	// zero means TLS 1.2 where Priority is empty. DTLS 1.0 counts as TLS 1.1, and there is no
	// DTLS like TLS 1.3. Priority is a GnuTLS priority string; empty means the system's policy,
	// with what CoAP asks for added (RFC 7252, section 9.1.3): pre-shared keys, AES-128-CCM-8 and
	// raw public keys. They need FeatureCredentials.
	MinVersion, MaxVersion uint16
	Priority               string

	// CriticalOptions are critical options that the program understands, besides those
	// of RFC 7252 and RFC 7959. A message with any other is refused (RFC 7252,
	// section 5.4.1): a request with 4.02, or a reset where it is not confirmable, and
	// a response so that its request fails with ErrOption. Responses of 4.02 are
	// taken with any option. Option 65535 is not supported by libcoap 4.3.5. It wraps
	// coap_register_option.
	CriticalOptions []OptionID

	// What follows makes sessions over DTLS and TLS resume (docs/coap-resumption.md). Where that
	// is not possible, see FeatureSessionResumption, a Node of a Config that asks for it is
	// ErrNotSupported. The fields have the names and meanings of package gnutls.

	// ClientSessionCache, if set, keeps what client sessions need to resume, and hands it
	// to later ones. It may be shared by any number of Nodes and by package gnutls. A
	// Client has one of its own where this is nil. With PSK.ForHint sessions do not resume:
	// the two together are ErrNotSupported.
	ClientSessionCache gnutls.ClientSessionCache
	// TicketRequest, if set, makes client sessions over TLS 1.3 say how many tickets they
	// would like (RFC 9149). Nil leaves it to ClientSessionCache where that is a
	// gnutls.TicketRequester.
	TicketRequest *gnutls.TicketRequest
	// TicketKey encrypts the tickets of a server: servers with the same key, now or after a
	// restart, resume each other's sessions. They must trust the same clients.
	// TicketKeyFile instead takes the keys from a file, and follows its changes. Without
	// both of them a server gives tickets only where SessionTickets is positive, under a
	// random key for each Node.
	TicketKey     *gnutls.TicketKey
	TicketKeyFile *gnutls.TicketKeyFile
	// SessionTickets is the number of tickets that a server sends after a TLS 1.3 handshake
	// to clients that do not say how many they would like; 0 means
	// gnutls.DefaultSessionTickets, and a negative number none. MaxSessionTickets is the
	// most that it sends whatever a client asks for, 1 to 255; 0 means
	// gnutls.DefaultMaxSessionTickets, or SessionTickets where that is more. Over DTLS
	// there is one ticket.
	SessionTickets    int
	MaxSessionTickets int
	// LimitTickets, if set, is called on a server for each client over TLS 1.3 that asks
	// for tickets. It returns how many of TicketRequestInfo.Tickets to send: what is more
	// counts as all, and less than 0 as none. It is called as Node says of callbacks.
	// TicketRequestsIgnored makes a server behave as if it did not know RFC 9149.
	LimitTickets          func(gnutls.TicketRequestInfo) int
	TicketRequestsIgnored bool

	// Leisure bounds the random time that a server waits before it answers a request
	// for a group (RFC 7252, section 8.2). Zero means 5 s.
	Leisure time.Duration

	// MulticastHops is how many hops requests for groups may take, 1 to 255: with 1
	// no router passes them on. Zero means 1. It wraps coap_mcast_set_hops.
	MulticastHops int

	// Logger, if set, gets what no returned error tells, such as the panic of a
	// handler. Keys are never logged.
	Logger *slog.Logger
}

const (
	defaultMaxAge        = time.Minute
	defaultLeisure       = 5 * time.Second
	defaultMaxRetransmit = 4
	minAckTimeout        = time.Second
	defaultAckTimeout    = 2 * time.Second
	defaultIdleTimeout   = 5 * time.Minute
	defaultMaxSessions   = 10000
	defaultMaxBody       = 8 << 20
	defaultMaxObservers  = 10000
	defaultObserverCheck = 4 * time.Hour
	defaultMaxRequests   = 2000
	defaultMaxOfSession  = 200
)

// What libcoap can count to.
const (
	maxSeconds     = math.MaxUint16
	maxRetransmits = 20 // it shifts the timeout by so many bits
	maxNSTART      = math.MaxUint16
	minMTU         = 64
	maxMTU         = math.MaxUint16
	maxIdleTimeout = math.MaxInt32 * time.Second
)

// check names the first field that has a bad value.
func (c *Config) check() error {
	return cmp.Or(c.checkTransmission(), c.checkCounts(), c.checkChoices(), c.checkMaxMessage(),
		c.checkCritical(), c.checkPriority())
}

func badField(field string, value any, want string) error {
	return fmt.Errorf("%s is %v, not %s", "Config."+field, value, want)
}

// checkTransmission checks what libcoap gets, and what it can count to.
func (c *Config) checkTransmission() error {
	switch {
	case c.AckTimeout != 0 && (c.AckTimeout < minAckTimeout || c.AckTimeout > maxSeconds*time.Second):
		return badField("AckTimeout", c.AckTimeout, "0 or from 1 s to 65535 s")
	case c.AckRandomFactor != 0 && !(c.AckRandomFactor >= 1 && c.AckRandomFactor <= math.MaxUint16):
		return badField("AckRandomFactor", c.AckRandomFactor, "0 or from 1 to 65535")
	case c.MaxRetransmit < 0 || c.MaxRetransmit > maxRetransmits:
		return badField("MaxRetransmit", c.MaxRetransmit, "from 0 to 20")
	case c.NSTART < 0 || c.NSTART > maxNSTART:
		return badField("NSTART", c.NSTART, "from 0 to 65535")
	case c.MTU != 0 && (c.MTU < minMTU || c.MTU > maxMTU):
		return badField("MTU", c.MTU, "0 or from 64 to 65535")
	case c.IdleTimeout != 0 && (c.IdleTimeout < time.Second || c.IdleTimeout > maxIdleTimeout):
		return badField("IdleTimeout", c.IdleTimeout, "0 or from 1 s to 2147483647 s")
	}
	return nil
}

// checkCounts checks what only must not be negative.
func (c *Config) checkCounts() error {
	for _, count := range []struct {
		field string
		value int
	}{
		{"MaxSessions", c.MaxSessions},
		{"MaxRequests", c.MaxRequests},
		{"MaxSessionRequests", c.MaxSessionRequests},
		{"BlockSize", c.BlockSize},
		{"MaxBody", c.MaxBody},
		{"MaxObservers", c.MaxObservers},
	} {
		if count.value < 0 {
			return badField(count.field, count.value, "0 or more")
		}
	}
	switch {
	case c.ObserverCheck < 0:
		return badField("ObserverCheck", c.ObserverCheck, "0 or more")
	case c.Leisure < 0:
		return badField("Leisure", c.Leisure, "0 or more")
	}
	return nil
}

func (c *Config) checkChoices() error {
	switch {
	case c.AddressValidation < ValidateWhenLarge || c.AddressValidation > ValidateNever:
		return badField("AddressValidation", int(c.AddressValidation), "one of the constants")
	case c.MulticastHops < 0 || c.MulticastHops > math.MaxUint8:
		return badField("MulticastHops", c.MulticastHops, "from 0 to 255")
	}
	return nil
}

func (c *Config) maxObservers() int { return orDefault(c.MaxObservers, defaultMaxObservers) }

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// mostMessage is the size of the largest message that libcoap takes: COAP_DEFAULT_MAX_PDU_RX_SIZE.
const mostMessage = 8<<20 + 256

// checkMaxMessage finds what is wrong with MaxMessage.
func (c *Config) checkMaxMessage() error {
	switch {
	case c.MaxMessage == 0:
		return nil
	case c.MaxMessage < 64 || c.MaxMessage > mostMessage:
		return badField("MaxMessage", c.MaxMessage, fmt.Sprintf("0 or from 64 to %d", mostMessage))
	}
	return need(FeatureMaxMessage, "MaxMessage", true)
}
