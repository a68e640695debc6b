package redisstore

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	logging.Disable() // of servers that are down on purpose
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

// wait bounds what a test waits for; nothing takes this long.
const wait = 20 * time.Second

func waitContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	t.Cleanup(cancel)
	return ctx
}

// A redisServer is a redis that listens on a Unix socket.
type redisServer struct {
	dir, program string
	process      *testenv.Process
}

// newRedis starts a redis. It is redis-check-rdb under the name of
// redis-server: they are the same program, and in Debian's package of the
// former there is no service that would start by itself.
func newRedis(t testing.TB) *redisServer {
	t.Helper()
	// Not t.TempDir, whose path may be too long for a socket.
	dir, err := os.MkdirTemp("", "redis")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	r := &redisServer{dir: dir, program: filepath.Join(dir, "redis-server")}
	require.NoError(t, os.Symlink(testenv.Peer(t, "redis-check-rdb"), r.program))
	r.start(t)
	return r
}

func (r *redisServer) start(t testing.TB) {
	t.Helper()
	r.process = testenv.Start(t, r.program, "--port", "0", "--unixsocket", r.socket(), "--dir", r.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	r.process.Expect(t, "eady to accept connections")
}

// stop ends redis, which forgets everything.
func (r *redisServer) stop(t testing.TB) {
	t.Helper()
	r.client(t, &redis.Options{MaxRetries: -1}).ShutdownNoSave(waitContext(t))
	r.process.Wait(t)
}

func (r *redisServer) socket() string { return filepath.Join(r.dir, "socket") }

// client returns a client with the given options, or the default ones.
func (r *redisServer) client(t testing.TB, opts *redis.Options) *redis.Client {
	t.Helper()
	if opts == nil {
		opts = new(redis.Options)
	}
	opts.Network, opts.Addr = "unix", r.socket()
	return newClient(t, opts)
}

func newClient(t testing.TB, opts *redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(opts)
	t.Cleanup(func() { client.Close() })
	return client
}

// silentServer returns the address of a server that takes connections and
// never answers.
func silentServer(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	served := make(chan struct{})
	go func() {
		defer close(served)
		var conns []net.Conn
		for {
			conn, err := ln.Accept()
			if err != nil {
				for _, conn := range conns {
					conn.Close()
				}
				return
			}
			conns = append(conns, conn)
		}
	}()
	t.Cleanup(func() { ln.Close(); <-served })
	return ln.Addr().String()
}

func newKey(t testing.TB) *gnutls.TicketKey {
	t.Helper()
	key, err := gnutls.NewTicketKey()
	require.NoError(t, err)
	return key
}

// newStore makes a store that is patient with a busy machine, where opts set
// no Timeout.
func newStore(t testing.TB, client redis.UniversalClient, opts Options) *Store {
	t.Helper()
	if opts.Timeout == 0 {
		opts.Timeout = wait
	}
	store, err := New(client, opts)
	require.NoError(t, err)
	return store
}
