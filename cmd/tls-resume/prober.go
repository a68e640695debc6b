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
	"time"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

// moreTickets is how long to wait, at least, for the next ticket after one.
const moreTickets = 50 * time.Millisecond

// A result is what became of one connection.
type result struct {
	Connection     int     `json:"connection"`
	Version        string  `json:"version"` // empty where the handshake failed
	Cipher         string  `json:"cipher"`
	Group          string  `json:"group"`
	Resumed        bool    `json:"resumed"`
	Tickets        int     `json:"tickets"`
	TicketLifetime int64   `json:"ticket_lifetime_s"`
	HandshakeMs    float64 `json:"handshake_ms"`
	Error          string  `json:"error"`

	further bool   // it should resume
	advice  string // what may help, where it did not
}

// A prober makes connections that resume each other's sessions. It is for one
// goroutine.
type prober struct {
	opts   *options
	config *gnutls.Config

	unused   []*gnutls.SessionData // the newest last
	received []*gnutls.SessionData // on the current connection
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
	config.OnSessionTicket = func(_ *gnutls.Conn, d *gnutls.SessionData) {
		p.unused = append(p.unused, d)
		p.received = append(p.received, d)
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
	p.received = nil
	missing := p.missing
	p.missing = notResumed{reason: "the connection before failed"}
	err := p.use(ctx, &r, missing)
	r.Tickets = len(p.received)
	if r.Tickets > 0 {
		r.TicketLifetime = int64(p.received[r.Tickets-1].Lifetime() / time.Second)
	}
	if err != nil {
		r.Error, r.advice = trim(err), ""
	}
	return r, err
}

// use makes the connection of r. missing is why there may be nothing to resume
// with.
func (p *prober) use(ctx context.Context, r *result, missing notResumed) error {
	dialer := net.Dialer{Timeout: p.opts.stepLimit}
	raw, err := dialer.DialContext(ctx, "tcp", p.opts.address)
	if err != nil {
		return err
	}
	conn := gnutls.Client(raw, p.config)
	defer conn.Close() // which takes in the tickets that have come
	offered := p.take()
	var unusable *gnutls.SessionDataError
	if offered != nil {
		if err := conn.Resume(offered); err != nil && !errors.As(err, &unusable) {
			return err
		}
	}
	took, err := p.handshake(ctx, conn)
	if err != nil {
		return err
	}
	st := conn.ConnectionState()
	r.Version, r.Cipher, r.Group, r.Resumed = gnutls.VersionName(st.Version), st.CipherSuiteName, st.Group, st.DidResume
	r.HandshakeMs = math.Round(float64(took.Microseconds())) / 1000
	if r.further && !r.Resumed {
		why := missing
		switch {
		case unusable != nil:
			why = cannotUse(unusable)
		case offered != nil:
			why = refused(offered.Version(), st.Version)
		}
		r.Error, r.advice = why.reason, why.advice
	}
	if p.opts.data != "" {
		if err := p.exchange(conn); err != nil {
			return err
		}
	}
	return p.awaitTickets(ctx, conn, took)
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

// exchange sends the data and reads until some reply comes.
func (p *prober) exchange(conn *gnutls.Conn) error {
	conn.SetDeadline(time.Now().Add(p.opts.stepLimit))
	defer conn.SetDeadline(time.Time{})
	if _, err := io.WriteString(conn, p.opts.data); err != nil {
		return fmt.Errorf("sending -data: %w", err)
	}
	_, err := conn.Read(make([]byte, 4096))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("no reply to -data within %v", p.opts.stepLimit)
	case ended(err):
		return errors.New("the server closed the connection without a reply to -data")
	case err != nil:
		return fmt.Errorf("reading the reply to -data: %w", err)
	}
	return nil
}

// ended reports whether err says that the server closed the connection.
func ended(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// awaitTickets waits for the tickets of a connection, whose handshake took
// some time, and notes why where there are none.
func (p *prober) awaitTickets(ctx context.Context, conn *gnutls.Conn, took time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, p.opts.wait)
	defer cancel()
	_, err := conn.SessionData(ctx)
	if conn.ConnectionState().Version < gnutls.VersionTLS13 {
		p.missing = notResumed{reason: "the server gave neither a session ticket nor a session ID"}
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

// refused says why the server made a full handshake although it was asked to
// resume a session of the version offered.
func refused(offered, now uint16) notResumed {
	if offered != now {
		return notResumed{reason: fmt.Sprintf("the session was one of %s, and the server now speaks %s",
			gnutls.VersionName(offered), gnutls.VersionName(now))}
	}
	return notResumed{
		reason: "the server refused to resume and made a full handshake",
		advice: "It may have lost the key or the store of its sessions, share neither with the other servers " +
			"of its name, or keep sessions for less time than it says.",
	}
}

// cannotUse says why session data were not offered to the server.
func cannotUse(err *gnutls.SessionDataError) notResumed {
	n := notResumed{reason: trim(err)}
	if errors.Is(err, gnutls.ErrSessionConfig) {
		n.advice = "Use the flags of the run that saved them."
	}
	return n
}

// trim returns the text of an error of package gnutls without the prefix.
func trim(err error) string { return strings.TrimPrefix(err.Error(), "gnutls: ") }
