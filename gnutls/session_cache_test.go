package gnutls

import (
	"crypto/rand"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func fakeSession(version uint16, age time.Duration) *SessionData {
	return &SessionData{version: version, arrived: time.Now().Add(-age), lifetime: time.Hour,
		data: []byte(rand.Text())}
}

func TestCacheHandsEachTicketOutOnce(t *testing.T) {
	cache := NewClientSessionCache(0)
	older, newer := fakeSession(VersionTLS13, time.Minute), fakeSession(VersionTLS13, 0)
	cache.Put("a:1", older)
	cache.Put("a:1", newer)
	assert.Nil(t, cache.Get("a:2"), "another port is another server")
	assert.Same(t, older, cache.Get("a:1"), "the oldest first")
	assert.Same(t, newer, cache.Get("a:1"))
	assert.Nil(t, cache.Get("a:1"))
}

func TestCacheKeepsTLS12Sessions(t *testing.T) {
	cache := NewClientSessionCache(0)
	first, second := fakeSession(VersionTLS12, 0), fakeSession(VersionTLS12, 0)
	cache.Put("a:1", first)
	assert.Same(t, first, cache.Get("a:1"))
	assert.Same(t, first, cache.Get("a:1"))
	cache.Put("a:1", second)
	assert.Same(t, second, cache.Get("a:1"))
	assert.Same(t, second, cache.Get("a:1"))
}

func TestCacheDropsWhatHasExpired(t *testing.T) {
	cache := NewClientSessionCache(0)
	good := fakeSession(VersionTLS13, time.Minute)
	cache.Put("a:1", good)
	cache.Put("a:1", fakeSession(VersionTLS13, 2*time.Hour))
	cache.Put("b:1", fakeSession(VersionTLS12, time.Hour))
	assert.Same(t, good, cache.Get("a:1"))
	assert.Nil(t, cache.Get("a:1"))
	assert.Nil(t, cache.Get("b:1"))
	assert.Zero(t, cache.(*memoryCache).pool.Stats().Servers)
}

func TestCacheIsBounded(t *testing.T) {
	cache := NewClientSessionCache(2)
	for i := range 3 {
		cache.Put(fmt.Sprint(i), fakeSession(VersionTLS12, 0))
		cache.Get("0") // so that 1 is the one used least
	}
	assert.NotNil(t, cache.Get("0"))
	assert.Nil(t, cache.Get("1"))
	assert.NotNil(t, cache.Get("2"))

	for range 3 * cacheTickets {
		cache.Put("many", fakeSession(VersionTLS13, 0))
	}
	n := 0
	for cache.Get("many") != nil {
		n++
	}
	assert.Equal(t, cacheTickets, n)
}

// RFC 9149 asks clients to drop the tickets of a session that a server refused,
// and to ask for a number of tickets only where the user wants that.
func TestCacheLearnsOfRefusalsAndRequestsNothing(t *testing.T) {
	cache := NewClientSessionCache(0)
	require.Implements(t, (*SessionDecliner)(nil), cache)
	assert.NotImplements(t, (*TicketRequester)(nil), cache)

	one, other := fakeSession(VersionTLS13, time.Minute), fakeSession(VersionTLS13, 0)
	other.family = newSessionFamily()
	cache.Put("a:1", one)
	cache.Put("a:1", other)
	cache.(SessionDecliner).Decline("a:1", fakeSession(VersionTLS13, 0))
	assert.Same(t, other, cache.Get("a:1"))
	assert.Nil(t, cache.Get("a:1"))
}

func TestCacheIsSafeForManyGoroutines(t *testing.T) {
	cache := NewClientSessionCache(4)
	var wg sync.WaitGroup
	var mu sync.Mutex
	seen := make(map[*SessionData]int)
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 500 {
				cache.Put(fmt.Sprint(j%5), fakeSession(VersionTLS13, 0))
				if d := cache.Get(fmt.Sprint((i + j) % 5)); d != nil {
					mu.Lock()
					seen[d]++
					mu.Unlock()
				}
			}
		}()
	}
	wg.Wait()
	require.NotEmpty(t, seen)
	for _, n := range seen {
		assert.Equal(t, 1, n)
	}
}

