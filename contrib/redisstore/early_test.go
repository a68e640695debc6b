package redisstore

import (
	"context"
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

// recorder notes what its AntiReplay answers.
type recorder struct {
	gnutls.AntiReplay
	added []bool
}

func (r *recorder) Add(ctx context.Context, id []byte, expires time.Time) (bool, error) {
	added, err := r.AntiReplay.Add(ctx, id, expires)
	r.added = append(r.added, added)
	return added, err
}

// newEarlyServer returns the configuration of a server that takes early data.
func newEarlyServer(t testing.TB, key *gnutls.TicketKey, replay gnutls.AntiReplay) *gnutls.Config {
	t.Helper()
	cert, err := gnutls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	return &gnutls.Config{
		Certificates: []gnutls.Certificate{cert},
		TicketKey:    key,
		MaxEarlyData: 1000,
		AntiReplay:   replay,
	}
}

// tap records what is written.
type tap struct {
	net.Conn
	mu  sync.Mutex
	all []byte
}

func (c *tap) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.all = append(c.all, p...)
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// sendEarly makes a connection that sends text early, and returns its server's
// state, what went over the wire, and a ticket.
func sendEarly(t testing.TB, server *gnutls.Config, d *gnutls.SessionData,
	text string) (gnutls.ConnectionState, []byte, *gnutls.SessionData) {
	t.Helper()
	config := newTLSClient(t)
	config.MaxVersion, config.SessionTicketsDisabled = 0, false
	a, b := net.Pipe()
	wire := &tap{Conn: a}
	c, s := gnutls.Client(wire, config), gnutls.Server(b, server)
	defer c.Close()
	if d != nil {
		require.NoError(t, c.Resume(d))
	}
	_, err := c.WriteEarlyData([]byte(text))
	require.NoError(t, err)
	served := make(chan error, 1)
	go func() {
		buf := make([]byte, len(text))
		_, err := io.ReadFull(s, buf)
		assert.Equal(t, text, string(buf))
		served <- err
		io.Copy(io.Discard, s)
		s.Close()
	}()
	require.NoError(t, c.HandshakeContext(waitContext(t)))
	require.NoError(t, <-served)
	ticket, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	return s.ConnectionState(), wire.all, ticket
}

func TestEarlyDataAreNotReplayedToAnotherServer(t *testing.T) {
	r := newRedis(t)
	key := newKey(t)
	var servers []*gnutls.Config
	var recorders []*recorder
	for range 2 {
		rec := &recorder{AntiReplay: newStore(t, r.client(t, nil), Options{Key: key})}
		server := newEarlyServer(t, key, rec)
		ln, err := gnutls.Listen("tcp", "127.0.0.1:0", server) // takes early data from now on
		require.NoError(t, err)
		require.NoError(t, ln.Close())
		servers, recorders = append(servers, server), append(recorders, rec)
	}
	_, _, ticket := sendEarly(t, servers[0], nil, "first")
	state, wire, _ := sendEarly(t, servers[0], ticket, "pay 100")
	require.True(t, state.EarlyDataAccepted)
	require.Equal(t, []bool{true}, recorders[0].added)

	a, b := net.Pipe()
	go func() {
		a.Write(wire)
		a.Close()
	}()
	go io.Copy(io.Discard, a)
	replayed := gnutls.Server(b, servers[1])
	defer replayed.Close()
	require.Error(t, replayed.HandshakeContext(waitContext(t)))
	assert.Equal(t, []bool{false}, recorders[1].added, "the other server knows of it")
	n, err := replayed.Read(make([]byte, 10))
	assert.Error(t, err)
	assert.Zero(t, n)
}

func TestEarlyDataComeLateWithoutRedis(t *testing.T) {
	r := newRedis(t)
	key := newKey(t)
	server := newEarlyServer(t, key, newStore(t, r.client(t, nil), Options{Key: key}))
	_, _, ticket := sendEarly(t, server, nil, "first")
	state, _, ticket := sendEarly(t, server, ticket, "second")
	require.True(t, state.EarlyDataAccepted)

	r.stop(t)
	state, _, _ = sendEarly(t, server, ticket, "third")
	assert.True(t, state.DidResume)
	assert.False(t, state.EarlyDataAccepted)
}

func TestEarlyDataComeLateWhenRedisHangs(t *testing.T) {
	client := newClient(t, &redis.Options{Addr: silentServer(t), ReadTimeout: wait})
	key := newKey(t)
	server := newEarlyServer(t, key,
		newStore(t, client, Options{Key: key, Timeout: 100 * time.Millisecond}))
	_, _, ticket := sendEarly(t, server, nil, "first")
	state, _, _ := sendEarly(t, server, ticket, "second")
	assert.True(t, state.DidResume)
	assert.False(t, state.EarlyDataAccepted)
}
