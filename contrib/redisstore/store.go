package redisstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/gnucoap/gnucoap/gnutls"
)

const (
	defaultPrefix  = "gnucoap:"
	defaultTimeout = 250 * time.Millisecond

	// Session IDs of TLS have up to 32 bytes, those of ClientHellos up to 64.
	maxID = 128
	// A session holds the client's certificates, and GnuTLS takes no message
	// of a handshake that is longer than this.
	maxSession = 128 << 10
)

// Options configure a Store.
type Options struct {
	// Key encrypts and authenticates the sessions in redis, which contain the keys
	// of connections. It is required, and must be the same on all servers. It may be
	// the one in gnutls.Config.TicketKey.
	Key *gnutls.TicketKey
	// Prefix begins the names of all keys in redis; empty means "gnucoap:".
	Prefix string
	// Timeout bounds each operation; 0 means 250 milliseconds. When redis hangs, it
	// delays the handshakes in progress by this time, and afterwards about one
	// handshake a second.
	Timeout time.Duration
}

// A Store keeps TLS 1.2 sessions and IDs of ClientHellos in redis, for all
// servers that use the same redis with the same options. Its methods may be
// called from any goroutine.
//
// After an operation has failed, or has not completed within Options.Timeout,
// operations fail at once for a second, with ErrDown. Then one is tried again.
type Store struct {
	client  redis.UniversalClient
	prefix  string
	timeout time.Duration
	seal    sealer
	breaker breaker
}

var (
	_ gnutls.SessionStore = (*Store)(nil)
	_ gnutls.AntiReplay   = (*Store)(nil)
)

// ErrDown is returned by the methods of a Store that do not try redis because an
// operation has just failed.
var ErrDown = errors.New("redis has just failed")

// New returns a Store that uses client. The caller closes client.
func New(client redis.UniversalClient, opts Options) (*Store, error) {
	switch {
	case client == nil:
		return nil, errors.New("redisstore: no client")
	case opts.Key == nil:
		return nil, errors.New("redisstore: Options.Key is not set")
	case opts.Timeout < 0:
		return nil, fmt.Errorf("redisstore: Options.Timeout is %s", opts.Timeout)
	}
	seal, err := newSealer(opts.Key)
	if err != nil {
		return nil, fmt.Errorf("redisstore: %w", err)
	}
	s := &Store{client: client, prefix: opts.Prefix, timeout: opts.Timeout, seal: seal}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	if s.timeout == 0 {
		s.timeout = defaultTimeout
	}
	// Longer than Timeout, so that one operation at a time waits in vain.
	s.breaker.pause = time.Second + s.timeout
	return s, nil
}

// Put keeps a session of at most 128 KiB (SET with PX). One that has expired is
// not kept.
func (s *Store) Put(ctx context.Context, id, data []byte, expires time.Time) error {
	const what = "storing a session"
	key, err := s.key("session:", id)
	if err != nil {
		return failure(what, err)
	}
	if len(data) > maxSession {
		return failure(what, fmt.Errorf("it has %d bytes, more than %d", len(data), maxSession))
	}
	ttl := untilMilli(expires)
	if ttl <= 0 {
		return nil
	}
	sealed, err := s.seal.seal(id, data)
	if err != nil {
		return failure(what, err)
	}
	_, err = do(ctx, s, func(ctx context.Context) (string, error) {
		return s.client.Set(ctx, key, sealed, ttl).Result()
	})
	return failure(what, err)
}

// Get returns a session (GETRANGE), or nil if there is none. A session that was not
// stored by Put for this ID with the same Options.Key is an error, and costs a full
// handshake, like a missing one.
func (s *Store) Get(ctx context.Context, id []byte) ([]byte, error) {
	const what = "fetching a session"
	key, err := s.key("session:", id)
	if err != nil {
		return nil, failure(what, err)
	}
	const most = maxSession + sealOverhead
	// One byte more, to see what is too long; but no more than that.
	sealed, err := do(ctx, s, func(ctx context.Context) (string, error) {
		return s.client.GetRange(ctx, key, 0, most).Result()
	})
	switch {
	case err != nil:
		return nil, failure(what, err)
	case sealed == "":
		return nil, nil
	case len(sealed) > most:
		return nil, failure(what, fmt.Errorf("it has more than %d bytes", most))
	}
	data, err := s.seal.open(id, []byte(sealed))
	return data, failure(what, err)
}

// Delete forgets a session, if it is there (DEL).
func (s *Store) Delete(ctx context.Context, id []byte) error {
	const what = "deleting a session"
	key, err := s.key("session:", id)
	if err != nil {
		return failure(what, err)
	}
	_, err = do(ctx, s, func(ctx context.Context) (int64, error) {
		return s.client.Del(ctx, key).Result()
	})
	return failure(what, err)
}

// Add records the ID of a ClientHello, and reports false if it is already recorded
// (SET with NX and PX).
func (s *Store) Add(ctx context.Context, id []byte, expires time.Time) (bool, error) {
	const what = "recording early data"
	key, err := s.key("early:", id)
	if err != nil {
		return false, failure(what, err)
	}
	ttl := untilMilli(expires)
	if ttl <= 0 {
		return false,
			failure(what, fmt.Errorf("they expire at %s, which has passed", expires.Format(time.RFC3339)))
	}
	added, err := do(ctx, s, func(ctx context.Context) (bool, error) {
		return s.client.SetNX(ctx, key, "", ttl).Result()
	})
	return added, failure(what, err)
}

// key is the key in redis of an ID. IDs come from the network.
func (s *Store) key(kind string, id []byte) (string, error) {
	if len(id) == 0 || len(id) > maxID {
		return "", fmt.Errorf("its ID has %d bytes, not 1 to %d", len(id), maxID)
	}
	return s.prefix + kind + hex.EncodeToString(id), nil
}

// untilMilli returns how long it is to t in milliseconds, rounded up.
func untilMilli(t time.Time) time.Duration {
	return (time.Until(t) + time.Millisecond - 1).Truncate(time.Millisecond)
}

func failure(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redisstore: %s: %w", what, err)
}

// do runs one operation of redis. It returns in time even if the client does not, as
// without redis.Options.ContextTimeoutEnabled.
func do[T any](ctx context.Context, s *Store, operation func(context.Context) (T, error)) (T,
	error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	if !s.breaker.allow(time.Now()) {
		return none, ErrDown
	}
	bounded, cancel := context.WithTimeoutCause(ctx, s.timeout,
		fmt.Errorf("redis did not answer within %s", s.timeout))
	defer cancel()
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := operation(bounded)
		done <- result{value, err}
	}()
	var r result
	select {
	case r = <-done:
	case <-bounded.Done():
		r.err = bounded.Err()
	}
	if r.err == nil {
		s.breaker.succeeded()
		return r.value, nil
	}
	if bounded.Err() != nil {
		r.err = context.Cause(bounded)
	}
	// A redis that is full can still be asked for what it has. A connection
	// that was given up says nothing about redis.
	if ctx.Err() == nil && !redis.IsOOMError(r.err) {
		s.breaker.failed(time.Now())
	}
	return none, r.err
}
