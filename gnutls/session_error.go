package gnutls

import (
	"errors"
	"fmt"
)

// Reasons why session data cannot be used. A SessionDataError has one.
var (
	// ErrSessionForeign: the bytes are not session data of this package.
	ErrSessionForeign = errors.New("not session data")
	// ErrSessionDamaged: the bytes are truncated or changed.
	ErrSessionDamaged = errors.New("session data are damaged")
	// ErrSessionFormat: another version of this package made them.
	ErrSessionFormat = errors.New("session data have an unknown format version")
	// ErrSessionLibrary: another version of GnuTLS made them, whose sessions
	// this one cannot read.
	ErrSessionLibrary = errors.New("session data are from another GnuTLS version")
	// ErrSessionExpired: their lifetime has ended.
	ErrSessionExpired = errors.New("session data have expired")
	// ErrSessionServerName: they belong to another server.
	ErrSessionServerName = errors.New("session data are for another server name")
	// ErrSessionConfig: they were made with a Config that trusts other authorities
	// or has another client certificate or pre-shared key, or this Config does not
	// allow their version.
	ErrSessionConfig = errors.New("session data do not suit the configuration")
)

// Further reasons why a connection did not resume a session; see
// ConnectionState.ResumeError.
var (
	// ErrNoSession: there are no session data for the server.
	ErrNoSession = errors.New("no session data for the server")
	// ErrSessionVersion: the server chose another version than that of the
	// session.
	ErrSessionVersion = errors.New("the server chose another version than that of the session")
	// ErrSessionCipher: the server chose a cipher suite that does not match the
	// session.
	ErrSessionCipher = errors.New("the server chose a cipher suite that does not match the session")
	// ErrSessionDeclined: the server did not accept the session. A client cannot
	// know whether the server has another key, or none, or considers the session
	// too old.
	ErrSessionDeclined = errors.New("the server did not accept the session")
)

// A SessionDataError says why session data were refused: Reason is one of the
// ErrSession… errors, which errors.Is finds. It does not prevent a connection:
// without session data the connection makes a full handshake.
type SessionDataError struct {
	Reason error
	Detail string // what was found, may be empty
}

// Error describes the failure in one line.
func (e *SessionDataError) Error() string {
	if e.Detail == "" {
		return "gnutls: " + e.Reason.Error()
	}
	return "gnutls: " + e.Reason.Error() + ": " + e.Detail
}

// Unwrap returns e.Reason.
func (e *SessionDataError) Unwrap() error { return e.Reason }

func refused(reason error, detail string, args ...any) error {
	return &SessionDataError{Reason: reason, Detail: fmt.Sprintf(detail, args...)}
}
