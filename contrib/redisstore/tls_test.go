package redisstore

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// newServer returns the configuration of a server that resumes by session ID,
// with the sessions of a store.
func newServer(t testing.TB, store gnutls.SessionStore) *gnutls.Config {
	t.Helper()
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	return &gnutls.Config{
		Certificates:           []gnutls.Certificate{cert},
		SessionTicketsDisabled: true,
		SessionStore:           store,
	}
}

// newTLSClient returns the configuration of a client that resumes by session
// ID.
func newTLSClient(t testing.TB) *gnutls.Config {
	t.Helper()
	pool := gnutls.NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	return &gnutls.Config{
		RootCAs:                pool,
		ServerName:             "localhost",
		MaxVersion:             gnutls.VersionTLS12,
		SessionTicketsDisabled: true,
	}
}

// A visit is a connection to a server over which a line went.
type visit struct {
	resumed bool
	session *gnutls.SessionData
	took    time.Duration // for the handshake
}

// connect makes a visit that offers a session, or none.
func connect(t testing.TB, client, server *gnutls.Config, session *gnutls.SessionData) visit {
	t.Helper()
	v, err := tryConnect(waitContext(t), client, server, session)
	require.NoError(t, err)
	return v
}

func tryConnect(ctx context.Context, client, server *gnutls.Config,
	session *gnutls.SessionData) (v visit, err error) {
	a, b := net.Pipe()
	c, s := gnutls.Client(a, client), gnutls.Server(b, server)
	defer c.Close()
	if session != nil {
		if err := c.Resume(session); err != nil {
			return v, err
		}
	}
	const line = "hello"
	served := make(chan error, 1)
	go func() {
		defer s.Close()
		err := s.HandshakeContext(ctx)
		if err == nil {
			_, err = io.WriteString(s, line)
		}
		served <- err
	}()
	start := time.Now()
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return v, errors.Join(err, <-served)
	}
	v.took = time.Since(start)
	v.resumed = c.ConnectionState().DidResume
	got, err := io.ReadAll(c)
	if err != nil || string(got) != line {
		return v, fmt.Errorf("read %q: %w", got, err)
	}
	if err := <-served; err != nil {
		return v, err
	}
	v.session, err = c.SessionData(ctx)
	return v, err
}

func TestServersThatShareAStoreResumeEachOther(t *testing.T) {
	r := newRedis(t)
	opts := Options{Key: newKey(t)}
	var servers []*gnutls.Config
	for range 2 {
		servers = append(servers, newServer(t, newStore(t, r.client(t, nil), opts)))
	}
	alone := newServer(t, nil)
	client := newTLSClient(t)

	for i := range servers {
		first := connect(t, client, servers[i], nil)
		assert.False(t, first.resumed)
		assert.True(t, connect(t, client, servers[1-i], first.session).resumed)
		assert.True(t, connect(t, client, servers[i], first.session).resumed)
		assert.False(t, connect(t, client, alone, first.session).resumed)
	}
}

func TestServerWithoutTheKeyMakesFullHandshakes(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	redisClient := r.client(t, nil)
	server := newServer(t, newStore(t, redisClient, Options{Key: newKey(t)}))
	stranger := newServer(t, newStore(t, redisClient, Options{Key: newKey(t)}))
	client := newTLSClient(t)

	first := connect(t, client, server, nil)
	assert.False(t, connect(t, client, stranger, first.session).resumed)

	second := connect(t, client, server, nil)
	require.True(t, connect(t, client, server, second.session).resumed)
	keys := redisClient.Keys(ctx, "gnucoap:session:*").Val()
	require.NotEmpty(t, keys)
	for _, key := range keys {
		_, err := hex.DecodeString(key[len("gnucoap:session:"):])
		require.NoError(t, err)
		sealed, err := redisClient.Get(ctx, key).Bytes()
		require.NoError(t, err)
		sealed[len(sealed)/2] ^= 1
		require.NoError(t, redisClient.Set(ctx, key, sealed, time.Hour).Err())
	}
	assert.False(t, connect(t, client, server, second.session).resumed, "changed in redis")
}

func TestSessionsGoWithTheRedisThatHadThem(t *testing.T) {
	r := newRedis(t)
	server := newServer(t,
		newStore(t, r.client(t, nil), Options{Key: newKey(t), Timeout: time.Second}))
	client := newTLSClient(t)
	session := connect(t, client, server, nil).session
	require.True(t, connect(t, client, server, session).resumed)

	r.stop(t)
	for range 5 {
		v := connect(t, client, server, session)
		assert.False(t, v.resumed)
		assert.Less(t, v.took, 5*time.Second)
	}

	r.start(t)
	require.Eventually(t, func() bool {
		session = connect(t, client, server, session).session
		return connect(t, client, server, session).resumed
	}, wait, 10*time.Millisecond)
}

func TestRedisThatHangsMakesNoConnectionSlow(t *testing.T) {
	const timeout, connections = 200 * time.Millisecond, 20
	redisClient := newClient(t, &redis.Options{Addr: silentServer(t), ReadTimeout: wait})
	store := newStore(t, redisClient, Options{Key: newKey(t), Timeout: timeout})
	server, client := newServer(t, store), newTLSClient(t)
	session := connect(t, client, newServer(t, nil), nil).session
	ctx := waitContext(t)

	visits := make([]visit, connections)
	var all sync.WaitGroup
	start := time.Now()
	for i := range visits {
		all.Add(1)
		go func() {
			defer all.Done()
			var err error
			visits[i], err = tryConnect(ctx, client, server, session)
			assert.NoError(t, err)
		}()
	}
	all.Wait()
	assert.GreaterOrEqual(t, time.Since(start), timeout, "some wait for redis")
	assert.Less(t, time.Since(start), 5*time.Second)
	for _, v := range visits {
		assert.False(t, v.resumed)
	}
}
