package gnutls

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// Handshake runs the handshake if it has not run yet. Read and Write do that
// by themselves.
func (c *Conn) Handshake() error {
	if c.handshakeDone.Load() {
		return nil
	}
	return c.HandshakeContext(context.Background())
}

// HandshakeContext runs the handshake (gnutls_handshake) if it has not run
// yet. When ctx ends while it runs, the connection is closed and ctx's error
// returned. After a deadline the handshake can be gone on with; any other error
// is final and every later call returns it.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	if c.handshakeDone.Load() {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	err := c.handshakeAlone(ctx)
	c.deliver()
	return err
}

// handshake is what only the handshake needs.
type handshake struct {
	setup     bool
	session   *session // for callbacks from inside C, during which it is not freed
	begun     bool
	failed    error  // of a callback
	received  int    // bytes
	complete  bool   // for GnuTLS; finish has yet to run
	paused    error  // a deadline after which it was not gone on with
	reported  bool   // in the log
	sent      bool   // something has gone out
	early     []byte // written before the handshake
	earlySent bool   // with the ClientHello
	// replay is of native.early while a server's GnuTLS decides on early data, and
	// replayUsed tells whether it accepted some.
	replay     *cgnutls.AntiReplay
	replayUsed bool
	judged     bool // the peer was accepted
	chains     [][]*x509.Certificate
	chainErr   error
	ticketKeys []cgnutls.TicketKey // server, from Config.TicketKeyFile
	firstFlight
	turn turnOf
}

// Resume makes the handshake ask the server to resume the session of d
// (gnutls_session_set_data), in place of data from a ClientSessionCache. It is
// for clients and comes before the handshake. Data that cannot be used give a
// *SessionDataError; the handshake is then a full one. Whether the server
// agreed is in ConnectionState.DidResume.
func (c *Conn) Resume(d *SessionData) error {
	c.reader.take()
	defer c.reader.give()
	c.writer.take()
	defer c.giveWriter()
	if !c.client {
		return &Error{Op: "resume", Code: CodeInvalidRequest, Err: errors.New("only clients ask to resume")}
	}
	if c.handshaking == nil || c.handshaking.begun {
		return &Error{Op: "resume", Code: CodeInvalidRequest, Err: errors.New("the handshake has begun")}
	}
	if err := c.start(); err != nil {
		c.handshakeErr = err
		return err
	}
	c.resumption.refusal = c.resumption.offer(d, c.setData)
	return c.resumption.refusal
}

