package gnutls

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// A Conn is a TLS connection over any net.Conn. It is a net.Conn itself.
//
// All methods may be called from any goroutine. Read, Write and Close may run
// at the same time; of several Reads, or several Writes, one runs at a time.
// GnuTLS never waits inside C: all waiting is Go's, so deadlines, Close and
// contexts end it.
//
// A Conn must be closed. One that is dropped instead is freed by the garbage
// collector some time later.
type Conn struct {
	conn    net.Conn
	config  *Config
	native  *native
	client  bool
	cleanup runtime.Cleanup

	// What follows is the client's.
	serverName string
	cacheKey   string
	racing     int // connections that a Dialer tries at once, 0 for one
	resumption *resumption

	tlsMu sync.Mutex // guards session and what GnuTLS does with it, never held while waiting
	// session is nil after Close.
	session *session

	closed        atomic.Bool
	handshakeDone atomic.Bool
	failed        atomic.Pointer[failure] // after the handshake; set with tlsMu held
	state         atomic.Pointer[ConnectionState]

	shaking turn // of who runs the handshake; taken before the two others

	reader turn // guards the fields of the reading side
	in     input
	dry    bool // GnuTLS has nothing left to give before more input comes
	heard  bool // something has come since the handshake
	// falseStart: the handshake goes on until data come.
	falseStart bool
	// readErr is what Read returns from now on.
	readErr error

	writer turn // guards the fields of the writing side
	// unsent is output that must go to the peer before any other.
	unsent      []byte
	unsentBuf   *buffer
	writeErr    error
	closeNotify bool // was sent
	ticketsDue  int  // that a server has yet to make

	// What follows is guarded by reader and writer together. handshaking is nil
	// when the handshake is over.
	handshaking  *handshake
	handshakeErr error
	background   func()        // sends what follows the handshake; it gets writer
	produced     chan struct{} // closed when background has ended

	deadlineMu    sync.Mutex // guards what follows
	readDeadline  time.Time
	writeDeadline time.Time
	interrupted   bool
	// deadlineChanged is closed when readDeadline changes; nil while nobody waits for that.
	deadlineChanged chan struct{}

	keptMu   sync.Mutex  // guards kept, to which only the holder of reader adds
	kept     []byte      // data that SessionData received
	haveKept atomic.Bool // whether there are any
}

// session is a native session with what it refers to. It is freed once, by
// Close or by the cleanup of a Conn that was dropped.
type session struct {
	s      *cgnutls.Session
	native *native
}

func (s *session) free() { s.s.Free() }

// turn is a lock that can be waited for with a context.
type turn chan struct{}

func newTurn() turn { return make(turn, 1) }

func (t turn) take() { t <- struct{}{} }
func (t turn) give() { <-t }

func (t turn) takeContext(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turn) try() bool {
	select {
	case t <- struct{}{}:
		return true
	default:
		return false
	}
}

// Client returns the client side of a TLS connection over conn. The handshake
// runs with the first Read, Write or call of HandshakeContext. Config needs
// ServerName, InsecureSkipVerify or a pre-shared key; nil is not enough. Errors
// in config come from the handshake.
func Client(conn net.Conn, config *Config) *Conn { return newConn(conn, config, true) }

// Server returns the server side of a TLS connection over conn. The handshake
// runs with the first Read, Write or call of HandshakeContext. Config needs
// Certificates or GetPSK. Errors in config come from the handshake.
func Server(conn net.Conn, config *Config) *Conn { return newConn(conn, config, false) }

func newConn(conn net.Conn, config *Config, client bool) *Conn {
	if config == nil {
		config = new(Config)
	}
	c := &Conn{
		conn:    conn,
		config:  config,
		client:  client,
		shaking: newTurn(),
		reader:  newTurn(),
		writer:  newTurn(),

		handshaking: new(handshake),
	}
	c.in.init(conn)
	c.state.Store(new(ConnectionState))
	if client {
		c.resumption = new(resumption)
		c.setServerName(config.ServerName)
	}
	return c
}

func (c *Conn) setServerName(name string) {
	c.serverName = normalizeName(name)
	c.cacheKey = cacheKey(c.serverName, c.conn.RemoteAddr())
}

// normalizeName drops the dot that ends an absolute name and the brackets and
// zone of an IPv6 address.
func normalizeName(name string) string {
	name = strings.TrimSuffix(name, ".")
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.WithZone("").String()
	}
	return name
}

// withSession calls f with the native session while nobody else uses it.
func (c *Conn) withSession(f func(*cgnutls.Session)) error {
	if !c.lock() {
		return net.ErrClosed
	}
	defer c.unlock()
	f(c.session.s)
	return nil
}

