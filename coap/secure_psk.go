package coap

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/handle"
	"github.com/gnucoap/gnucoap/internal/cshim/tlsref"
)

// PSK is a client's pre-shared key (RFC 4279, RFC 7925 section 4.2). It wraps
// coap_dtls_cpsk_t.
type PSK struct {
	// Identity says which key it is, in 1 to 65535 bytes without NUL, and Key is 1
	// to 65535 bytes long. RFC 4279 has every server take 128 and 64 bytes.
	Identity string
	Key      []byte
	// ForHint, if set, returns identity and key for the hint of a server, in place
	// of Identity and Key. Its error fails the handshake. TLS 1.3 has no hints and
	// is not used then. It is called as Node says of callbacks.
	ForHint func(hint string) (identity string, key []byte, err error)
	// ServerName is sent to the server (SNI), unless it is empty or an IP address. Dial sends the
	// host of the URI where it is empty.
	ServerName string
}

// isSet reports whether a client is to use a pre-shared key.
func (p *PSK) isSet() bool { return p.Identity != "" || len(p.Key) > 0 || p.ForHint != nil }

// ServerPSK makes a server accept pre-shared keys. It wraps
// coap_dtls_spsk_t. A client that has another key for its identity is not accepted; with
// DTLS that shows in the Config's Logger alone, when the handshake has timed out, and with
// libcoap 4.3.1 alone.
type ServerPSK struct {
	// GetKey returns the key of a client's identity, or nil if there is none:
	// then the handshake fails, as it does with an error. serverName is the name that the
	// client asked for (SNI), or empty. It is called as Node says of callbacks.
	GetKey func(identity, serverName string) ([]byte, error)
	// Hint tells clients which identity to use, in at most 127 bytes without NUL. TLS 1.3 does not
	// send it. Hints are other ones for clients that ask for a name (SNI); names have no
	// upper case. They work only where the server has no certificates.
	Hint  string
	Hints map[string]string
}

const (
	maxPSK  = 65535 // in bytes, of identity and key
	maxHint = 127
)

func checkIdentity(field, identity string) error {
	switch {
	case identity == "":
		return fmt.Errorf("%s is empty", field)
	case strings.ContainsRune(identity, 0):
		return fmt.Errorf("%s holds a NUL byte", field)
	}
	return checkPSKSize(field, len(identity), ccoap.MaxPSKIdentity)
}

func checkKey(field string, key []byte) error {
	if len(key) == 0 {
		return fmt.Errorf("%s is empty", field)
	}
	return checkPSKSize(field, len(key), ccoap.MaxPSKKey)
}

func checkPSKSize(field string, size, most int) error {
	switch {
	case size > maxPSK:
		return fmt.Errorf("%s has %d bytes, more than %d", field, size, maxPSK)
	case size > most:
		return fmt.Errorf("%s has %d bytes, more than %d, with libcoap %s: %w", field, size, most,
			Version(), ErrNotSupported)
	}
	return nil
}

func (p *PSK) check() error {
	name := errors.Join(
		checkServerName("PSK.ServerName", p.ServerName),
		need(FeaturePSKHints, "PSK.ForHint or PSK.ServerName", p.ForHint != nil || p.ServerName != ""))
	if name != nil || p.ForHint != nil {
		return name
	}
	return errors.Join(
		checkIdentity("PSK.Identity", p.Identity),
		checkKey("PSK.Key", p.Key))
}

// checkServerName applies the limit of GnuTLS.
func checkServerName(field, name string) error {
	const most = 255
	switch {
	case strings.ContainsRune(name, 0):
		return fmt.Errorf("%s %q holds a NUL byte", field, name)
	case len(name) > most:
		return fmt.Errorf("%s has %d bytes, more than %d", field, len(name), most)
	}
	return nil
}

// sni returns the name to ask a server for: GnuTLS servers refuse addresses (RFC
// 6066, section 3).
func sni(name string) string {
	if _, err := netip.ParseAddr(name); err == nil {
		return ""
	}
	return name
}

func checkHint(field, hint string) error {
	switch {
	case strings.ContainsRune(hint, 0):
		return fmt.Errorf("%s holds a NUL byte", field)
	case len(hint) > maxHint:
		return fmt.Errorf("%s has %d bytes, more than %d", field, len(hint), maxHint)
	}
	return nil
}