// handshakeAlone runs the handshake while nobody else reads or writes.
func (c *Conn) handshakeAlone(ctx context.Context) error {
	if err := c.shaking.takeContext(ctx); err != nil {
		return err
	}
	defer c.shaking.give()
	if c.handshakeDone.Load() { // whose handshake it was may be reading by now, and wait for our answer
		return nil
	}
	if err := c.reader.takeContext(ctx); err != nil {
		return err
	}
	defer c.reader.give()
	if err := c.writer.takeContext(ctx); err != nil {
		return err
	}
	defer func() {
		send := c.background
		if send == nil {
			c.giveWriter()
			return
		}
		// From here on nothing that writer guards is ours.
		c.background = nil
		go send()
	}()
	switch {
	case c.handshakeDone.Load():
		return nil
	case c.handshakeErr != nil:
		return c.handshakeErr
	case c.closed.Load():
		return net.ErrClosed
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	err := c.handshake(ctx)
	defer func() {
		if c.handshakeErr != nil && c.handshaking != nil {
			c.settleFailed(c.handshakeErr)
			c.reportFailure(c.handshakeErr)
		}
	}()
	if !stop() {
		c.handshakeErr = ctx.Err()
		return c.handshakeErr
	}
	var timeout net.Error
	switch {
	case err == nil:
	case c.closed.Load():
		c.handshakeErr = net.ErrClosed
		return net.ErrClosed
	case c.handshakeErr == nil && errors.As(err, &timeout) && timeout.Timeout():
		c.handshaking.paused = err // by a deadline of the transport
	default:
		c.handshakeErr = err
	}
	return err
}

// maxHandshakeInput bounds the input of a handshake. GnuTLS takes messages of
// 128 KiB altogether, but keeps up to 16 MiB of one that does not end.
const maxHandshakeInput = 256 << 10

func (c *Conn) handshake(ctx context.Context) error {
	if err := c.start(); err != nil {
		return err
	}
	if c.client && !c.handshaking.begun {
		if err := c.prepareHello(); err != nil {
			return err
		}
	}
	c.handshaking.begun = true
	waiting := len(c.unsent)
	err := c.flush()
	c.noteOutput(len(c.unsent) < waiting)
	if err != nil {
		return err
	}
	callbacks := c.callbacks(ctx)
	if c.handshaking.complete {
		return c.finish(callbacks)
	}
	for {
		if err := c.admit(ctx); err != nil {
			return err
		}
		buf := getBuffer()
		if !c.lock() {
			c.leave()
			putBuffer(buf)
			return net.ErrClosed
		}
		in, eof := c.handshakeInput()
		r := c.session.s.Handshake(callbacks, in, eof, buf[:])
		tickets, keys := c.collect(r)
		c.returnAntiReplay()
		c.unlock()
		c.leave()
		c.skipHandshakeInput(in[:r.Used])
		again, err := c.reconsider(ctx, callbacks, &r, buf[:])
		c.handshaking.failed = callbacks.Err
		if err != nil || again {
			putBuffer(buf)
			if err != nil {
				return err
			}
			callbacks = c.callbacks(ctx)
			continue
		}
		c.logKeys(keys)
		if c.client {
			c.resumption.hold(tickets...)
		}
		c.handshaking.complete = r.Code == cgnutls.OK && !r.Verify && !r.Starved && !r.Full
		err = c.send(buf, r.Made)
		c.noteOutput(len(c.unsent) < r.Made)
		if err != nil {
			return err
		}
		switch {
		case c.handshaking.complete:
			return c.finish(callbacks)
		case r.Code == cgnutls.NoCertificateFound && !c.client:
			return c.noClientCertificate()
		case r.Code < 0:
			err := c.handshakeFailure(r.Code, callbacks)
			c.handshakeErr = err
			if errors.Is(err, cgnutls.ErrUnknownIdentity) {
				return c.reject(err)
			}
			c.alertFor(r.Code)
			return err
		case r.Verify:
			if err := c.acceptPeer(); err != nil {
				return err
			}
		case r.Starved && c.handshaking.received > maxHandshakeInput:
			c.handshakeErr = c.failure(cgnutls.HandshakeTooLarge)
			c.alertFor(cgnutls.HandshakeTooLarge)
			return c.handshakeErr
		case r.Starved && len(c.in.bytes()) == 0:
			if err := c.in.fill(); err != nil {
				return err
			}
			c.handshaking.received += len(c.in.bytes())
		}
	}
}

// start makes the native session, once.
func (c *Conn) start() error {
	if c.handshaking.setup {
		return nil
	}
	if c.client && c.serverName == "" && !c.config.InsecureSkipVerify && c.config.PSKIdentity == "" {
		return errors.New("gnutls: either Config.ServerName or InsecureSkipVerify must be set")
	}
	if strings.ContainsRune(c.serverName, 0) {
		return fmt.Errorf("gnutls: the server name %q holds a NUL byte", c.serverName)
	}
	n, err := c.config.native(!c.client)
	if err != nil {
		return err
	}
	if f := c.config.TicketKeyFile; f != nil && !c.client {
		c.handshaking.ticketKeys = f.current(c.log)
	}
	if err := c.newSession(n); err != nil {
		return err
	}
	if c.client {
		c.startResumption()
	}
	c.handshaking.setup = true
	return nil
}

// noteOutput notes whether output of the handshake has begun to go out.
func (c *Conn) noteOutput(sent bool) {
	if !sent {
		return
	}
	c.handshaking.sent = true
	if c.client {
		c.resumption.sent()
	}
}

// newSession makes a native session, in place of the one that there is.
func (c *Conn) newSession(n *native) error {
	s, err := c.makeSession(n, n.early != nil)
	if err != nil {
		return err
	}
	c.tlsMu.Lock()
	c.free()
	c.native = n
	c.session = &session{s: s, native: n}
	c.handshaking.session = c.session
	c.cleanup = runtime.AddCleanup(c, (*session).free, c.session)
	c.unlock() // frees it if Close came in between
	return nil
}

// makeSession makes a native session that nobody else knows yet. early tells whether a
// server takes early data.
func (c *Conn) makeSession(n *native, early bool) (*cgnutls.Session, error) {
	s, code := cgnutls.NewSession(cgnutls.Options{
		Server:      !c.client,
		FalseStart:  c.client && c.config.FalseStart,
		NoTickets:   c.config.SessionTicketsDisabled,
		Tickets:     c.client && !c.config.SessionTicketsDisabled,
		KeyLog:      c.config.KeyLogWriter != nil,
		Store:       !c.client,
		ByName:      n.byName != nil,
		AnyKeyUsage: c.client && c.config.InsecureSkipVerify,
		TLS13:       slices.Contains(n.priority.p.Protocols(), VersionTLS13),
		Requests:    !c.client && !c.config.TicketRequestsIgnored && !c.config.SessionTicketsDisabled,
		EarlyData:   early,
	})
	if code < 0 {
		return nil, check("making the session", code)
	}
	if err := c.configure(n, s, early); err != nil {
		s.Free()
		return nil, err
	}
	return s, nil
}

func (c *Conn) configure(n *native, s *cgnutls.Session, early bool) error {
	if err := check("setting the priorities", s.SetPriority(n.priority.p)); err != nil {
		return err
	}
	if err := check("setting the certificates", s.SetCertificateCredentials(n.certs.c)); err != nil {
		return err
	}
	if len(c.config.NextProtos) > 0 {
		if err := check("setting the application protocols", s.SetALPN(c.config.NextProtos, true, !c.client)); err != nil {
			return err
		}
	}
	if c.client {
		return c.configureClient(n, s)
	}
	return c.configureServer(n, s, early)
}

func (c *Conn) configureClient(n *native, s *cgnutls.Session) error {
	if _, err := netip.ParseAddr(c.serverName); err != nil && c.serverName != "" {
		if err := check("setting the server name", s.SetServerName(c.serverName)); err != nil {
			return err
		}
	}
	if n.pskClient != nil {
		return check("setting the pre-shared key", s.SetPSKClientCredentials(n.pskClient.c))
	}
	return nil
}

func (c *Conn) configureServer(n *native, s *cgnutls.Session, early bool) error {
	if c.config.ClientAuth != NoClientCert {
		s.RequestCertificate(c.config.ClientAuth.requires())
	}
	if n.pskServer != nil {
		if err := check("setting up pre-shared keys", s.SetPSKServerCredentials(n.pskServer.c)); err != nil {
			return err
		}
	}
	if c.config.SessionTicketsDisabled {
		return nil
	}
	s.LimitTickets(n.priority.p, uint8(n.maxTickets), c.config.LimitTickets != nil)
	if early {
		if err := c.acceptEarlyData(n.early, n.priority, s); err != nil {
			return err
		}
	}
	keys := c.handshaking.ticketKeys
	if c.handshaking.declines {
		s.DeclineTickets()
		keys = keys[:min(len(keys), 1)]
	}
	if len(keys) > 0 {
		return check("setting the ticket keys", s.EnableTicketKeys(keys))
	}
	return check("setting the ticket key", s.EnableTickets(n.ticketKey.key[:]))
}

// prepareHello decides what a client's first message asks for.
func (c *Conn) prepareHello() error {
	c.resumption.choose(c.setData)
	if err := c.requestTickets(); err != nil {
		return err
	}
	return c.sendEarly()
}

// settleFailed is for a handshake that failed: the cache learns what became of the session that
// it offered, or gets it back where it was not sent and is not to blame.
func (c *Conn) settleFailed(err error) {
	if !c.client {
		return
	}
	c.resumption.fail(c.faultOf(err))
	c.tellCache()
}

// faultOf says what the failure of a handshake may be due to. That the server closed the
// connection is not a failure of the transport.
func (c *Conn) faultOf(err error) fault {
	for _, gaveUp := range []error{context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, net.ErrClosed} {
		if errors.Is(err, gaveUp) {
			return faultElsewhere
		}
	}
	var ours *Error
	heard := c.handshaking.received > 0
	switch {
	case !heard && errors.Is(err, io.ErrUnexpectedEOF):
		return faultSilence
	case heard || errors.As(err, &ours):
		return faultSession
	}
	return faultElsewhere
}

func (c *Conn) tellCache() {
	if tell := c.resumption.tellCache(); tell != nil {
		tell()
	}
}

// abandonHandshake is settleFailed for Close, where no handshake is running that
// would do it itself.
func (c *Conn) abandonHandshake() {
	if c.handshakeDone.Load() || !c.reader.try() {
		return
	}
	defer c.reader.give()
	if c.writer.try() {
		defer c.giveWriter()
		if c.handshaking != nil {
			c.settleFailed(net.ErrClosed)
			if c.handshaking.paused != nil {
				c.reportFailure(c.handshaking.paused)
			}
		}
	}
}

// reportFailure logs, once, why a server's handshake failed: net/http and others
// drop its error.
func (c *Conn) reportFailure(err error) {
	if c.client || c.handshaking.reported {
		return
	}
	c.handshaking.reported = true
	level := slog.LevelWarn
	if c.handshaking.received == 0 && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)) {
		level = slog.LevelDebug // it looked whether somebody listens
	}
	c.log(level, "handshake failed", "error", err)
}