// lock takes tlsMu. It reports false, and holds nothing, when the session is
// gone.
func (c *Conn) lock() bool {
	c.tlsMu.Lock()
	if c.session == nil || c.closed.Load() {
		c.unlock()
		return false
	}
	return true
}

// unlock gives tlsMu back. Close does not wait for C, where a callback may be
// calling it: whoever leaves C after it frees the session.
func (c *Conn) unlock() {
	c.tlsMu.Unlock()
	if c.closed.Load() && c.tlsMu.TryLock() {
		c.free()
		c.tlsMu.Unlock()
	}
}

func (c *Conn) free() {
	if c.session != nil {
		c.cleanup.Stop()
		c.session.free()
		c.session = nil
	}
}

// Read reads data into p. At the peer's close_notify it returns io.EOF; when
// the transport ends without one, an error that matches io.ErrUnexpectedEOF.
// After a deadline has passed Read can be called again.
//
// What the peer must not send is fatal, and so is an alert that says so: the
// peer gets one alert for it, and Write, Read and CloseWrite return the error
// from then on. The session is not resumed: a ClientSessionCache that is a
// SessionDecliner and a SessionStore forget it (RFC 8446 section 6.2).
func (c *Conn) Read(p []byte) (int, error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if len(p) == 0 {
		return 0, nil
	}
	for {
		if n := c.takeKept(p); n > 0 {
			return n, nil
		}
		n, err := c.read(p)
		c.deliver()
		c.forgetSession()
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// read reads once: data, or an error, or nothing where only a ticket came.
func (c *Conn) read(p []byte) (int, error) {
	c.reader.take()
	defer c.reader.give()
	if n := c.takeKept(p); n > 0 {
		return n, nil
	}
	return c.receive(p)
}

// maxCrossing bounds the data of one call into C: two full records. A longer
// call loses its processor to the Go scheduler.
const maxCrossing = 32 << 10

// receive is read past what SessionData kept. The caller holds reader.
func (c *Conn) receive(p []byte) (int, error) {
	for {
		if c.closed.Load() {
			return 0, net.ErrClosed
		}
		if c.readErr != nil {
			return 0, c.readErr
		}
		if err := c.fatal(); err != nil { // of writing
			return 0, err
		}
		if c.dry && !c.in.eof {
			if err := c.in.fill(); err != nil {
				return 0, c.readFailure(err)
			}
		}
		n, ticket := c.decrypt(p)
		if n > 0 || ticket {
			return n, nil
		}
	}
}

// decrypt lets GnuTLS use up the input: it returns data, or whether a ticket
// came, or sets readErr, or finds that it needs more.
func (c *Conn) decrypt(p []byte) (n int, ticket bool) {
	if !c.lock() {
		c.readErr = net.ErrClosed
		return 0, false
	}
	r := c.session.s.Recv(c.in.bytes(), c.in.eof, p[:min(len(p), maxCrossing)])
	tickets, keys := c.collect(r)
	var failed *failure
	if r.Code < 0 && !r.Ended {
		failed = c.fail("read", r.Code)
	}
	c.unlock()
	c.in.skip(r.Used)
	c.dry = r.Starved
	c.heard = c.heard || r.Used > 0
	c.logKeys(keys)
	if c.client {
		c.resumption.collect(tickets)
	}
	if c.falseStart && r.N > 0 {
		c.falseStart = false
		c.keepSession12()
	}
	switch {
	case r.Closed:
		c.readErr = io.EOF
	case r.Ended && c.config.AllowTruncation:
		c.readErr = io.EOF
	case r.Ended:
		c.readErr = truncated("read")
	case failed != nil:
		c.readErr = failed.err
		c.tellSoon()
	}
	return r.N, len(tickets) > 0
}

// readFailure says what a failed read of the transport means. All but a
// deadline is final.
func (c *Conn) readFailure(err error) error {
	if c.closed.Load() {
		return net.ErrClosed
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		c.readErr = err
	}
	return err
}

// alertFor tells the peer about an error. The caller holds writer.
func (c *Conn) alertFor(code cgnutls.Code) {
	switch code {
	case cgnutls.FatalAlertReceived, cgnutls.PrematureTermination, cgnutls.SessionEOF, cgnutls.InvalidSession:
		return
	}
	c.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.AlertFor(code, out) })
}

// lastWordTimeout bounds how long an alert may wait for the peer.
const lastWordTimeout = 5 * time.Second

