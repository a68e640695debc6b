package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

// moreTickets is how long to wait, at least, for the next ticket after one.
const moreTickets = 50 * time.Millisecond

// A result is what became of one connection.
type result struct {
	Connection     int    `json:"connection"`
	Version        string `json:"version"` // empty where the handshake failed
	Cipher         string `json:"cipher"`
	Group          string `json:"group"`
	Resumed        bool   `json:"resumed"`
	Tickets        int    `json:"tickets"`
	TicketLifetime int64  `json:"ticket_lifetime_s"`
	// TicketRequest is what was asked for, on full and on resumed handshakes,
	// and ExpectedTickets what the server announced; null where it did not.
	TicketRequest   []int   `json:"ticket_request"`
	ExpectedTickets *int    `json:"expected_tickets"`
	EarlyData       bool    `json:"early_data"` // whether the server took some
	HandshakeMs     float64 `json:"handshake_ms"`
	Error           string  `json:"error"`

	conn    *gnutls.Conn
	further bool   // it should resume
	advice  string // what may help, where it did not
}

// A prober makes connections that resume each other's sessions. It is for one
// goroutine.
type prober struct {
	opts   *options
	config *gnutls.Config

	pool   *gnutls.TicketPool    // nil without -pool and -race
	unused []*gnutls.SessionData // without pool, the newest last

	mu sync.Mutex // guards received: with -race connections get tickets at once
	// received is what came for the current result.
	received map[*gnutls.Conn][]*gnutls.SessionData
	// missing is why the last connection left nothing to resume with.
	missing notResumed
}

// notResumed is a reason why a connection did not resume, with what may help.
type notResumed struct{ reason, advice string }

func newProber(opts *options) (*prober, error) {
	config, err := opts.config()
	if err != nil {
		return nil, err
	}
	p := &prober{opts: opts, config: config}
	config.OnSessionTicket = func(conn *gnutls.Conn, d *gnutls.SessionData) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.pool == nil {
			p.unused = append(p.unused, d)
		}
		p.received[conn] = append(p.received[conn], d)
	}
	switch {
	case opts.pool != "":
		if p.pool, err = loadPool(opts.pool); err != nil {
			return nil, flags.Bad("pool", opts.pool, err)
		}
		config.ClientSessionCache = p.pool
	case opts.race:
		p.pool = new(gnutls.TicketPool)
		config.ClientSessionCache = p.pool
	}
	if opts.load != "" {
		d, err := readSessionFile(opts.load)
		if err != nil {
			return nil, flags.Bad("load", opts.load, err)
		}
		p.unused = append(p.unused, d)
	}
	return p, nil
}

// newest returns the newest session data that may be used, or nil.
func (p *prober) newest() *gnutls.SessionData {
	if len(p.unused) == 0 {
		return nil
	}
	return p.unused[len(p.unused)-1]
}

// take is newest for a connection that is about to use them.
func (p *prober) take() *gnutls.SessionData {
	d := p.newest()
	if d != nil && d.SingleUse() {
		p.unused = p.unused[:len(p.unused)-1]
	}
	return d
}

// connect makes one connection, from dialling to closing. The error is also in
// the result.
func (p *prober) connect(ctx context.Context, number int) (result, error) {
	r := result{Connection: number, further: number > 1 || p.opts.load != ""}
	p.mu.Lock()
	p.received = make(map[*gnutls.Conn][]*gnutls.SessionData)
	p.mu.Unlock()
	missing := p.missing
	p.missing = notResumed{reason: "the connection before failed"}
	err := p.use(ctx, &r, missing, p.opts.early)
	if errors.Is(err, gnutls.ErrEarlyData) {
		err = p.use(ctx, &r, missing, "")
	}
	if received := p.tickets(r.conn); len(received) > 0 {
		r.Tickets = len(received)
		r.TicketLifetime = int64(received[r.Tickets-1].Lifetime() / time.Second)
	}
	if err != nil {
		r.Error, r.advice = trim(err), ""
	}
	return r, err
}

func (p *prober) tickets(conn *gnutls.Conn) []*gnutls.SessionData {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.received[conn]
}

// use makes the connection of r. missing is why there may be nothing to resume
// with. early is what to send as early data.
func (p *prober) use(ctx context.Context, r *result, missing notResumed, early string) error {
	dial := p.dial
	if p.opts.race {
		dial = p.race
	}
	conn, took, err := dial(ctx, early)
	if err != nil {
		return err
	}
	defer conn.Close() // which takes in the tickets that have come
	r.conn = conn
	st := conn.ConnectionState()
	r.settled(st, took)
	// With a pool the first connection may find nothing.
	if p.pool != nil && !errors.Is(st.ResumeError, gnutls.ErrNoSession) {
		r.further = true
	}
	if r.further && !r.Resumed {
		why := because(st.ResumeError, missing)
		r.Error, r.advice = why.reason, why.advice
	}
	if data := p.late(early); data != "" || early != "" {
		if err := p.exchange(conn, data); err != nil {
			return err
		}
	}
	return p.awaitTickets(ctx, conn, took)
}