// callbacks returns what GnuTLS may call during the handshake.
func (c *Conn) callbacks(ctx context.Context) *cgnutls.Callbacks {
	cb := &cgnutls.Callbacks{Enter: c.enter, Err: c.handshaking.failed}
	if c.client {
		return cb
	}
	if get := c.config.GetPSK; get != nil {
		cb.PSK = func(identity []byte) ([]byte, error) { return get(ctx, string(identity)) }
	}
	if byName := c.native.byName; byName != nil {
		cb.ClientHello = func(name string) *cgnutls.CertificateCredentials {
			if subset := byName.forName(name); subset != nil {
				return subset.c
			}
			return nil
		}
	}
	if c.config.LimitTickets != nil {
		cb.LimitTickets = c.limitTickets(c.handshaking.session.s)
	}
	if c.native.early != nil {
		cb.EarlyData = c.takeAntiReplay
		cb.ReplayAdd = c.recordEarly(ctx)
	}
	c.addStore(ctx, cb)
	return cb
}

// addStore adds the store of TLS 1.2 sessions. That of this package never waits.
func (c *Conn) addStore(ctx context.Context, cb *cgnutls.Callbacks) {
	store := c.native.store
	enter := c.enter
	if c.config.SessionStore == nil {
		enter = func() error { return nil }
	}
	cb.StorePut = func(id, data []byte, expires time.Time) error {
		if err := enter(); err != nil {
			return err
		}
		return store.Put(ctx, id, data, expires)
	}
	cb.StoreGet = func(id []byte) ([]byte, error) {
		if c.handshaking.declines {
			return nil, nil
		}
		if err := enter(); err != nil {
			return nil, err
		}
		return store.Get(ctx, id)
	}
	cb.StoreDelete = func(id []byte) error {
		if err := enter(); err != nil {
			return err
		}
		return store.Delete(ctx, id)
	}
}

