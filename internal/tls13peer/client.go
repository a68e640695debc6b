package tls13peer

import (
	"crypto/ecdh"
	"crypto/hmac"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"slices"
)

// A ClientScript says what a Client does. The zero value connects without a
// server name.
type ClientScript struct {
	ServerName string
	// Versions and CipherSuites are what the client claims to have; nil means
	// TLS 1.3 and AES128GCM. Handshake can continue only with those.
	Versions     []uint16
	CipherSuites []uint16
	// Groups of the key exchange; nil means X25519 and P256. The first
	// ClientHello has a key for the first of them.
	Groups []uint16
	// PSKModes are the key exchange modes for tickets; nil means PSKDHE, the only
	// one that the client implements. If it is empty the extension is not sent.
	PSKModes []byte
	// Extra are added to the ClientHello, before pre_shared_key.
	Extra Extensions
	// RetryExtra, if not nil, replaces Extra in a second ClientHello.
	RetryExtra Extensions
	// Ticket, if set, is offered for resumption.
	Ticket *Ticket
	// EarlyData are sent with the first ClientHello. They need a Ticket.
	EarlyData []byte
	// Replay, if set, is a client whose first flight is sent once more, byte
	// by byte; there must have been no HelloRetryRequest. All fields above are
	// taken from it.
	Replay *Client
}

// A Client is the client of one connection.
type Client struct {
	Conn
	// Version is what the server chose.
	Version uint16
	// What came in: HelloRetryRequest is nil where there was none.
	HelloRetryRequest   Extensions
	ServerHello         Extensions
	EncryptedExtensions Extensions
	CertificateRequest  Extensions
	Certificate         []Extensions // of each certificate
	// Resumed and EarlyDataAccepted tell whether the server took the ticket
	// and the early data.
	Resumed           bool
	EarlyDataAccepted bool
	// Tickets are those that came so far; Read takes them in.
	Tickets []*Ticket

	script     ClientScript
	flight     []byte       // the first
	hello      *ClientHello // the last
	key        *ecdh.PrivateKey
	certified  bool // a certificate was asked for
	verified   bool // the server has the key of its certificate
	resumption []byte
}

// NewClient returns the client's side of a connection.
func NewClient(conn net.Conn, script ClientScript) *Client {
	if script.Replay != nil {
		replay := script.Replay
		script = replay.script
		script.Replay = replay
	}
	if script.Versions == nil {
		script.Versions = []uint16{VersionTLS13}
	}
	if script.CipherSuites == nil {
		script.CipherSuites = []uint16{AES128GCM}
	}
	if script.Groups == nil {
		script.Groups = []uint16{X25519, P256}
	}
	if script.PSKModes == nil {
		script.PSKModes = []byte{PSKDHE}
	}
	c := &Client{Conn: newConn(conn), script: script}
	c.afterHandshake = c.takeTicket
	return c
}

// Handshake runs the handshake. The error is an Alert where the server sent
// one before its Finished. A version other than TLS 1.3 is an error too; Version
// and ServerHello are set by then.
func (c *Client) Handshake() error {
	if err := c.sendHello(); err != nil {
		return err
	}
	server, err := c.readServerHello()
	if err == nil && server.retry() {
		c.HelloRetryRequest = server.extensions
		if err = c.sendSecondHello(server); err != nil {
			return err
		}
		server, err = c.readServerHello()
	}
	if err != nil {
		return err
	}
	c.Version, c.ServerHello = server.version(), server.extensions
	if c.Version != VersionTLS13 || server.cipherSuite != AES128GCM {
		return fmt.Errorf("tls13peer: the server chose version %#x and cipher suite %#x", c.Version,
			server.cipherSuite)
	}
	keys, err := c.agree(server)
	if err != nil {
		return err
	}
	clientSecret, serverSecret := keys.derive("c hs traffic",
		c.transcript), keys.derive("s hs traffic", c.transcript)
	c.in = newHalf(serverSecret)
	if err := c.readFlight(serverSecret); err != nil {
		return err
	}
	keys.mix(nil)
	clientApp, serverApp := keys.derive("c ap traffic", c.transcript), keys.derive("s ap traffic",
		c.transcript)
	if c.EarlyDataAccepted {
		c.queueMessage(message(typeEndOfEarlyData))
	}
	c.out = newHalf(clientSecret)
	if c.certified {
		c.queueMessage(message(typeCertificate, vector(1), vector(3)))
	}
	c.queueMessage(message(typeFinished, finished(clientSecret, c.transcript)))
	c.resumption = keys.derive("res master", c.transcript)
	c.in, c.out = newHalf(serverApp), newHalf(clientApp)
	return c.flush()
}

func signatureAlgorithms() Extension {
	return Extension{extSignatureAlgorithms, vector(2, u16(ecdsaP256SHA256))}
}