func (p *ServerPSK) check() error {
	if p.GetKey == nil {
		return errors.New("ServerPSK.GetKey is nil")
	}
	errs := []error{checkHint("ServerPSK.Hint", p.Hint)}
	for name, hint := range p.Hints {
		field := fmt.Sprintf("ServerPSK.Hints[%.64q]", name)
		errs = append(errs, checkServerName("the name of "+field, name), checkHint(field, hint))
	}
	errs = append(errs,
		need(FeaturePSKHints, "ServerPSK.Hint or ServerPSK.Hints", p.Hint != "" || len(p.Hints) > 0))
	return errors.Join(errs...)
}

// NewClientSessionPSK opens a session to a server over DTLS or TLS with a
// pre-shared key: see PSK for what identity and key may be, and NewClientSession for the
// rest. A Node has client sessions either with pre-shared keys or with certificates,
// because libcoap mixes them up.
//
// It wraps coap_new_client_session_psk.
func (n *Node) NewClientSessionPSK(local, server netip.AddrPort, proto Protocol, identity string,
	key []byte) (*Session, error) {
	return n.newSession(local, server, proto, &security{psk: &PSK{Identity: identity, Key: key}})
}

// SetPSK makes the Node's servers accept pre-shared keys, in place of
// Config.ServerPSK. Handshakes that begin later ask the GetKey that was set last; the
// hints stay what they were first. Without FeatureCredentials it comes before the first
// Listen. It wraps coap_context_set_psk.
func (n *Node) SetPSK(psk *ServerPSK) error {
	return n.secureServer(func() error { return n.l.setPSK(psk) })
}

func (l *loop) setPSK(psk *ServerPSK) error {
	if err := psk.check(); err != nil {
		return err
	}
	if old := l.credentials.psk; old != nil {
		if old.Hint != psk.Hint || !maps.Equal(old.Hints, psk.Hints) { // libcoap keeps pointers to them
			return errors.New("the hints are already set, and these are other ones")
		}
		l.credentials.psk = psk
		return nil
	}
	names := slices.Sorted(maps.Keys(psk.Hints))
	hints := []string{psk.Hint}
	for _, name := range names {
		hints = append(hints, psk.Hints[name])
	}
	if !l.native.SetPSK(hints, len(names) > 0) {
		return errRefused
	}
	l.credentials.psk, l.credentials.hintNames = psk, names
	return nil
}

// onPSK returns the key of a client's identity.
func (l *loop) onPSK(tls tlsref.Session, identity []byte) []byte {
	b := cgnutls.Borrow(tls, true)
	key, err := l.pskOf(string(identity), b.ServerName())
	if err == nil {
		return key
	}
	alert := gnutls.AlertInternalError
	if len(key) > 0 || errors.Is(err, errUnknownIdentity) {
		alert = gnutls.AlertUnknownPSKIdentity
	}
	l.warn("no pre-shared key", "identity", string(identity), "error", err)
	b.SendAlert(uint8(alert))
	return nil
}

// pskOf asks the user for the key of a client.
func (l *loop) pskOf(identity, serverName string) ([]byte, error) {
	key, err := handle.GuardFor(callbackLimit,
		func() ([]byte, error) { return l.credentials.psk.GetKey(identity, serverName) })
	switch {
	case err != nil:
		return nil, err
	case len(key) == 0:
		return nil, errUnknownIdentity
	}
	return key, checkKey("the key", key)
}

var errUnknownIdentity = errors.New("unknown identity")

// onHint returns what a client answers to the hint of a server.
func (l *loop) onHint(id ccoap.SessionID, hint string) ([]byte, []byte) {
	c := l.conns[id]
	if c == nil {
		return nil, nil
	}
	type pair struct {
		identity string
		key      []byte
	}
	p, err := handle.GuardFor(callbackLimit, func() (p pair, err error) {
		p.identity, p.key, err = c.security.psk.ForHint(hint)
		return p, err
	})
	if err == nil {
		err = errors.Join(checkIdentity("the identity", p.identity), checkKey("the key", p.key))
	}
	if err != nil {
		c.fail(fmt.Errorf("PSK.ForHint: %w", callbackError(err)))
		return nil, nil
	}
	return []byte(p.identity), p.key
}

// newPSK makes a client session.
func (s *security) newPSK(l *loop, local, server netip.AddrPort,
	proto ccoap.Protocol) (ccoap.Session, ccoap.SessionID, error) {
	identity, key := []byte(s.psk.Identity), s.psk.Key
	if s.psk.ForHint != nil {
		// libcoap wants something, which it does not use then.
		identity, key = []byte("hint"), make([]byte, 16)
		rand.Read(key)
	}
	return l.native.NewSessionPSK(local, server, proto, sni(s.name), identity, key,
		s.psk.ForHint != nil)
}