// sendLast sends the last thing on the connection, which is nobody's loss if
// it does not arrive. The caller holds writer.
func (c *Conn) sendLast(f func(*cgnutls.Session, []byte) cgnutls.Result) {
	limit := time.Now().Add(lastWordTimeout)
	c.deadlineMu.Lock()
	if c.writeDeadline.IsZero() || c.writeDeadline.After(limit) {
		c.conn.SetWriteDeadline(limit)
		defer func() {
			c.deadlineMu.Lock()
			c.conn.SetWriteDeadline(c.writeDeadline)
			c.deadlineMu.Unlock()
		}()
	}
	c.deadlineMu.Unlock()
	c.produce(f)
}

// Write encrypts p and sends it. When it fails, n says how much of p is on its
// way: after a deadline, Write can go on with p[n:], and what could not be
// sent yet goes first.
func (c *Conn) Write(p []byte) (n int, err error) {
	if err := c.Handshake(); err != nil {
		return 0, err
	}
	if err := c.takeWriter(); err != nil {
		return 0, err
	}
	n, err = c.write(p)
	c.giveWriter()
	if err != nil {
		c.forgetSession()
	}
	return n, err
}

// takeWriter takes writer to send something. It holds nothing when it fails.
func (c *Conn) takeWriter() error {
	c.writer.take()
	err := c.writable()
	if err != nil {
		c.giveWriter()
	}
	return err
}

var errWriteClosed = errors.New("the writing side is closed")

func (c *Conn) writable() error {
	switch {
	case c.closed.Load():
		return net.ErrClosed
	case c.fatal() != nil:
		return c.fatal()
	case c.writeErr != nil:
		return c.writeErr
	case c.closeNotify:
		return &Error{Op: "write", Code: CodeInvalidRequest, Err: errWriteClosed}
	case c.writeExpired():
		return os.ErrDeadlineExceeded
	}
	if err := c.flush(); err != nil {
		return err
	}
	return c.produceTickets(0)
}

// write encrypts p and sends it. The caller holds writer.
func (c *Conn) write(p []byte) (n int, err error) {
	for full := false; n < len(p) || full; {
		buf := getBuffer()
		if !c.lock() {
			putBuffer(buf)
			return n, net.ErrClosed
		}
		if err := c.fatal(); err != nil {
			c.unlock()
			putBuffer(buf)
			return n, err
		}
		r := c.session.s.Send(p[n:min(len(p), n+maxCrossing)], buf[:])
		c.noteSent(r)
		c.unlock()
		n += r.N
		full = r.Full
		if err := c.sent(buf, r); err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *Conn) writeExpired() bool {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	return !c.writeDeadline.IsZero() && !time.Now().Before(c.writeDeadline)
}

// produce calls f until GnuTLS has given out all that it made, and sends that.
// The caller holds writer.
func (c *Conn) produce(f func(*cgnutls.Session, []byte) cgnutls.Result) error {
	for {
		buf := getBuffer()
		if !c.lock() {
			putBuffer(buf)
			return net.ErrClosed
		}
		r := f(c.session.s, buf[:])
		c.noteSent(r)
		c.unlock()
		if err := c.sent(buf, r); err != nil || !r.Full {
			return err
		}
	}
}

// noteSent notes an error of GnuTLS in making output. The caller holds writer
// and tlsMu.
func (c *Conn) noteSent(r cgnutls.Result) {
	switch {
	case r.Code >= 0:
	case c.handshakeDone.Load():
		c.writeErr = c.fail("write", r.Code).err
	default:
		c.writeErr = failureOf("write", r.Code, c.session.s)
	}
}

// sent sends the output of a call into GnuTLS, in buf, which it owns, and
// returns the error of that call.
func (c *Conn) sent(buf *buffer, r cgnutls.Result) error {
	err := c.send(buf, r.Made)
	if fatal := c.fatal(); fatal != nil {
		return fatal
	}
	if err == nil && r.Code < 0 {
		err = c.writeErr
	}
	return err
}

// Close sends close_notify, unless a Write is under way, closes the
// connection and frees its native session. It may be called from any
// goroutine, ends Reads and Writes that wait, and does nothing the second time.
// After a fatal alert, sent or received, it sends nothing.
//
// A client must not lose what it has written when tickets that nobody reads
// make the kernel reset the connection. So Close takes them off the socket,
// and where none has come yet, the socket is kept for them in the background
// until the server closes, for 5 seconds at most.
func (c *Conn) Close() error {
	if c.closed.Load() {
		return nil
	}
	linger := false
	if c.handshakeDone.Load() && c.lastWriter() {
		if !c.closeNotify && c.writeErr == nil && c.fatal() == nil {
			c.closeNotify = true
			c.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.Bye(out) })
		}
		linger = c.drain() && c.writeErr == nil
		c.giveWriter()
		c.deliver()
	}
	c.forgetSession()
	if c.closed.Swap(true) {
		return nil
	}
	c.deadlineMu.Lock()
	c.wakeTurnLocked()
	c.deadlineMu.Unlock()
	c.abandonHandshake()
	var err error
	if linger && c.reader.try() {
		err = c.linger()
		c.reader.give()
	} else {
		err = c.conn.Close()
	}
	if c.tlsMu.TryLock() {
		c.unlock()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil // somebody closed NetConn before
	}
	return err
}