// dial makes a connection and returns how long its handshake took.
func (p *prober) dial(ctx context.Context, early string) (conn *gnutls.Conn, took time.Duration,
	err error) {
	dialer := net.Dialer{Timeout: p.opts.stepLimit}
	raw, err := dialer.DialContext(ctx, "tcp", p.opts.address)
	if err != nil {
		return nil, 0, err
	}
	conn = gnutls.Client(raw, p.config)
	defer func() {
		if err != nil {
			conn.Close()
		}
	}()
	if d := p.take(); d != nil {
		var unusable *gnutls.SessionDataError // which ResumeError tells
		if err := conn.Resume(d); err != nil && !errors.As(err, &unusable) {
			return nil, 0, err
		}
	}
	if early != "" {
		if _, err := conn.WriteEarlyData([]byte(early)); err != nil {
			return nil, 0, fmt.Errorf("sending -early: %w", err)
		}
	}
	took, err = p.handshake(ctx, conn)
	return conn, took, err
}

// race is dial over all addresses of the server, with the time that all of it
// took.
func (p *prober) race(ctx context.Context, _ string) (*gnutls.Conn, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*p.opts.stepLimit)
	defer cancel()
	dialer := gnutls.Dialer{NetDialer: &net.Dialer{Timeout: p.opts.stepLimit}, Config: p.config,
		Race: true}
	start := time.Now()
	conn, err := dialer.DialContext(ctx, "tcp", p.opts.address)
	if err != nil {
		return nil, 0, err
	}
	return conn.(*gnutls.Conn), time.Since(start), nil
}

func (p *prober) handshake(ctx context.Context, conn *gnutls.Conn) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, p.opts.stepLimit)
	defer cancel()
	start := time.Now()
	err := conn.HandshakeContext(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no handshake within %v", p.opts.stepLimit)
	}
	return time.Since(start), err
}

// settled notes what the handshake has settled.
func (r *result) settled(st gnutls.ConnectionState, took time.Duration) {
	r.Version, r.Cipher, r.Group, r.Resumed = gnutls.VersionName(st.Version), st.CipherSuiteName,
		st.Group, st.DidResume
	r.HandshakeMs = math.Round(float64(took.Microseconds())) / 1000
	r.EarlyData = st.EarlyDataAccepted
	if st.TicketRequest != nil {
		r.TicketRequest = []int{int(st.TicketRequest.New), int(st.TicketRequest.Resumed)}
	}
	if st.TicketRequestAnswered {
		r.ExpectedTickets = &st.ExpectedTickets
	}
}

// late returns what to send after the handshake where early went before it.
func (p *prober) late(early string) string {
	if early == "" {
		return p.opts.early + p.opts.data
	}
	return p.opts.data
}

// exchange sends data and reads until some reply comes.
func (p *prober) exchange(conn *gnutls.Conn, data string) error {
	flag := "-data"
	if p.opts.data == "" {
		flag = "-early"
	}
	conn.SetDeadline(time.Now().Add(p.opts.stepLimit))
	defer conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(conn, data); err != nil {
		return fmt.Errorf("sending %s: %w", flag, err)
	}
	_, err := conn.Read(make([]byte, 4096))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no reply to %s within %v", flag, p.opts.stepLimit)
	case ended(err):
		return fmt.Errorf("the server closed the connection without a reply to %s", flag)
	case err != nil:
		return fmt.Errorf("reading the reply to %s: %w", flag, err)
	}
	return nil
}

// ended reports whether err says that the server closed the connection.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// awaitTickets waits for the tickets of a connection, whose handshake took
// some time, and notes why if there are none.
func (p *prober) awaitTickets(ctx context.Context, conn *gnutls.Conn, took time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.wait)
	defer cancel()
	_, err := conn.SessionData(ctx)
	st := conn.ConnectionState()
	var unusable *gnutls.UnusableTicketError
	if errors.As(err, &unusable) {
		p.missing = notResumed{reason: trim(unusable)}
		return nil
	}
	if st.Version < gnutls.VersionTLS13 {
		p.missing = notResumed{reason: "the server gave neither a session ticket nor a session ID"}
		return nil
	}
	if st.TicketRequestAnswered && st.ExpectedTickets == 0 {
		p.missing = notResumed{reason: "the server announced that it sends no tickets"}
		return nil
	}
	if err == nil && st.TicketRequestAnswered && len(p.tickets(conn)) >= st.ExpectedTickets {
		return nil
	}
	if err == nil {
		conn.SetReadDeadline(time.Now().Add(min(p.opts.wait, max(took, moreTickets))))
		_, err = io.Copy(io.Discard, conn)
	}
	switch {
	case err == nil, ended(err):
		p.missing = notResumed{reason: "the server closed the connection before it sent a ticket"}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		p.missing = notResumed{
			reason: fmt.Sprintf("the server sent no ticket within %v", p.opts.wait),
			advice: "It may send none, or later: try a longer -wait.",
		}
	default:
		return err
	}
	return nil
}

// because says why a connection did not resume. missing is why there may have
// been nothing to resume with.
func because(err error, missing notResumed) notResumed {
	switch {
	case err == nil, errors.Is(err, gnutls.ErrNoSession):
		return missing
	case errors.Is(err, gnutls.ErrSessionDeclined):
		return notResumed{
			reason: "the server refused to resume and made a full handshake",
			advice: "It may have lost the key or the store of its sessions, " +
				"share neither with the other servers " +
				"of its name, or keep sessions for less time than it says.",
		}
	case errors.Is(err, gnutls.ErrSessionConfig):
		return notResumed{reason: trim(err), advice: "Use the flags of the run that saved them."}
	}
	return notResumed{reason: trim(err)}
}

// trim returns the text of an error of package gnutls without the prefix.
func trim(err error) string { return strings.TrimPrefix(err.Error(), "gnutls: ") }
