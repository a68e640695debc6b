package gnutls

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// ErrNoTicket is returned by Conn.SessionData if no session ticket has come, so
// that there is nothing to resume with.
var ErrNoTicket = errors.New("gnutls: no session ticket received")

// ErrEarlyData is the cause of a handshake that failed because of early data: the
// server has refused them and has chosen a version before TLS 1.3, or has asked for
// another ClientHello, which GnuTLS cannot send after early data. A new connection
// without WriteEarlyData can be made at once.
var ErrEarlyData = errors.New(
	"GnuTLS cannot continue after the early data that the server refused; " +
		"connect again without early data")

// An ErrorCode is a result code of GnuTLS (gnutls_strerror). It is itself an error,
// so that errors.Is(err, gnutls.CodeFatalAlertReceived) works on any error of this
// package that comes from GnuTLS.
type ErrorCode int

// Codes that programs commonly compare with. Any other code of GnuTLS can be
// compared in the same way: ErrorCode(-n).
const (
	CodeFatalAlertReceived      = ErrorCode(cgnutls.FatalAlertReceived)
	CodeUnsupportedVersion      = ErrorCode(cgnutls.UnsupportedVersion)
	CodeUnexpectedPacket        = ErrorCode(cgnutls.UnexpectedPacket)
	CodeUnexpectedPacketLength  = ErrorCode(cgnutls.UnexpectedPacketLength)
	CodeRecordOverflow          = ErrorCode(cgnutls.RecordOverflow)
	CodeDecryptionFailed        = ErrorCode(cgnutls.DecryptionFailed)
	CodeNoCipherSuites          = ErrorCode(cgnutls.NoCipherSuites)
	CodeNoApplicationProtocol   = ErrorCode(cgnutls.NoApplicationProtocol)
	CodeInsufficientCredentials = ErrorCode(cgnutls.InsufficientCredentials)
	CodeInvalidRequest          = ErrorCode(cgnutls.InvalidRequest)
	CodeCertificateError        = ErrorCode(cgnutls.CertificateError)
	CodeCertificateVerification = ErrorCode(cgnutls.CertificateVerification)
	CodeCertificateRequired     = ErrorCode(cgnutls.CertificateRequired)
	CodeNoCertificateFound      = ErrorCode(cgnutls.NoCertificateFound)
	CodeKeyMismatch             = ErrorCode(cgnutls.CertificateKeyMismatch)
	CodeSignFailed              = ErrorCode(cgnutls.PKSignFailed)
	CodePrematureTermination    = ErrorCode(cgnutls.PrematureTermination)
	CodeRehandshake             = ErrorCode(cgnutls.Rehandshake)
	CodeDuringHandshake         = ErrorCode(cgnutls.UnavailableDuringHandshake)
	CodeNotAvailable            = ErrorCode(cgnutls.RequestedDataNotAvailable)
	CodeInternalError           = ErrorCode(cgnutls.InternalError)
	CodeInvalidSession          = ErrorCode(cgnutls.InvalidSession)
	CodeNoProtocols             = ErrorCode(cgnutls.NoPriorities)
)

// Error returns GnuTLS's English text for the code.
func (c ErrorCode) Error() string { return cgnutls.Code(c).Message() }

// Name returns the C name of the code, such as "GNUTLS_E_AGAIN", or the empty
// string for an unknown code.
func (c ErrorCode) Name() string { return cgnutls.Code(c).Name() }

// An Alert is the description of a TLS alert (RFC 8446 section 6). It is itself an
// error, so that errors.Is(err, gnutls.AlertUnknownCA) works.
type Alert uint8

// Alerts that programs commonly compare with.
const (
	AlertUnexpectedMessage     Alert = 10
	AlertBadRecordMAC          Alert = 20
	AlertRecordOverflow        Alert = 22
	AlertHandshakeFailure      Alert = 40
	AlertBadCertificate        Alert = 42
	AlertUnsupportedCert       Alert = 43
	AlertCertificateRevoked    Alert = 44
	AlertCertificateExpired    Alert = 45
	AlertCertificateUnknown    Alert = 46
	AlertIllegalParameter      Alert = 47
	AlertUnknownCA             Alert = 48
	AlertAccessDenied          Alert = 49
	AlertDecodeError           Alert = 50
	AlertDecryptError          Alert = 51
	AlertProtocolVersion       Alert = 70
	AlertInsufficientSecurity  Alert = 71
	AlertInternalError         Alert = 80
	AlertUserCanceled          Alert = 90
	AlertNoRenegotiation       Alert = 100
	AlertMissingExtension      Alert = 109
	AlertUnsupportedExtension  Alert = 110
	AlertUnrecognizedName      Alert = 112
	AlertUnknownPSKIdentity    Alert = 115
	AlertCertificateRequired   Alert = 116
	AlertNoApplicationProtocol Alert = 120
)

// Error returns GnuTLS's English text for the alert.
func (a Alert) Error() string {
	if text := cgnutls.AlertText(uint8(a)); text != "" {
		return "TLS alert: " + text
	}
	return fmt.Sprintf("TLS alert %d", uint8(a))
}

// rejectionAlert is the alert for a peer that is not accepted: the one that err
// wraps, or what goes with a certificate.
func rejectionAlert(err error) Alert {
	var alert Alert
	var ce *CertificateError
	switch {
	case errors.As(err, &alert) && alert != 0:
		return alert
	case errors.As(err, &ce):
		return ce.alert()
	}
	return AlertBadCertificate
}

// An Error is a failure that GnuTLS reported. errors.Is matches it with its
// ErrorCode, with the Alert that the peer sent, and with whatever Err is.
type Error struct {
	Op    string    // the operation: "handshake", "read", "write", "close", …
	Code  ErrorCode // GnuTLS's result code
	Alert Alert     // the alert that the peer sent, or 0
	Err   error     // a cause outside GnuTLS, or nil
}

// Error describes the failure in one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("gnutls: ")
	b.WriteString(e.Op)
	b.WriteString(": ")
	switch {
	case e.Err != nil:
		b.WriteString(e.Err.Error())
	case e.Alert != 0:
		b.WriteString("the peer sent a ")
		b.WriteString(e.Alert.Error())
	default:
		b.WriteString(e.Code.Error())
	}
	return b.String()
}

// Is reports whether target is the code or the alert of e.
func (e *Error) Is(target error) bool {
	switch target := target.(type) {
	case ErrorCode:
		return e.Code == target
	case Alert:
		return e.Alert != 0 && e.Alert == target
	}
	return false
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// check turns a failed call into an error.
func check(op string, code cgnutls.Code) error {
	if code >= 0 {
		return nil
	}
	return &Error{Op: op, Code: ErrorCode(code)}
}

// A PanicError is a panic in a function of the program (a private key, a look-up
// of pre-shared keys, a session store) that GnuTLS called during a handshake. It is
// recovered, and the handshake fails with it.
type PanicError struct {
	Value any    // what panic was called with
	Stack []byte // as of debug.Stack
	text  string
}

// Error says what the function was called for, and the value.
func (e *PanicError) Error() string { return e.text }

// callbackError is the error of a function that GnuTLS called.
func callbackError(err error) error {
	var p *cgnutls.PanicError
	if errors.As(err, &p) {
		return &PanicError{Value: p.Value, Stack: p.Stack, text: err.Error()}
	}
	return err
}