// makeHello makes a ClientHello with a new key. Its binder is of zeros.
func (c *Client) makeHello(group uint16, extra Extensions) error {
	key, share, err := newKey(group)
	if err != nil {
		return err
	}
	c.key = key
	h := &ClientHello{Random: make([]byte, 32), CipherSuites: c.script.CipherSuites}
	rand.Read(h.Random)
	if c.hello != nil {
		h.Random = c.hello.Random
	}
	if c.script.ServerName != "" {
		name := vector(2, []byte{0}, vector(2, []byte(c.script.ServerName)))
		h.Extensions = Extensions{{extServerName, name}}
	}
	h.Extensions = append(h.Extensions,
		Extension{extSupportedVersions, vector(1, u16(c.script.Versions...))},
		Extension{extSupportedGroups, vector(2, u16(c.script.Groups...))},
		signatureAlgorithms(),
		Extension{extKeyShare, vector(2, share)},
	)
	if len(c.script.PSKModes) > 0 {
		h.Extensions = append(h.Extensions, Extension{extPSKModes, vector(1, c.script.PSKModes)})
	}
	h.Extensions = append(h.Extensions, extra...)
	if c.script.Ticket != nil {
		h.Extensions = append(h.Extensions, c.script.Ticket.offer())
	}
	h.Raw = h.marshal()
	if c.script.Ticket != nil {
		const binders = 2 + 1 + binderSize
		end := len(h.Raw) - binders
		sum := binder(c.script.Ticket.key, slices.Concat(c.transcript, h.Raw[:end]))
		copy(h.Raw[len(h.Raw)-binderSize:], sum)
	}
	c.hello = h
	return nil
}

// sendHello sends the first flight.
func (c *Client) sendHello() error {
	if old := c.script.Replay; old != nil {
		c.hello, c.key, c.flight = old.hello, old.key, old.flight
		c.transcript = slices.Clone(old.hello.Raw)
		if len(c.script.EarlyData) > 0 {
			c.out = c.earlyKey()
			c.queue(recordApplicationData, c.script.EarlyData)
		}
		c.queued = slices.Clone(c.flight)
		return c.flush()
	}
	extra := slices.Clone(c.script.Extra)
	early := len(c.script.EarlyData) > 0
	if early {
		extra = append(extra, Extension{ExtEarlyData, nil})
	}
	if err := c.makeHello(c.script.Groups[0], extra); err != nil {
		return err
	}
	c.queueMessage(c.hello.Raw)
	if early {
		c.out = c.earlyKey()
		c.queue(recordApplicationData, c.script.EarlyData)
	}
	c.flight = slices.Clone(c.queued)
	return c.flush()
}

func (c *Client) earlyKey() *half {
	return newHalf(newSchedule(c.script.Ticket.key).derive("c e traffic", c.transcript))
}

// sendSecondHello answers a HelloRetryRequest.
func (c *Client) sendSecondHello(retry *serverHello) error {
	asked := c.transcript[c.before:]
	c.restart(c.hello.Raw)
	c.transcript = append(c.transcript, asked...)
	extra := slices.Clone(c.script.Extra)
	if c.script.RetryExtra != nil {
		extra = slices.Clone(c.script.RetryExtra)
	}
	if cookie, ok := retry.extensions.body(ExtCookie); ok {
		extra = append(extra, Extension{ExtCookie, cookie})
	}
	group := c.script.Groups[0]
	if body, ok := retry.extensions.body(extKeyShare); ok && len(body) == 2 {
		group = binary.BigEndian.Uint16(body)
	}
	if err := c.makeHello(group, extra); err != nil {
		return err
	}
	c.out = nil // after early data
	c.queueMessage(c.hello.Raw)
	return c.flush()
}

func (c *Client) readServerHello() (*serverHello, error) {
	raw, err := c.expect(typeServerHello)
	if err != nil {
		return nil, err
	}
	return parseServerHello(raw)
}

// agree does the key exchange.
func (c *Client) agree(server *serverHello) (*schedule, error) {
	var psk []byte
	if _, c.Resumed = server.extensions.body(ExtPreSharedKey); c.Resumed {
		if c.script.Ticket == nil {
			return nil, errors.New("tls13peer: the server resumes what was not offered")
		}
		psk = c.script.Ticket.key
	}
	body, _ := server.extensions.body(extKeyShare)
	p := parser{rest: body}
	p.uint(2)
	theirs := p.vector(2)
	if err := p.done("key_share"); err != nil {
		return nil, err
	}
	secret, err := exchange(c.key, theirs)
	if err != nil {
		return nil, err
	}
	keys := newSchedule(psk)
	keys.mix(secret)
	return keys, nil
}

// readFlight reads from EncryptedExtensions to Finished.
func (c *Client) readFlight(secret []byte) error {
	var leaf []byte
	for {
		raw, err := c.readMessage()
		if err != nil {
			return err
		}
		before := c.transcript[:c.before]
		p := parser{rest: raw[4:]}
		switch raw[0] {
		case typeEncryptedExtensions:
			c.EncryptedExtensions = p.extensions()
			_, c.EarlyDataAccepted = c.EncryptedExtensions.body(ExtEarlyData)
		case typeCertificateRequest:
			c.certified = true
			p.vector(1)
			c.CertificateRequest = p.extensions()
		case typeCertificate:
			if leaf, c.Certificate, err = parseCertificate(raw); err != nil {
				return err
			}
			continue
		case typeCertificateVerify:
			p.uint(2)
			if err := verifySignature(leaf, before, p.vector(2)); err != nil {
				return err
			}
			c.verified = true
		case typeFinished:
			if !hmac.Equal(p.bytes(32), finished(secret, before)) || !c.Resumed && !c.verified {
				return errFinished
			}
			return p.done("Finished")
		default:
			return fmt.Errorf("tls13peer: a message of type %d in the server's flight", raw[0])
		}
		if err := p.done("message of the server"); err != nil {
			return err
		}
	}
}

// takeTicket handles a message after the handshake.
func (c *Client) takeTicket(raw []byte) error {
	if raw[0] != typeNewSessionTicket {
		return fmt.Errorf("tls13peer: a message of type %d after the handshake", raw[0])
	}
	t, err := parseTicket(raw)
	if err != nil {
		return err
	}
	t.derive(c.resumption)
	c.Tickets = append(c.Tickets, t)
	return nil
}
