package tls13peer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Extension types that tests name.
const (
	ExtPreSharedKey  uint16 = 41
	ExtEarlyData     uint16 = 42
	ExtCookie        uint16 = 44
	ExtTicketRequest uint16 = 58
)

const (
	extServerName          uint16 = 0
	extSupportedGroups     uint16 = 10
	extSignatureAlgorithms uint16 = 13
	extSupportedVersions   uint16 = 43
	extPSKModes            uint16 = 45
	extKeyShare            uint16 = 51
)

// Handshake message types.
const (
	typeClientHello         byte = 1
	typeServerHello         byte = 2
	typeNewSessionTicket    byte = 4
	typeEndOfEarlyData      byte = 5
	typeEncryptedExtensions byte = 8
	typeCertificate         byte = 11
	typeCertificateRequest  byte = 13
	typeCertificateVerify   byte = 15
	typeFinished            byte = 20
	typeMessageHash         byte = 254
)

// Versions, and cipher suites. The peers speak TLS 1.3 with AES128GCM; the
// others are for what a ClientHello or ServerHello offers.
const (
	VersionTLS12 uint16 = 0x0303
	VersionTLS13 uint16 = 0x0304

	AES128GCM           uint16 = 0x1301 // TLS_AES_128_GCM_SHA256
	ECDHEECDSAAES128GCM uint16 = 0xc02b // of TLS 1.2
)

// Key exchange modes for tickets (RFC 8446 section 4.2.9).
const (
	PSKOnly byte = 0
	PSKDHE  byte = 1
)

const ecdsaP256SHA256 uint16 = 0x0403

// An Extension is one as it stands on the wire.
type Extension struct {
	Type uint16
	Body []byte
}

// Extensions are those of a message, in order.
type Extensions []Extension

// Bodies returns the bodies of all extensions of a type.
func (l Extensions) Bodies(typ uint16) [][]byte {
	var bodies [][]byte
	for _, e := range l {
		if e.Type == typ {
			bodies = append(bodies, e.Body)
		}
	}
	return bodies
}

// body returns the body of the first extension of a type.
func (l Extensions) body(typ uint16) (body []byte, ok bool) {
	if bodies := l.Bodies(typ); len(bodies) > 0 {
		return bodies[0], true
	}
	return nil, false
}

func (l Extensions) marshal() []byte {
	var list []byte
	for _, e := range l {
		list = append(list, u16(e.Type)...)
		list = append(list, vector(2, e.Body)...)
	}
	return vector(2, list)
}

// vector returns parts behind their length, which takes prefix bytes.
func vector(prefix int, parts ...[]byte) []byte {
	out := make([]byte, prefix)
	for _, part := range parts {
		out = append(out, part...)
	}
	n := len(out) - prefix
	for i := prefix - 1; i >= 0; i-- {
		out[i] = byte(n)
		n >>= 8
	}
	return out
}