func TestConnectionsResumeThroughTheCache(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for _, tickets := range []bool{true, false} {
			if !tickets && version == VersionTLS13 {
				continue
			}
			t.Run(fmt.Sprintf("%s tickets %t", VersionName(version), tickets), func(t *testing.T) {
				client, server := withVersion(clientConfig(t), version), serverConfig(t)
				server.SessionTicketsDisabled = !tickets
				client.ClientSessionCache = NewClientSessionCache(0)
				ln, err := Listen("tcp", "127.0.0.1:0", server)
				require.NoError(t, err)
				defer ln.Close()
				for i := range 4 {
					accepted := make(chan *Conn, 1)
					go func() {
						conn, err := ln.Accept()
						if err == nil {
							accepted <- conn.(*Conn)
							conn.(*Conn).Handshake()
						}
						close(accepted)
					}()
					c, err := Dial("tcp", ln.Addr().String(), client)
					require.NoError(t, err)
					s := <-accepted
					require.NotNil(t, s)
					echo(t, c, s)
					assert.Equal(t, i > 0, c.ConnectionState().DidResume)
					c.Close()
					s.Close()
				}
			})
		}
	}
}

func TestCacheKeys(t *testing.T) {
	addr := func(s string) testAddr { return testAddr(s) }
	for _, test := range []struct {
		name string
		addr testAddr
		want string
	}{
		{"example.test", addr("192.0.2.1:443"), "example.test:443"},
		{"", addr("192.0.2.1:443"), "192.0.2.1:443"},
		{"2001:db8::1", addr("[2001:db8::1]:5684"), "[2001:db8::1]:5684"},
		{"example.test", addr("/run/socket"), "example.test"},
		{"example.test", addr("pipe"), "example.test"},
	} {
		assert.Equal(t, test.want, cacheKey(test.name, test.addr))
	}
	assert.Equal(t, "example.test", cacheKey("example.test", nil))
}

type testAddr string

func (a testAddr) Network() string { return "test" }
func (a testAddr) String() string  { return string(a) }

func TestACacheForTwoConfigurations(t *testing.T) {
	sc := serverConfig(t)
	pool := &TicketPool{Tickets: 8}
	verifying := clientConfig(t)
	verifying.ClientSessionCache = pool
	trusting := verifying.Clone()
	trusting.InsecureSkipVerify = true
	var key string
	dial := func(config *Config) bool {
		a, b := tcpPipe(t)
		c, s := Client(a, config), Server(b, sc)
		defer c.Close()
		defer s.Close()
		if key == "" {
			key = c.cacheKey
		}
		c.cacheKey = key
		clientErr, serverErr := shakeConns(t, c, s)
		require.NoError(t, clientErr)
		require.NoError(t, serverErr)
		echo(t, s, c)
		return c.ConnectionState().DidResume
	}
	require.False(t, dial(verifying))
	require.Equal(t, 8, pool.Len(key))
	require.False(t, dial(trusting), "not with a session that was made with other trust")
	assert.Equal(t, 8, pool.Len(key))
	assert.True(t, dial(verifying))
	assert.True(t, dial(trusting))
	stats := pool.Stats()
	assert.Zero(t, stats.Declined)
}

// closingCache closes a connection that asks it.
type closingCache struct {
	*TicketPool
	conn *Conn
}

func (c *closingCache) Get(key string) *SessionData {
	c.conn.Close()
	return c.TicketPool.Get(key)
}

func TestACloseWhileTheCacheIsAskedCostsNoTicket(t *testing.T) {
	cc, sc := clientConfig(t), serverConfig(t)
	pool := &TicketPool{Tickets: 8}
	cc.ClientSessionCache = pool
	c, s := connect(t, cc, sc)
	echo(t, s, c)
	require.Equal(t, 8, pool.Len(c.cacheKey))

	a, _ := tcpPipe(t)
	cache := &closingCache{TicketPool: pool}
	cc = cc.Clone()
	cc.ClientSessionCache = cache
	cache.conn = Client(a, cc)
	cache.conn.cacheKey = c.cacheKey
	require.ErrorIs(t, cache.conn.HandshakeContext(waitContext(t)), net.ErrClosed)
	assert.Equal(t, 8, pool.Len(c.cacheKey))
}
