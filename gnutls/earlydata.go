package gnutls

import (
	"errors"
	"fmt"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

const (
	// maxEarlyWrite is how much a client sends early. GnuTLS sends early data
	// twice when they do not go out with one call.
	maxEarlyWrite = 16 << 10
	// maxEarlyTicket is the longest session data that leave room for them.
	maxEarlyTicket = 12 << 10
	// earlyRecordOverhead is by how much encryption lengthens a record. GnuTLS
	// servers count it when they refuse early data.
	earlyRecordOverhead = 17
	// maxEarlyRead bounds Config.MaxEarlyData.
	maxEarlyRead = 64 << 10
)

// WriteEarlyData is Write for data that may be sent with the first message of the
// handshake, a round trip earlier (0-RTT, RFC 8446 section 2.3). Nothing is
// lost: data that cannot be sent early, or that the server does not accept early,
// are sent when the handshake is over. ConnectionState.EarlyDataAccepted says which
// of the two it was.
//
// It is for clients, and is called before the handshake, which starts with the next
// Read, Write or call of Handshake, or once more than 16 KiB are written. After
// the handshake it is Write. Data are sent early if the connection resumes a
// session whose ticket allows it (SessionData.MaxEarlyData).
//
// Early data are not safe from replay: an attacker who records them can send them to
// the server again, within limits that the server sets. They are protected by an
// earlier key, and are sent before Config.VerifyConnection is called. Write early
// only what the server may safely process twice; see docs/resumption.md.
//
// Their application protocol must be known in advance: Config.NextProtos may have one
// entry at most, and the handshake fails if the server does not choose it. It also
// fails, with ErrEarlyData, if GnuTLS cannot continue after the server has refused
// them. If the connection is closed without a handshake, the data are dropped.
func (c *Conn) WriteEarlyData(p []byte) (int, error) {
	const op = "write early data"
	if !c.client {
		return 0,
			&Error{Op: op, Code: CodeInvalidRequest, Err: errors.New("only clients send early data")}
	}
	if n := len(c.config.NextProtos); n > 1 {
		return 0,
			&Error{Op: op, Code: CodeInvalidRequest, Err: fmt.Errorf("Config.NextProtos has %d entries", n)}
	}
	if c.keepEarly(p) {
		return len(p), nil
	}
	return c.Write(p)
}

// keepEarly keeps p for the handshake, unless that has begun or p does not fit.
func (c *Conn) keepEarly(p []byte) bool {
	if c.handshakeDone.Load() {
		return false
	}
	c.writing.turn.take()
	defer c.giveWriter()
	if c.handshaking == nil || c.handshaking.begun || c.handshakeErr != nil || c.tls.closed.Load() ||
		len(c.handshaking.early.data)+len(p) > maxEarlyWrite {
		return false
	}
	c.handshaking.early.data = append(c.handshaking.early.data, p...)
	return true
}

// earlyWrite is what a client has written before the handshake.
type earlyWrite struct {
	data []byte
	sent bool // with the ClientHello
}

// sendEarly makes the handshake take the early data along, if it can.
func (c *Conn) sendEarly() error {
	early, d := c.handshaking.early.data, c.resumption.session
	if len(early) == 0 || d == nil || len(d.data) > maxEarlyTicket ||
		d.protocol != c.earlyProtocol() ||
		int64(len(early)+earlyRecordOverhead) > int64(d.maxEarlyData) {
		return nil
	}
	var code cgnutls.Code
	if err := c.withSession(func(s *cgnutls.Session) { code = s.SendEarlyData(early) }); err != nil {
		return err
	}
	c.handshaking.early.sent = code >= 0
	return check("write early data", code)
}

// earlyProtocol is the application protocol of early data.
func (c *Conn) earlyProtocol() string {
	if len(c.config.NextProtos) == 0 {
		return ""
	}
	return c.config.NextProtos[0]
}

// settleEarly notes on a client whether its early data were accepted. It returns
// those that must be sent again.
func (c *Conn) settleEarly(cs *ConnectionState) (left []byte, err error) {
	early := c.handshaking.early.data
	if len(early) == 0 {
		return nil, nil
	}
	if c.handshaking.early.sent {
		if err := c.withSession(func(s *cgnutls.Session) {
			cs.EarlyDataAccepted = s.EarlyDataAccepted()
		}); err != nil {
			return nil, err
		}
	}
	if cs.EarlyDataAccepted && !cs.DidResume {
		return nil, &Error{Op: "handshake", Code: CodeInvalidSession,
			Err: errors.New("the server takes early data of a session that it does not resume")}
	}
	if cs.NegotiatedProtocol != c.earlyProtocol() {
		return nil, &Error{Op: "handshake", Code: CodeNoApplicationProtocol, Err: fmt.Errorf(
			"early data were written for the protocol %q, and the server chose %q", c.earlyProtocol(),
			cs.NegotiatedProtocol)}
	}
	if cs.EarlyDataAccepted {
		cs.EarlyData = len(early)
		return nil, nil
	}
	return early, nil
}
