package coap

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"
)

// A Client talks to one server, and dials again when its session is over: because
// the connection broke, the handshake failed, or nobody acknowledges. What was in
// flight then fails as it does with a Session; the next request has a new session.
// Observations go on in it by themselves. Over DTLS and TLS a new session resumes the one before
// where that is possible, see Config.ClientSessionCache.
//
// Its methods may be called from any goroutine. Close ends it.
type Client struct {
	uri    string
	config *Config
	turn   chan struct{} // its holder may dial

	mu      sync.Mutex // guards what follows
	session *Session   // with a reference of the client; nil: to be dialled
	closed  bool
}

// NewClient returns a client for the server of a URI, see Dial. It dials with the
// first request.
func NewClient(uri string, config *Config) (*Client, error) {
	u, err := ParseURI(uri)
	if err != nil {
		return nil, err
	}
	return &Client{uri: uri, config: resuming(u.Protocol, config), turn: make(chan struct{}, 1)}, nil
}

// Close ends the client and its session. Further calls do nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	s := c.session
	c.session, c.closed = nil, true
	c.mu.Unlock()
	if s != nil {
		return s.Close()
	}
	return nil
}

// Do sends a request, and dials first if there is no session. See Session.Do.
func (c *Client) Do(ctx context.Context, r *Request) (*Response, error) {
	s, err := c.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Release()
	response, err := s.Do(ctx, r)
	if err != nil {
		c.judge(s, err)
	}
	return response, err
}

// Session returns the session that the client has, or dials. It comes with a
// reference that the caller must give back with Release.
func (c *Client) Session(ctx context.Context) (*Session, error) {
	if s, err := c.current(); s != nil || err != nil {
		return s, err
	}
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, c.failed(ctx.Err())
	}
	if s, err := c.current(); s != nil || err != nil {
		return s, err
	}
	s, err := Dial(ctx, c.uri, c.config)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		s.Close()
		return nil, c.failed(net.ErrClosed)
	}
	c.session = s
	return s.Reference(), nil
}

// current returns the session with a reference, or nil if there is none.
func (c *Client) current() (*Session, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, c.failed(net.ErrClosed)
	}
	if c.session == nil {
		return nil, nil
	}
	if c.session.Err() == nil {
		return c.session.Reference(), nil
	}
	c.retire()
	return nil, nil
}

func (c *Client) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *Client) failed(err error) error { return &Error{Op: "dial", Peer: c.uri, Err: err} }

// judge gives a session up that its server does not seem to know any more. Who
// still uses it may go on, unless it is over DTLS and the server was silent while a message was
// sent again: then it is over for all, who would find that out one after the other.
func (c *Client) judge(s *Session, err error) {
	if !errors.Is(err, ErrRetriesExhausted) && !errors.Is(err, ErrUnreachable) {
		return
	}
	c.mu.Lock()
	if c.session == s {
		c.retire()
	}
	c.mu.Unlock()
	if s.endSilent(err) {
		s.Close()
	}
}

// endSilent ends a session over DTLS that nothing was heard in for as long as a message is
// sent again that nobody acknowledges. It reports whether it did.
//
// The time before the first retransmission is left out: what came last is often what the message
// waited for (NSTART), and timers are not exact.
func (s *Session) endSilent(err error) bool {
	if s.enter() != nil {
		return false
	}
	defer s.leave()
	c := s.c
	config := &c.l.config
	n := orDefault(config.MaxRetransmit, defaultMaxRetransmit)
	again := time.Now().Add(-orDefault(config.AckTimeout, defaultAckTimeout) * (2<<n - 2))
	if c.proto != DTLS || c.usage.heard.After(again) || c.usage.alive.After(again) {
		return false
	}
	c.end(cause(err))
	return true
}

func (c *Client) retire() {
	s := c.session
	c.session = nil
	if s.Release() != nil { // it was over already
		s.Close()
	}
}