// failure turns a result code of GnuTLS into the error of a handshake.
func (c *Conn) failure(code cgnutls.Code) (err error) {
	if lost := c.withSession(func(s *cgnutls.Session) { err = failureOf("handshake", code, s) }); lost != nil {
		return &Error{Op: "handshake", Code: ErrorCode(code)}
	}
	return err
}

// handshakeFailure is failure with what the handshake's callbacks said.
func (c *Conn) handshakeFailure(code cgnutls.Code, cb *cgnutls.Callbacks) error {
	err := c.failure(code)
	e := err.(*Error)
	switch {
	case cb.Err != nil:
		e.Err = callbackError(cb.Err)
	case code == cgnutls.EarlyDataRejected:
		e.Err = ErrEarlyData
	case code == cgnutls.PrematureTermination, code == cgnutls.SessionEOF:
		e.Err = fmt.Errorf("the peer closed the connection: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// acceptPeer decides on the certificate that the peer has sent, and lets the
// handshake go on or tells the peer why not.
func (c *Conn) acceptPeer() error {
	cs, err := c.currentState()
	if !c.client {
		cs.DidResume = false // a certificate came
	} else if lost := c.resumption.judge(&cs, true); err == nil {
		err = lost
	}
	if err == nil {
		err = c.judge(&cs)
	}
	if err != nil {
		return c.reject(err)
	}
	return c.withSession((*cgnutls.Session).AcceptPeer)
}

// judge applies the configuration to the peer's certificate, or to its lack
// of one, and then VerifyConnection.
func (c *Conn) judge(cs *ConnectionState) error {
	certificate := len(cs.PeerCertificates) > 0
	switch {
	case c.client && !certificate && !cs.PSK && !cs.DidResume:
		return &Error{Op: "handshake", Code: CodeNoCertificateFound, Err: errors.New("the server sent no certificate")}
	case c.client && certificate && cs.DidResume:
		// Its scope says that this session was verified in the same way.
		if len(cs.VerifiedChains) > 0 {
		} else if !c.config.InsecureSkipVerify {
			return &Error{Op: "handshake", Code: CodeInvalidSession, Err: errNotVerified}
		} else if chain, err := c.verifyCertificate(); err != nil {
			cs.VerifyError = err
		} else {
			cs.VerifiedChains = [][]*x509.Certificate{chain}
		}
	case !c.client && cs.DidResume && cs.PSK && c.config.GetPSK == nil:
		return &Error{Op: "handshake", Code: CodeInvalidSession, Err: errors.New("the session was made with a pre-shared key")}
	case cs.DidResume && c.handshaking.verified != nil: // by mayResume
		cs.VerifiedChains = [][]*x509.Certificate{c.handshaking.verified}
	case certificate && (c.client || c.config.ClientAuth.verifies()):
		if c.client && c.serverName == "" && !c.config.InsecureSkipVerify {
			return errors.New("gnutls: the server presents a certificate and Config.ServerName is empty")
		}
		chain, err := c.verifyCertificate()
		switch {
		case err == nil:
			cs.VerifiedChains = [][]*x509.Certificate{chain}
		case c.client && c.config.InsecureSkipVerify:
			cs.VerifyError = err
		default:
			return err
		}
	case !c.client && !certificate && c.config.ClientAuth.requires() && !(cs.PSK && c.config.GetPSK != nil):
		return &Error{Op: "handshake", Code: CodeCertificateRequired}
	}
	c.handshaking.chains, c.handshaking.chainErr = cs.VerifiedChains, cs.VerifyError
	if c.config.VerifyConnection != nil {
		if err := c.config.VerifyConnection(*cs); err != nil {
			return err
		}
	}
	c.handshaking.judged = true
	return nil
}

// noClientCertificate ends a handshake that GnuTLS gave up for want of the
// client's certificate. Under TLS 1.2 it also does where an alert came in place
// of the certificate, and under TLS 1.3 where another message did.
func (c *Conn) noClientCertificate() error {
	if err := c.failure(cgnutls.FatalAlertReceived); err.(*Error).Alert != 0 {
		return err
	}
	const certificate = 11
	last := certificate
	c.withSession(func(s *cgnutls.Session) { last = s.LastReceived() })
	if last != certificate {
		return c.reject(&Error{Op: "handshake", Code: CodeUnexpectedPacket, Err: errors.New("the client sent something else in place of its certificate")})
	}
	return c.reject(&Error{Op: "handshake", Code: CodeCertificateRequired})
}

// certificateRequired returns the alert for a client without a certificate:
// TLS 1.2 has none of its own (RFC 5246 section 7.4.6).
func (c *Conn) certificateRequired() Alert {
	alert := AlertHandshakeFailure
	c.withSession(func(s *cgnutls.Session) {
		if s.State().Version == VersionTLS13 {
			alert = AlertCertificateRequired
		}
	})
	return alert
}

// reject tells the peer why it is not accepted and returns err.
func (c *Conn) reject(err error) error {
	c.handshakeErr = err
	alert := rejectionAlert(err)
	switch {
	case alert != AlertBadCertificate:
	case errors.Is(err, CodeCertificateRequired):
		alert = c.certificateRequired()
	case errors.Is(err, CodeInternalError):
		alert = AlertInternalError
	case errors.Is(err, CodeInvalidSession):
		alert = AlertIllegalParameter
	case errors.Is(err, CodeNoApplicationProtocol):
		alert = AlertNoApplicationProtocol
	case errors.Is(err, CodeUnexpectedPacket):
		alert = AlertUnexpectedMessage
	case errors.Is(err, cgnutls.ErrUnknownIdentity):
		alert = AlertUnknownPSKIdentity
	}
	c.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.Alert(cgnutls.Fatal, uint8(alert), out) })
	return err
}

// finish ends a handshake that is complete for GnuTLS. An error of a callback
// that did not fail the handshake is one of the store.
func (c *Conn) finish(cb *cgnutls.Callbacks) error {
	cs, err := c.currentState()
	var panicked *PanicError
	if failed := callbackError(cb.Err); errors.As(failed, &panicked) {
		err = &Error{Op: "handshake", Code: CodeInternalError, Err: failed}
	} else if failed != nil {
		c.log(slog.LevelWarn, "store failed", "error", failed)
	}
	if !c.client {
		cs.DidResume = cs.DidResume && !c.handshaking.judged
	} else if lost := c.resumption.judge(&cs, c.handshaking.judged); err == nil {
		err = lost
	}
	if err == nil && !c.handshaking.judged {
		err = c.judge(&cs)
	}
	var early []byte
	if err == nil && c.client {
		early, err = c.settleEarly(&cs)
	} else if err == nil {
		err = c.receiveEarly(&cs)
	}
	if err != nil {
		return c.reject(err)
	}
	if c.closed.Load() { // by VerifyConnection
		return net.ErrClosed
	}
	cs.VerifiedChains, cs.VerifyError = c.handshaking.chains, c.handshaking.chainErr
	cs.HandshakeComplete = true
	if c.client {
		c.finishClient(&cs, early)
	} else {
		c.state.Store(&cs)
		if cs.Version == VersionTLS13 && !c.config.SessionTicketsDisabled {
			c.sendTickets(&cs)
		}
	}
	c.handshaking = nil
	c.handshakeDone.Store(true)
	c.log(slog.LevelDebug, "handshake complete", "version", VersionName(cs.Version), "cipher", cs.CipherSuiteName,
		"resumed", cs.DidResume, "server_name", cs.ServerName)
	return nil
}

// finishClient ends a client's handshake. early must still be sent.
func (c *Conn) finishClient(cs *ConnectionState, early []byte) {
	c.resumption.settle(cs)
	c.tellCache()
	c.state.Store(cs)
	if cs.Version < VersionTLS13 {
		c.finish12(*cs)
	}
	if len(early) > 0 {
		c.later(func() error {
			_, err := c.write(early)
			return err
		})
	}
}

// finish12 keeps the session of a TLS 1.2 client.
func (c *Conn) finish12(cs ConnectionState) {
	if !cs.DidResume {
		falseStart := false
		if err := c.withSession(func(s *cgnutls.Session) { falseStart = s.FalseStarted() }); err != nil {
			return
		}
		if falseStart {
			c.falseStart = true
			return
		}
	}
	c.keepSession12()
}

func (c *Conn) currentState() (cs ConnectionState, err error) {
	lost := c.withSession(func(s *cgnutls.Session) {
		cs, err = c.connectionState(s.State())
		addTicketRequest(&cs, s)
	})
	return cs, errors.Join(lost, err)
}