func u16(values ...uint16) []byte {
	var out []byte
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

func u32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// message returns a handshake message.
func message(typ byte, parts ...[]byte) []byte {
	return append([]byte{typ}, vector(3, parts...)...)
}

// A parser takes a message apart. After a step that finds too little all
// others find nothing.
type parser struct {
	rest   []byte
	failed bool
}

func (p *parser) bytes(n int) []byte {
	if len(p.rest) < n {
		p.rest, p.failed = nil, true
		return make([]byte, n)
	}
	out := p.rest[:n]
	p.rest = p.rest[n:]
	return out
}

func (p *parser) uint(n int) (v int) {
	for _, b := range p.bytes(n) {
		v = v<<8 | int(b)
	}
	return v
}

func (p *parser) vector(prefix int) []byte {
	n := p.uint(prefix)
	if p.failed {
		return nil
	}
	return p.bytes(n)
}

func (p *parser) u16s(prefix int) (values []uint16) {
	list := parser{rest: p.vector(prefix)}
	for len(list.rest) > 0 {
		values = append(values, uint16(list.uint(2)))
	}
	return values
}

func (p *parser) extensions() (l Extensions) {
	list := parser{rest: p.vector(2)}
	for len(list.rest) > 0 {
		l = append(l, Extension{Type: uint16(list.uint(2)), Body: list.vector(2)})
	}
	p.failed = p.failed || list.failed
	return l
}

// done returns an error where the message was not just as long as was read.
func (p *parser) done(what string) error {
	if p.failed || len(p.rest) > 0 {
		return fmt.Errorf("tls13peer: malformed %s", what)
	}
	return nil
}

// A ClientHello is the first message of a client.
type ClientHello struct {
	Raw          []byte // with its header of 4 bytes
	Random       []byte
	SessionID    []byte
	CipherSuites []uint16
	Extensions   Extensions
}

func parseClientHello(raw []byte) (*ClientHello, error) {
	p := parser{rest: raw[4:]}
	p.uint(2)
	h := &ClientHello{
		Raw:          raw,
		Random:       p.bytes(32),
		SessionID:    p.vector(1),
		CipherSuites: p.u16s(2),
	}
	p.vector(1)
	h.Extensions = p.extensions()
	return h, p.done("ClientHello")
}

func (h *ClientHello) marshal() []byte {
	return message(typeClientHello, u16(VersionTLS12), h.Random, vector(1, h.SessionID),
		vector(2, u16(h.CipherSuites...)), vector(1, []byte{0}), h.Extensions.marshal())
}

// share returns the client's key of a group, or for group 0 the first that
// this package knows.
func (h *ClientHello) share(group uint16) (uint16, []byte, error) {
	body, _ := h.Extensions.body(extKeyShare)
	p := parser{rest: body}
	list := parser{rest: p.vector(2)}
	for len(list.rest) > 0 {
		found, key := uint16(list.uint(2)), list.vector(2)
		if found == group || group == 0 && curves[found] != nil {
			return found, key, nil
		}
	}
	return 0, nil, fmt.Errorf("tls13peer: the client sent no key share for group %d", group)
}

// A serverHello is a ServerHello or HelloRetryRequest.
type serverHello struct {
	legacyVersion uint16
	random        []byte
	sessionID     []byte
	cipherSuite   uint16
	extensions    Extensions
}

func parseServerHello(raw []byte) (*serverHello, error) {
	p := parser{rest: raw[4:]}
	h := &serverHello{legacyVersion: uint16(p.uint(2)), random: p.bytes(32), sessionID: p.vector(1),
		cipherSuite: uint16(p.uint(2))}
	p.uint(1)
	if len(p.rest) > 0 { // TLS 1.2 servers may have no extensions at all
		h.extensions = p.extensions()
	}
	return h, p.done("ServerHello")
}

func (h *serverHello) marshal() []byte {
	return message(typeServerHello, u16(h.legacyVersion), h.random, vector(1, h.sessionID),
		u16(h.cipherSuite), []byte{0}, h.extensions.marshal())
}

func (h *serverHello) retry() bool { return string(h.random) == retryRandom }

// version returns the version that the server chose.
func (h *serverHello) version() uint16 {
	if body, ok := h.extensions.body(extSupportedVersions); ok && len(body) == 2 {
		return binary.BigEndian.Uint16(body)
	}
	return h.legacyVersion
}

// parseCertificate returns the first certificate of a Certificate message, and
// the extensions of each.
func parseCertificate(raw []byte) (leaf []byte, all []Extensions, err error) {
	p := parser{rest: raw[4:]}
	p.vector(1)
	chain := parser{rest: p.vector(3)}
	for len(chain.rest) > 0 {
		cert := chain.vector(3)
		all = append(all, chain.extensions())
		if leaf == nil {
			leaf = cert
		}
	}
	p.failed = p.failed || chain.failed
	return leaf, all, p.done("Certificate")
}

// retryRandom marks a HelloRetryRequest (RFC 8446 section 4.1.3).
const retryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91" +
	"\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

var errFinished = errors.New("tls13peer: the Finished message is wrong")
