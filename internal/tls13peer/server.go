package tls13peer

import (
	"crypto/hmac"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"slices"
)

// A Message is one of a server's, for the extensions that a test adds.
type Message string

// The messages of a server that have extensions. ServerHello12 is the
// ServerHello of TLS 1.2.
const (
	ServerHello         Message = "ServerHello"
	ServerHello12       Message = "TLS 1.2 ServerHello"
	HelloRetryRequest   Message = "HelloRetryRequest"
	EncryptedExtensions Message = "EncryptedExtensions"
	CertificateRequest  Message = "CertificateRequest"
	Certificate         Message = "Certificate"
)

// A ServerScript says what a Server does.
type ServerScript struct {
	Identity *Identity
	// Extra are sent after the extensions that a message needs. Where it has an
	// entry for HelloRetryRequest or CertificateRequest, even an empty one, that
	// message is sent; where it has one for ServerHello12, Handshake ends after
	// that message.
	Extra map[Message]Extensions
	// RequestAlgorithms are the signature algorithms of a CertificateRequest; nil
	// means those of the Identity.
	RequestAlgorithms []uint16
	// RetryGroup is what a HelloRetryRequest asks for, or 0.
	RetryGroup uint16
	// Accept are the tickets to resume with.
	Accept []*Ticket
	// AcceptEarlyData takes early data that come with an accepted ticket.
	// Others are skipped.
	AcceptEarlyData bool
}

// A Server is the server of one connection.
type Server struct {
	Conn
	// Hellos are the client's: the first, and one after a HelloRetryRequest.
	Hellos []*ClientHello
	// Leaf is the first certificate that the client sent, and Certificate are the
	// extensions of each.
	Leaf        []byte
	Certificate []Extensions
	// Resumed is the ticket that was accepted, or nil.
	Resumed *Ticket
	// EarlyDataTaken are the early data that were accepted.
	EarlyDataTaken []byte

	script     ServerScript
	resumption []byte // resumption_master_secret
}

// NewServer returns the server's side of a connection.
func NewServer(conn net.Conn, script ServerScript) *Server {
	s := &Server{Conn: newConn(conn), script: script}
	s.afterHandshake = func(raw []byte) error {
		return fmt.Errorf("tls13peer: a message of type %d after the handshake", raw[0])
	}
	return s
}

// Handshake runs the handshake. The error is an Alert where the client sent
// one, apart from those that come after the client's Finished.
func (s *Server) Handshake() error {
	hello, err := s.readHello()
	if err != nil {
		return err
	}
	if _, ok := s.script.Extra[HelloRetryRequest]; ok || s.script.RetryGroup != 0 {
		if hello, err = s.retry(hello); err != nil {
			return err
		}
	}
	if _, ok := s.script.Extra[ServerHello12]; ok {
		s.queueMessage(s.serverHello(hello, ServerHello12, ECDHEECDSAAES128GCM))
		return s.flush()
	}
	index, err := s.chooseTicket(hello)
	if err != nil {
		return err
	}
	var psk []byte
	if s.Resumed != nil {
		psk = s.Resumed.key
	}
	keys := newSchedule(psk)
	early := newHalf(keys.derive("c e traffic", s.transcript))
	if err := s.answerHello(hello, keys, index); err != nil {
		return err
	}
	clientSecret, serverSecret := keys.derive("c hs traffic",
		s.transcript), keys.derive("s hs traffic", s.transcript)
	s.out = newHalf(serverSecret)
	_, offered := hello.Extensions.body(ExtEarlyData)
	accepted := offered && s.script.AcceptEarlyData && s.Resumed != nil && index == 0
	if err := s.queueFlight(hello, serverSecret, accepted); err != nil {
		return err
	}
	keys.mix(nil)
	clientApp, serverApp := keys.derive("c ap traffic", s.transcript), keys.derive("s ap traffic",
		s.transcript)
	if accepted {
		s.in = early
		if err := s.readEarlyData(); err != nil {
			return err
		}
	}
	s.skipping = offered && !accepted
	s.in = newHalf(clientSecret)
	if err := s.readFinished(clientSecret); err != nil {
		return err
	}
	s.skipping = false
	s.resumption = keys.derive("res master", s.transcript)
	s.in, s.out = newHalf(clientApp), newHalf(serverApp)
	return nil
}

func (s *Server) readHello() (*ClientHello, error) {
	raw, err := s.expect(typeClientHello)
	if err != nil {
		return nil, err
	}
	hello, err := parseClientHello(raw)
	if err != nil {
		return nil, err
	}
	s.Hellos = append(s.Hellos, hello)
	return hello, nil
}

// serverHello returns a ServerHello or HelloRetryRequest.
func (s *Server) serverHello(hello *ClientHello, what Message, suite uint16,
	extensions ...Extension) []byte {
	h := &serverHello{legacyVersion: VersionTLS12, random: make([]byte, 32),
		sessionID: hello.SessionID, cipherSuite: suite}
	rand.Read(h.random)
	if what == HelloRetryRequest {
		h.random = []byte(retryRandom)
	}
	if what != ServerHello12 {
		h.extensions = Extensions{{extSupportedVersions, u16(VersionTLS13)}}
	}
	h.extensions = slices.Concat(h.extensions, extensions, s.script.Extra[what])
	return h.marshal()
}

