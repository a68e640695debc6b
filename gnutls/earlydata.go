package gnutls

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"

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

// WriteEarlyData is Write for data that may go out with the first message of the
// handshake, a round trip earlier (0-RTT, RFC 8446 section 2.3). Nothing is
// lost: what cannot go early, or what the server refuses to take early, is sent
// when the handshake is over. ConnectionState.EarlyDataAccepted tells which it
// was.
//
// It is for clients, and comes before the handshake, which starts with the next
// Read, Write or call of Handshake, or once more than 16 KiB are written. After
// the handshake it is Write. Data go early where the connection resumes a
// session whose ticket allows it (SessionData.MaxEarlyData).
//
// Early data are not safe from replay: whoever records them can send them to
// the server again, within limits that the server sets. They are protected by an
// earlier key, and go out before Config.VerifyConnection is called. Write early
// only what the server may do twice, see docs/resumption.md.
//
// They must be of an application protocol that is known before: Config.NextProtos
// may hold one at most, and the handshake fails where the server does not choose
// it. It also fails, with ErrEarlyData, where GnuTLS cannot go on after the server
// has refused them. Whoever closes the connection without a handshake drops what
// was written.
func (c *Conn) WriteEarlyData(p []byte) (int, error) {
	const op = "write early data"
	if !c.client {
		return 0, &Error{Op: op, Code: CodeInvalidRequest, Err: errors.New("only clients send early data")}
	}
	if n := len(c.config.NextProtos); n > 1 {
		return 0, &Error{Op: op, Code: CodeInvalidRequest, Err: fmt.Errorf("Config.NextProtos has %d entries", n)}
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
	c.writer.take()
	defer c.giveWriter()
	if c.handshaking == nil || c.handshaking.begun || c.handshakeErr != nil || c.closed.Load() ||
		len(c.handshaking.early)+len(p) > maxEarlyWrite {
		return false
	}
	c.handshaking.early = append(c.handshaking.early, p...)
	return true
}

// sendEarly makes the handshake take the early data along, if it can.
func (c *Conn) sendEarly() error {
	early, d := c.handshaking.early, c.resumption.session
	if len(early) == 0 || d == nil || len(d.data) > maxEarlyTicket || d.protocol != c.earlyProtocol() ||
		int64(len(early)+earlyRecordOverhead) > int64(d.maxEarlyData) {
		return nil
	}
	var code cgnutls.Code
	if err := c.withSession(func(s *cgnutls.Session) { code = s.SendEarlyData(early) }); err != nil {
		return err
	}
	c.handshaking.earlySent = code >= 0
	return check("write early data", code)
}

// earlyProtocol is the application protocol of early data.
func (c *Conn) earlyProtocol() string {
	if len(c.config.NextProtos) == 0 {
		return ""
	}
	return c.config.NextProtos[0]
}

// settleEarly notes on a client what became of the early data. What is left of
// them must be sent.
func (c *Conn) settleEarly(cs *ConnectionState) (left []byte, err error) {
	early := c.handshaking.early
	if len(early) == 0 {
		return nil, nil
	}
	if c.handshaking.earlySent {
		if err := c.withSession(func(s *cgnutls.Session) { cs.EarlyDataAccepted = s.EarlyDataAccepted() }); err != nil {
			return nil, err
		}
	}
	if cs.EarlyDataAccepted && !cs.DidResume {
		return nil, &Error{Op: "handshake", Code: CodeInvalidSession, Err: errors.New("the server takes early data of a session that it does not resume")}
	}
	if cs.NegotiatedProtocol != c.earlyProtocol() {
		return nil, &Error{Op: "handshake", Code: CodeNoApplicationProtocol, Err: fmt.Errorf(
			"early data were written for the protocol %q, and the server chose %q", c.earlyProtocol(), cs.NegotiatedProtocol)}
	}
	if cs.EarlyDataAccepted {
		cs.EarlyData = len(early)
		return nil, nil
	}
	return early, nil
}

// receiveEarly keeps the early data that a server has accepted for Read.
func (c *Conn) receiveEarly(cs *ConnectionState) error {
	guard := c.native.early
	if guard == nil {
		return nil
	}
	var data []byte
	var code cgnutls.Code
	err := c.withSession(func(s *cgnutls.Session) {
		cs.EarlyDataAccepted = s.EarlyDataAccepted()
		data = s.TakeEarlyData()
		code = s.SetMaxEarlyData(guard.max) // for the tickets
	})
	if err == nil {
		err = check("setting the limit of early data", code)
	}
	if err != nil {
		return err
	}
	if len(data) > guard.max {
		return &Error{Op: "handshake", Code: CodeUnexpectedPacket, Err: fmt.Errorf("the client sent more than %d bytes of early data", guard.max)}
	}
	cs.EarlyData = len(data)
	c.keep(data)
	return nil
}

const (
	// earlyWindow is how long a ClientHello with early data may be under way.
	earlyWindow = 10 * time.Second
	// earlyRecord is how long one is remembered. The difference is for the
	// clocks of servers that share tickets.
	earlyRecord = 30 * time.Second
	// antiReplays is how many native anti-replay objects a Config has. GnuTLS
	// refuses early data with tickets that are older than the object, and makes
	// it as young as the early data that it has last seen, if that is more than
	// earlyWindow ago. So the more there are, the older may tickets be.
	antiReplays = 1024
)

// earlyDataGuard decides on a server which early data are accepted. Its native
// objects are used by one handshake at a time.
type earlyDataGuard struct {
	max   int
	store AntiReplay

	mu   sync.Mutex
	free *list.List // of *cgnutls.AntiReplay, the one used longest ago in front
}

func (c *Config) newEarlyDataGuard() (*earlyDataGuard, error) {
	switch {
	case c.MaxEarlyData == 0:
		return nil, nil
	case c.MaxEarlyData < 0 || c.MaxEarlyData > maxEarlyRead:
		return nil, fmt.Errorf("gnutls: Config.MaxEarlyData is %d, which is not 0 to %d", c.MaxEarlyData, maxEarlyRead)
	case len(c.NextProtos) > 1:
		return nil, fmt.Errorf("gnutls: Config.MaxEarlyData is set and NextProtos has %d entries", len(c.NextProtos))
	}
	if !cgnutls.AtLeast("3.7.2") {
		// A ClientHello with early data and no valid ticket would crash it.
		return nil, nil
	}
	g := &earlyDataGuard{max: c.MaxEarlyData, store: c.AntiReplay, free: list.New()}
	if g.store == nil {
		g.store = NewAntiReplay(0)
	}
	var all []*cgnutls.AntiReplay
	runtime.AddCleanup(g, func(all *[]*cgnutls.AntiReplay) {
		for _, a := range *all {
			a.Free()
		}
	}, &all)
	for range antiReplays {
		a, code := cgnutls.NewAntiReplay(earlyWindow)
		if code < 0 {
			return nil, check("setting up early data", code)
		}
		all = append(all, a)
		g.free.PushBack(a)
	}
	return g, nil
}

// take returns a native object, or nil where all are in use.
func (g *earlyDataGuard) take() *cgnutls.AntiReplay {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.free.Len() == 0 {
		return nil
	}
	return g.free.Remove(g.free.Front()).(*cgnutls.AntiReplay)
}

func (g *earlyDataGuard) give(a *cgnutls.AntiReplay, used bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if used {
		g.free.PushBack(a)
	} else {
		g.free.PushFront(a)
	}
}

// acceptEarlyData sets a server up for early data.
func (c *Conn) acceptEarlyData(guard *earlyDataGuard, pr *priority, s *cgnutls.Session) error {
	s.AcceptEarlyData(pr.p, strings.Contains(c.config.Priority, "%SERVER_PRECEDENCE"))
	// Room for the ciphertext of what is refused.
	return check("setting the limit of early data", s.SetMaxEarlyData(2*guard.max+maxEarlyWrite))
}

// takeAntiReplay is called from inside a server's handshake for a ClientHello
// with early data.
func (c *Conn) takeAntiReplay() *cgnutls.AntiReplay {
	if c.handshaking.replay == nil {
		c.handshaking.replay = c.native.early.take()
	}
	return c.handshaking.replay
}

// returnAntiReplay is called after each step of a handshake: GnuTLS deals with a
// ClientHello in one. The caller holds tlsMu.
func (c *Conn) returnAntiReplay() {
	if h := c.handshaking; h.replay != nil {
		h.session.s.DropAntiReplay()
		c.native.early.give(h.replay, h.replayUsed)
		h.replay, h.replayUsed = nil, false
	}
}

// recordEarly is called from inside a server's handshake for early data that
// GnuTLS would accept.
func (c *Conn) recordEarly(ctx context.Context) func() (bool, error) {
	h := c.handshaking
	return func() (bool, error) {
		if c.config.AntiReplay != nil {
			if err := c.enter(); err != nil {
				return false, err
			}
		}
		h.replayUsed = true
		return c.native.early.store.Add(ctx, h.session.s.ClientRandom(), time.Now().Add(earlyRecord))
	}
}
