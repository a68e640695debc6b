package coap

import (
	"errors"
	"fmt"
	"net"

	"github.com/gnucoap/gnucoap/gnutls"
)

// What can become of a request other than a response. They are found with
// errors.Is in what the methods of Session return. A session that was closed by
// this side gives net.ErrClosed.
var (
	// ErrReset says that the peer rejected a message (RFC 7252, section 4.2).
	ErrReset = errors.New("the peer rejected the message (reset)")
	// ErrRetriesExhausted says that the peer acknowledged no transmission of a
	// confirmable message (RFC 7252, section 4.2). It is a timeout.
	ErrRetriesExhausted error = timeoutError("no acknowledgement after all retransmissions")
	// ErrUnreachable says that the network or the peer's host refused the
	// message (ICMP), or that no TCP connection could be made.
	ErrUnreachable = errors.New("the peer cannot be reached")
	// ErrHandshake says that the DTLS or TLS handshake failed. See HandshakeError.
	ErrHandshake = errors.New("the (D)TLS handshake failed")
	// ErrDisconnected says that the peer or the network ended the session.
	ErrDisconnected = errors.New("the session was disconnected")
	// ErrTooLarge says that a message is larger than the session allows
	// (Session.MaxPDUSize) and cannot be sent in blocks.
	ErrTooLarge = errors.New("the message is too large for the session")
	// ErrNotSupported says that the version of libcoap lacks something. See
	// Supports.
	ErrNotSupported = errors.New("not supported by this version of libcoap")
)

type timeoutError string

func (e timeoutError) Error() string   { return string(e) }
func (e timeoutError) Timeout() bool   { return true }
func (e timeoutError) Temporary() bool { return true }

var _ net.Error = timeoutError("")

// A HandshakeError says why a DTLS or TLS handshake failed. errors.Is matches it with
// ErrHandshake, with its alert, and with whatever Err is, for instance
// gnutls.CertificateExpired.
type HandshakeError struct {
	// Alert is what the peer sent, or what this side sent if Sent is true. It is 0 if
	// there was no alert.
	Alert gnutls.Alert
	Sent  bool
	// Err is what this side found wrong, or nil. It is ErrRetriesExhausted where the peer
	// fell silent: with DTLS that is also what comes of a pre-shared key that the peer has
	// another value of.
	Err error
}

// Error describes the failure in one line.
func (e *HandshakeError) Error() string {
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%v: %v", ErrHandshake, e.Err)
	case e.Alert != 0:
		return fmt.Sprintf("%v: the peer sent a %v", ErrHandshake, e.Alert)
	}
	return ErrHandshake.Error()
}

// Is reports whether target is ErrHandshake or the alert.
func (e *HandshakeError) Is(target error) bool {
	if alert, ok := target.(gnutls.Alert); ok {
		return e.Alert != 0 && e.Alert == alert
	}
	return target == ErrHandshake
}

// Unwrap returns e.Err.
func (e *HandshakeError) Unwrap() error { return e.Err }

// A PanicError is the panic of a callback of a handshake, which fails with it.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // as of debug.Stack
}

// Error tells the value.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in a callback: %v", e.Value) }

// An Error says what failed, and with whom.
type Error struct {
	Op   string // what was tried: "dial", "GET", "listen" and so on
	Peer string // the other end, or the address, where there is one
	Err  error
}

// Error returns "coap: ", what failed, with whom, and why.
func (e *Error) Error() string {
	if e.Peer == "" {
		return fmt.Sprintf("coap: %s: %v", e.Op, e.Err)
	}
	return fmt.Sprintf("coap: %s %s: %v", e.Op, e.Peer, e.Err)
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether e.Err is a timeout.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// Temporary is part of net.Error, and the same as Timeout.
func (e *Error) Temporary() bool { return e.Timeout() }
