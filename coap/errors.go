package coap

import (
	"errors"
	"fmt"
	"net"
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
	// ErrHandshake says that the DTLS or TLS handshake failed.
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