// lastWriter takes writer for Close, after tickets in the background and the
// alert of a failure. Where a Write waits it is left alone.
func (c *Conn) lastWriter() bool {
	if c.produced != nil {
		select {
		case <-c.produced:
		case <-time.After(lastWordTimeout):
		}
	}
	c.waitTold()
	return c.writer.try()
}

// maxDrain bounds the input that Close takes off a socket, in buffers.
const maxDrain = 32

// drain takes what has come off the socket of a client that is closing, and
// gives tickets to their cache. It reports whether some may still be on their
// way.
func (c *Conn) drain() (expecting bool) {
	if !c.client || c.in.raw == nil || !c.reader.try() {
		return false
	}
	defer c.reader.give()
	scratch := getBuffer()
	for fills := 0; c.readErr == nil && fills < maxDrain; {
		if c.dry {
			if !c.in.fillNow() {
				break
			}
			fills++
		}
		c.decrypt(scratch[:])
	}
	putBuffer(scratch)
	cs := c.state.Load()
	return !c.heard && c.readErr == nil && c.fatal() == nil && !c.config.SessionTicketsDisabled &&
		cs.Version == VersionTLS13 && !cs.noTickets()
}

// linger closes the writing side of the socket now, and the socket when the
// peer has closed its own.
func (c *Conn) linger() error {
	if err := c.conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return errors.Join(err, c.conn.Close())
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(lastWordTimeout)); err != nil {
		return errors.Join(err, c.conn.Close())
	}
	go func(conn net.Conn) {
		io.Copy(io.Discard, conn)
		conn.Close()
	}(c.conn)
	return nil
}

// CloseWrite sends close_notify and leaves the connection open for reading
// (gnutls_bye with GNUTLS_SHUT_WR). Write fails from then on.
func (c *Conn) CloseWrite() error {
	if !c.handshakeDone.Load() {
		return duringHandshake("close write")
	}
	c.writer.take()
	defer c.giveWriter()
	if c.closed.Load() {
		return net.ErrClosed
	}
	if err := c.fatal(); err != nil {
		return err
	}
	if c.writeErr != nil {
		return c.writeErr
	}
	if err := c.flush(); err != nil {
		return err
	}
	if c.closeNotify {
		return nil
	}
	c.closeNotify = true
	return c.produce(func(s *cgnutls.Session, out []byte) cgnutls.Result { return s.Bye(out) })
}

// LocalAddr returns the local address of the underlying connection.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// RemoteAddr returns the remote address of the underlying connection.
func (c *Conn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

// NetConn returns the underlying connection. Reading from it or writing to it
// breaks the TLS connection.
func (c *Conn) NetConn() net.Conn { return c.conn }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets the time after which Read, a handshake and SessionData
// fail with os.ErrDeadlineExceeded; zero means never. It wakes those that wait.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.readDeadline = t
	c.wakeTurnLocked()
	if c.interrupted {
		return nil
	}
	return c.conn.SetReadDeadline(t)
}

// SetWriteDeadline sets the time after which Write and a handshake fail with
// os.ErrDeadlineExceeded; zero means never. It wakes those that wait. Data that
// a Write has reported as written and that could not be sent in time go out
// with the next Write.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	if c.closed.Load() {
		return net.ErrClosed
	}
	c.writeDeadline = t
	return c.conn.SetWriteDeadline(t)
}

var longAgo = time.Unix(1, 0)

// interruptRead ends the waiting of whoever holds reader, until resumeRead.
func (c *Conn) interruptRead() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.interrupted = true
	c.conn.SetReadDeadline(longAgo)
}

func (c *Conn) resumeRead() {
	c.deadlineMu.Lock()
	defer c.deadlineMu.Unlock()
	c.interrupted = false
	c.conn.SetReadDeadline(c.readDeadline)
}

// ConnectionState returns what the handshake has settled. Before it is over,
// HandshakeComplete is false and nothing else is set.
func (c *Conn) ConnectionState() ConnectionState { return *c.state.Load() }