func (s *Server) retry(hello *ClientHello) (*ClientHello, error) {
	s.restart(hello.Raw)
	var group Extensions
	if s.script.RetryGroup != 0 {
		group = Extensions{{extKeyShare, u16(s.script.RetryGroup)}}
	}
	s.queueMessage(s.serverHello(hello, HelloRetryRequest, AES128GCM, group...))
	_, s.skipping = hello.Extensions.body(ExtEarlyData)
	defer func() { s.skipping = false }()
	return s.readHello()
}

// chooseTicket finds a ticket that the client offers and the script accepts.
func (s *Server) chooseTicket(hello *ClientHello) (index int, err error) {
	body, ok := hello.Extensions.body(ExtPreSharedKey)
	if !ok {
		return 0, nil
	}
	p := parser{rest: body}
	identities := parser{rest: p.vector(2)}
	withBinders := len(p.rest)
	binders := parser{rest: p.vector(2)}
	for ; len(identities.rest) > 0; index++ {
		name, _ := identities.vector(2), identities.uint(4)
		theirs := binders.vector(1)
		for _, ticket := range s.script.Accept {
			if string(ticket.Name) != string(name) {
				continue
			}
			if !hmac.Equal(theirs, binder(ticket.key, s.transcript[:len(s.transcript)-withBinders])) {
				return 0, errors.New("tls13peer: the PSK binder is wrong")
			}
			s.Resumed = ticket
			return index, nil
		}
	}
	return 0, p.done("pre_shared_key")
}

// answerHello queues the ServerHello and mixes the key exchange in.
func (s *Server) answerHello(hello *ClientHello, keys *schedule, index int) error {
	if !slices.Contains(hello.CipherSuites, AES128GCM) {
		return errors.New("tls13peer: the client has no AES-128-GCM")
	}
	group, theirs, err := hello.share(s.script.RetryGroup)
	if err != nil {
		return err
	}
	key, share, err := newKey(group)
	if err != nil {
		return err
	}
	secret, err := exchange(key, theirs)
	if err != nil {
		return err
	}
	extensions := Extensions{{extKeyShare, share}}
	if s.Resumed != nil {
		extensions = append(extensions, Extension{ExtPreSharedKey, u16(uint16(index))})
	}
	s.queueMessage(s.serverHello(hello, ServerHello, AES128GCM, extensions...))
	keys.mix(secret)
	return nil
}

// queueFlight queues what follows the ServerHello.
func (s *Server) queueFlight(hello *ClientHello, secret []byte, earlyData bool) error {
	encrypted := slices.Clone(s.script.Extra[EncryptedExtensions])
	if earlyData {
		encrypted = append(Extensions{{ExtEarlyData, nil}}, encrypted...)
	}
	s.queueMessage(message(typeEncryptedExtensions, encrypted.marshal()))
	if s.Resumed == nil {
		if extra, ok := s.script.Extra[CertificateRequest]; ok {
			algorithms := signatureAlgorithms()
			if s.script.RequestAlgorithms != nil {
				algorithms.Body = vector(2, u16(s.script.RequestAlgorithms...))
			}
			l := append(Extensions{algorithms}, extra...)
			s.queueMessage(message(typeCertificateRequest, vector(1), l.marshal()))
		}
		var entries []byte
		for i, cert := range s.script.Identity.Chain {
			var l Extensions
			if i == 0 {
				l = s.script.Extra[Certificate]
			}
			entries = slices.Concat(entries, vector(3, cert), l.marshal())
		}
		s.queueMessage(message(typeCertificate, vector(1), vector(3, entries)))
		signature, err := s.script.Identity.sign(s.transcript)
		if err != nil {
			return err
		}
		s.queueMessage(message(typeCertificateVerify, u16(ecdsaP256SHA256), vector(2, signature)))
	}
	s.queueMessage(message(typeFinished, finished(secret, s.transcript)))
	return nil
}

func (s *Server) readEarlyData() error {
	for {
		typ, data, err := s.readRecord()
		switch {
		case err != nil:
			return err
		case typ == recordApplicationData:
			s.EarlyDataTaken = append(s.EarlyDataTaken, data...)
		default:
			s.messages = append(s.messages, data...)
			_, err := s.expect(typeEndOfEarlyData)
			return err
		}
	}
}

// readFinished reads up to the client's Finished. A certificate of the client
// is not verified.
func (s *Server) readFinished(secret []byte) error {
	for {
		raw, err := s.readMessage()
		if err != nil {
			return err
		}
		switch raw[0] {
		case typeCertificate:
			if s.Leaf, s.Certificate, err = parseCertificate(raw); err != nil {
				return err
			}
			continue
		case typeCertificateVerify:
			continue
		}
		if raw[0] != typeFinished || !hmac.Equal(raw[4:], finished(secret, s.transcript[:s.before])) {
			return errFinished
		}
		return nil
	}
}

// SendTicket sends a ticket with the Lifetime, Nonce and Extensions of t, and its Name if
// it has one, and completes t.
func (s *Server) SendTicket(t *Ticket) error {
	if len(t.Name) == 0 {
		t.Name = make([]byte, 32)
		rand.Read(t.Name)
	}
	random := make([]byte, 4)
	rand.Read(random)
	p := parser{rest: random}
	t.AgeAdd = uint32(p.uint(4))
	t.derive(s.resumption)
	s.queue(recordHandshake, t.marshal())
	return s.flush()
}
