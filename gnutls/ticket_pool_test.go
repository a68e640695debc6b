package gnutls

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What Conn finds out at run time.
var _ interface {
	ClientSessionCache
	SessionDecliner
	TicketRequester
	io.WriterTo
	io.ReaderFrom
} = (*TicketPool)(nil)

const poolKey = "localhost:1"

// fakeTicket is fakeSession of TLS 1.3 with a family.
func fakeTicket(family sessionFamily, age time.Duration) *SessionData {
	d := fakeSession(VersionTLS13, age)
	d.family = family
	return d
}

// fill puts n tickets of one family into a pool, each younger than the one
// before.
func fill(p *TicketPool, key string, family sessionFamily, n int) (tickets []*SessionData) {
	for i := range n {
		d := fakeTicket(family, time.Duration(n-i)*time.Second)
		p.Put(key, d)
		tickets = append(tickets, d)
	}
	return tickets
}

// drain takes all tickets of a server.
func drain(p *TicketPool, key string) (tickets []*SessionData) {
	for d := p.Get(key); d != nil; d = p.Get(key) {
		tickets = append(tickets, d)
	}
	return tickets
}

// expireAll moves the end of all tickets of a server into the past.
func expireAll(p *TicketPool, key string) {
	sessions := p.shard(key).byKey[key].Value.(*pooledServer).sessions
	for i := range sessions {
		sessions[i].expires = time.Now().UnixMilli()
	}
}

// assertBalance checks that each ticket is accounted for.
func assertBalance(t testing.TB, p *TicketPool) {
	t.Helper()
	st := p.Stats()
	assert.Equal(t, st.Stored, st.Taken+st.Expired+st.Declined+st.Evicted+st.Saved+uint64(st.Tickets),
		"%+v", st)
}

func TestPoolHandsOutWhatExpiresFirst(t *testing.T) {
	var p TicketPool
	ages := []int{3, 1, 4, 2}
	tickets := make(map[int]*SessionData)
	for _, age := range ages {
		tickets[age] = fakeTicket(sessionFamily{}, time.Duration(age)*time.Minute)
		p.Put(poolKey, tickets[age])
	}
	assert.Equal(t, 4, p.Len(poolKey))
	assert.Zero(t, p.Len("localhost:2"))
	assert.Nil(t, p.Get("localhost:2"))
	assert.Equal(t, []*SessionData{tickets[4], tickets[3], tickets[2], tickets[1]}, drain(&p, poolKey))
	assert.Equal(t, TicketPoolStats{Stored: 4, Taken: 4}, p.Stats())
}

// An old ticket with a long lifetime comes after a young one with a short one.
func TestPoolGoesByTheEndOfTheLifetime(t *testing.T) {
	var p TicketPool
	long, short := fakeTicket(sessionFamily{}, time.Hour), fakeTicket(sessionFamily{}, 0)
	long.lifetime = 24 * time.Hour
	p.Put(poolKey, long)
	p.Put(poolKey, short)
	assert.Equal(t, []*SessionData{short, long}, drain(&p, poolKey))
}

func TestPoolKeepsTheOrderOfTicketsThatExpireTogether(t *testing.T) {
	var p TicketPool
	now := time.Now()
	var put []*SessionData
	for range 4 {
		d := fakeTicket(sessionFamily{}, 0)
		d.arrived = now
		p.Put(poolKey, d)
		put = append(put, d)
	}
	assert.Equal(t, put, drain(&p, poolKey))
}

func TestPoolPutsAnUnspentTicketBackInItsPlace(t *testing.T) {
	var p TicketPool
	tickets := fill(&p, poolKey, sessionFamily{}, 4)
	first, second := p.Get(poolKey), p.Get(poolKey)
	p.Put(poolKey, second)
	p.Put(poolKey, first)
	assert.Equal(t, tickets, drain(&p, poolKey))
	assert.Equal(t, TicketPoolStats{Stored: 6, Taken: 6}, p.Stats())
}

func TestPoolKeepsTheSameTicketOnce(t *testing.T) {
	var p TicketPool
	d := fakeTicket(sessionFamily{}, 0)
	b, err := d.MarshalBinary()
	require.NoError(t, err)
	copied := new(SessionData)
	require.NoError(t, copied.UnmarshalBinary(b))
	for _, same := range []*SessionData{d, d, copied} {
		p.Put(poolKey, same)
	}
	assert.Equal(t, TicketPoolStats{Stored: 3, Evicted: 2, Tickets: 1, Servers: 1}, p.Stats())
	assert.Same(t, d, p.Get(poolKey))
	assert.Nil(t, p.Get(poolKey))
}

func TestPoolKeepsAsManyTicketsAsItWants(t *testing.T) {
	for configured, want := range map[int]int{-1: 4, 0: 4, 1: 1, 5: 5, 255: 255, 256: 255,
		math.MaxInt: 255} {
		p := TicketPool{Tickets: configured}
		put := fill(&p, poolKey, sessionFamily{}, 300)
		p.Put(poolKey, fakeTicket(sessionFamily{}, 50*time.Minute)) // expires first of all
		assert.Equal(t, want, p.Len(poolKey), "Tickets: %d", configured)
		assert.Equal(t,
			TicketPoolStats{Stored: 301, Evicted: uint64(301 - want), Tickets: want, Servers: 1}, p.Stats())
		assert.Equal(t, put[300-want:], drain(&p, poolKey), "what expires first went")
	}
}

func TestPoolForgetsTheServerUsedLeastRecently(t *testing.T) {
	p := TicketPool{Servers: 3}
	for _, key := range []string{"a", "b", "c"} {
		fill(&p, key, sessionFamily{}, 2)
	}
	p.Get("a")
	assert.Equal(t, 2, p.Len("b"), "a look does not count as use")
	p.Put("d", fakeTicket(sessionFamily{}, 0))
	for key, want := range map[string]int{"a": 1, "b": 0, "c": 2, "d": 1} {
		assert.Equal(t, want, p.Len(key), key)
	}
	assert.Equal(t, TicketPoolStats{Stored: 7, Taken: 1, Evicted: 2, Tickets: 4, Servers: 3},
		p.Stats())

	var byDefault TicketPool
	for i := range defaultPoolServers + 1 {
		byDefault.Put(strconv.Itoa(i), fakeTicket(sessionFamily{}, 0))
	}
	assert.Equal(t, 1024, byDefault.Stats().Servers)
	assert.Zero(t, byDefault.Len("0"))
}

func TestPoolForgetsServersWithoutTickets(t *testing.T) {
	for name, empty := range map[string]func(*TicketPool){
		"taken":    func(p *TicketPool) { drain(p, poolKey) },
		"declined": func(p *TicketPool) { p.Decline(poolKey, fakeTicket(sessionFamily{}, 0)) },
	} {
		var p TicketPool
		fill(&p, poolKey, sessionFamily{}, 2)
		empty(&p)
		assert.Zero(t, p.Stats().Servers, name)
		assert.Empty(t, p.shard(poolKey).byKey, name)
		assert.Zero(t, p.servers.Load(), name)
		assertBalance(t, &p)
	}
}

// Statement 12: nothing is used past its lifetime, nor past 7 days.
func TestPoolDropsWhatHasExpired(t *testing.T) {
	ways := map[string]func(*TicketPool){
		"Get": func(p *TicketPool) { assert.Nil(t, p.Get(poolKey)) },
		"Len": func(p *TicketPool) { assert.Zero(t, p.Len(poolKey)) },
		"TicketRequest": func(p *TicketPool) {
			assert.EqualValues(t, 4, p.TicketRequest(poolKey, false, 1).New)
		},
		"WriteTo": func(p *TicketPool) {
			n, err := p.WriteTo(io.Discard)
			assert.NoError(t, err)
			assert.EqualValues(t, poolHead+32, n)
		},
	}
	for name, look := range ways {
		for _, version := range []uint16{VersionTLS12, VersionTLS13} {
			var p TicketPool
			p.Put(poolKey, fakeSession(version, 0))
			require.Equal(t, 1, p.Stats().Tickets)
			expireAll(&p, poolKey)
			look(&p)
			assert.Equal(t, TicketPoolStats{Stored: 1, Expired: 1}, p.Stats(), name)
		}
	}
}

func TestPoolDoesNotTakeWhatHasExpired(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		age, lifetime time.Duration
		want          int
	}{
		"young":                      {0, time.Hour, 1},
		"a second before its end":    {time.Hour - time.Second, time.Hour, 1},
		"at its end":                 {time.Hour, time.Hour, 0},
		"no lifetime":                {0, 0, 0},
		"almost 7 days":              {7*day - time.Second, 7 * day, 1},
		"7 days":                     {7 * day, 7 * day, 0},
		"the clock was set back":     {-time.Minute, 7 * day, 1},
		"from the future":            {-2 * time.Hour, 7 * day, 0},
		"from the end of all clocks": {-200 * 365 * day, 7 * day, 0},
	} {
		var p TicketPool
		d := fakeTicket(sessionFamily{}, test.age)
		d.lifetime = test.lifetime
		p.Put(poolKey, d)
		assert.Equal(t, test.want, p.Len(poolKey), name)
		assert.Equal(t, TicketPoolStats{Stored: 1, Expired: uint64(1 - test.want), Tickets: test.want,
			Servers: test.want}, p.Stats(), name)
	}
}

func TestPoolKeepsTheNewestSessionOfTLS12(t *testing.T) {
	var p TicketPool
	first, second := fakeSession(VersionTLS12, 0), fakeSession(VersionTLS12, time.Minute)
	p.Put(poolKey, first)
	p.Put(poolKey, second)
	assert.Same(t, second, p.Get(poolKey))
	assert.Same(t, second, p.Get(poolKey), "it may be used again")
	assert.Equal(t, 1, p.Len(poolKey))
	assert.Equal(t, TicketPoolStats{Stored: 2, Evicted: 1, Tickets: 1, Servers: 1}, p.Stats())

	p.Decline(poolKey, second)
	assert.Zero(t, p.Len(poolKey))
	assert.Equal(t, TicketPoolStats{Stored: 2, Evicted: 1, Declined: 1}, p.Stats())
}

func TestPoolKeepsTheKindOfSessionThatCameLast(t *testing.T) {
	var p TicketPool
	fill(&p, poolKey, sessionFamily{}, 3)
	old := fakeSession(VersionTLS12, 0)
	p.Put(poolKey, old)
	assert.Equal(t, 1, p.Len(poolKey))
	assert.Same(t, old, p.Get(poolKey))
	tickets := fill(&p, poolKey, sessionFamily{}, 2)
	assert.Equal(t, tickets, drain(&p, poolKey))
	assert.Equal(t, TicketPoolStats{Stored: 6, Evicted: 4, Taken: 2}, p.Stats())
}

func TestDeclineDropsTheSameSessionOfTheSameServer(t *testing.T) {
	one, other := newSessionFamily(), newSessionFamily()
	p := TicketPool{Tickets: 6}
	fill(&p, poolKey, one, 3)
	kept := fill(&p, poolKey, other, 2)
	fill(&p, "localhost:2", one, 1)
	offered := p.Get(poolKey)
	require.Equal(t, one, offered.family)
	p.Decline(poolKey, offered)
	p.Decline("localhost:3", offered)
	assert.Equal(t, 1, p.Len("localhost:2"))
	assert.Equal(t, kept, drain(&p, poolKey))
	assert.Equal(t, TicketPoolStats{Stored: 6, Taken: 3, Declined: 2, Tickets: 1, Servers: 1},
		p.Stats())
}

func TestPoolLeavesOutWhatOtherConnectionsReplace(t *testing.T) {
	resumed := func(p *TicketPool) int { return int(p.TicketRequest(poolKey, true, 1).Resumed) }
	p := TicketPool{Tickets: 8}
	fill(&p, poolKey, sessionFamily{}, 8)
	for range 4 {
		require.NotNil(t, p.Get(poolKey))
		assert.Equal(t, 1, resumed(&p), "each replaces its own")
	}
	fill(&p, poolKey, sessionFamily{1}, 1)
	require.NotNil(t, p.Get(poolKey))
	assert.Equal(t, 1, resumed(&p))

	// Four connections failed and brought nothing.
	sh := p.shard(poolKey)
	sh.byKey[poolKey].Value.(*pooledServer).takenAt -= 2 * replaceTime
	require.NotNil(t, p.Get(poolKey))
	assert.Equal(t, 5, resumed(&p), "what was not replaced in time is asked for again")

	p.Decline(poolKey, &SessionData{family: sessionFamily{1}})
	assert.Equal(t, 6, resumed(&p), "nobody replaces what was refused")
}

func TestPoolDropsWhatComesLateOfADeclinedSession(t *testing.T) {
	var p TicketPool
	declined := &SessionData{version: VersionTLS13, family: sessionFamily{1}}
	p.Decline(poolKey, declined)
	fill(&p, poolKey, sessionFamily{1}, 1)
	assert.Zero(t, p.Len(poolKey))
	assert.EqualValues(t, 1, p.Stats().Declined)
	fill(&p, poolKey, sessionFamily{2}, 1)
	assert.Equal(t, 1, p.Len(poolKey))

	for i := range maxDeclined {
		p.Decline(poolKey, &SessionData{family: sessionFamily{3, byte(i)}})
	}
	assert.Len(t, p.shard(poolKey).declined, maxDeclined)
	fill(&p, poolKey, sessionFamily{1}, 1)
	assert.Equal(t, 2, p.Len(poolKey), "it has forgotten")
}

func TestPoolRequestsTheTicketsThatItLacks(t *testing.T) {
	for _, test := range []struct {
		name     string
		tickets  int // wanted
		held     int // after Get
		resuming bool
		racing   int
		want     TicketRequest
	}{
		{"empty", 0, 0, false, 1, TicketRequest{New: 4}},
		{"empty, racing", 0, 0, false, 3, TicketRequest{New: 4}},
		{"what is there does not suit the connection", 4, 3, false, 1, TicketRequest{New: 1}},
		{"full of what does not suit the connection", 4, 4, false, 1, TicketRequest{New: 1}},
		{"primed", 4, 3, true, 1, TicketRequest{New: 4, Resumed: 1}},
		{"primed, racing", 4, 2, true, 2, TicketRequest{New: 4, Resumed: 2}},
		{"more racing than lacking", 4, 3, true, 3, TicketRequest{New: 4, Resumed: 3}},
		{"the last one", 4, 0, true, 1, TicketRequest{New: 4, Resumed: 4}},
		{"filled meanwhile", 4, 4, true, 1, TicketRequest{New: 4, Resumed: 1}},
		{"filled meanwhile, none racing", 4, 4, true, 0, TicketRequest{New: 4, Resumed: 1}},
		{"one at a time", 1, 0, true, 1, TicketRequest{New: 1, Resumed: 1}},
		{"as many as can be", 255, 0, true, 1, TicketRequest{New: 255, Resumed: 255}},
		{"more than can be", 1000, 0, true, 1000, TicketRequest{New: 255, Resumed: 255}},
		{"a crowd", 4, 3, true, math.MaxInt, TicketRequest{New: 4, Resumed: 4}},
	} {
		p := TicketPool{Tickets: test.tickets}
		fill(&p, poolKey, sessionFamily{}, test.held)
		assert.Equal(t, test.want, p.TicketRequest(poolKey, test.resuming, test.racing), test.name)
	}

	var p TicketPool
	p.Put(poolKey, fakeSession(VersionTLS12, 0))
	assert.Equal(t, TicketRequest{New: 4, Resumed: 4}, p.TicketRequest(poolKey, true, 1),
		"a TLS 1.2 session is no ticket")
}

func TestPoolIsSafeForManyGoroutines(t *testing.T) {
	p := TicketPool{Tickets: 3, Servers: 4}
	file := t.TempDir() + "/pool"
	families := []sessionFamily{newSessionFamily(), newSessionFamily(), newSessionFamily()}
	var mu sync.Mutex
	taken := make(map[string]int)
	spend := func(d *SessionData) {
		mu.Lock()
		defer mu.Unlock()
		taken[string(d.data)]++
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := range 400 {
				put, get := strconv.Itoa(j%5), strconv.Itoa((i+j)%5)
				p.Put(put, fakeTicket(families[j%3], time.Duration(j)*time.Second))
				p.TicketRequest(get, true, 1)
				d := p.Get(get)
				switch {
				case d == nil:
				case j%7 == 0:
					p.Put(get, d)
				case j%11 == 0:
					p.Decline(get, d)
					spend(d)
				default:
					spend(d)
				}
				if j%100 == i {
					assert.NoError(t, p.Save(file))
					assert.NoError(t, p.Load(file))
				}
				if j%50 == 0 {
					assertBalance(t, &p)
					p.WriteTo(io.Discard)
				}
			}
		}()
	}
	wg.Wait()
	assertBalance(t, &p)
	require.NotEmpty(t, taken)
	for _, n := range taken {
		assert.Equal(t, 1, n, "a ticket was handed out twice")
	}
	st := p.Stats()
	assert.LessOrEqual(t, st.Servers, 4)
	assert.LessOrEqual(t, st.Tickets, 12)
}

// A poolServer is one at the same address under changing configurations.
type poolServer struct {
	ln     net.Listener
	config *Config
}

func newPoolServer(t *testing.T, config *Config) *poolServer {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { ln.Close() })
	return &poolServer{ln, config}
}

// open connects to the server, with all tickets that it sends taken in, and
// lets use go on with the connection.
func (s *poolServer) open(t *testing.T, client *Config) (c, server *Conn) {
	t.Helper()
	accepted := make(chan *Conn, 1)
	go func() {
		raw, err := s.ln.Accept()
		if err != nil {
			close(accepted)
			return
		}
		conn := Server(raw, s.config)
		conn.Handshake()
		accepted <- conn
	}()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	dialer := &Dialer{Config: client}
	conn, err := dialer.DialContext(ctx, "tcp", s.ln.Addr().String())
	require.NoError(t, err)
	server, ok := <-accepted
	require.True(t, ok)
	t.Cleanup(func() { conn.Close(); server.Close() })
	echo(t, server, conn) // the tickets come before it
	return conn.(*Conn), server
}

func (s *poolServer) connect(t *testing.T, client *Config) (resumed bool) {
	t.Helper()
	c, server := s.open(t, client)
	require.NoError(t, c.Close())
	require.NoError(t, server.Close())
	return c.ConnectionState().DidResume
}

func TestConnectionsResumeThroughThePool(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		t.Run(VersionName(version), func(t *testing.T) {
			pool := &TicketPool{Tickets: 3}
			client, config := withVersion(clientConfig(t), version), serverConfig(t)
			client.ClientSessionCache = pool
			config.SessionTickets = 3
			server := newPoolServer(t, config)
			key := cacheKey("localhost", server.ln.Addr())
			want := map[uint16]int{VersionTLS12: 1, VersionTLS13: 3}[version]
			for i := range 4 {
				assert.Equal(t, i > 0, server.connect(t, client), "connection %d", i+1)
				assert.Equal(t, want, pool.Len(key), "after connection %d", i+1)
				assertBalance(t, pool)
			}
		})
	}
}

// Statement 10: with a ticket that the server refuses all others of the session
// go, from the first connection and from those that resumed it.
func TestPoolDropsSiblingsWhenTheServerHasAnotherKey(t *testing.T) {
	for name, resumptions := range map[string]int{"of one connection": 0,
		"over a chain of resumptions": 3} {
		t.Run(name, func(t *testing.T) {
			pool := &TicketPool{Tickets: 6}
			var came []*SessionData
			client := clientConfig(t)
			client.ClientSessionCache = pool
			client.OnSessionTicket = func(_ *Conn, d *SessionData) { came = append(came, d) }
			config := serverConfig(t)
			config.SessionTickets = 3
			server := newPoolServer(t, config)
			key := cacheKey("localhost", server.ln.Addr())

			assert.False(t, server.connect(t, client))
			first := len(came)
			for range resumptions {
				assert.True(t, server.connect(t, client))
			}
			old, before := came, pool.Len(key)
			require.Greater(t, before, 2)
			if resumptions > 0 {
				assert.Greater(t, len(old), first, "tickets came from resumed connections too")
			}

			restarted := serverConfig(t)
			restarted.SessionTickets = 3
			server.config = restarted
			came = nil
			assert.False(t, server.connect(t, client))
			assert.Equal(t, uint64(before-1), pool.Stats().Declined)
			assertBalance(t, pool)
			fresh := drain(pool, key)
			assert.Equal(t, came, fresh, "those of the new session alone are there")
			require.NotEmpty(t, fresh)
			for _, d := range fresh {
				assert.NotContains(t, old, d)
				pool.Put(key, d)
			}
			assert.True(t, server.connect(t, client))
		})
	}
}

// Tickets of a session that another server of the name made are no siblings.
func TestPoolKeepsTicketsOfOtherSessions(t *testing.T) {
	pool := &TicketPool{Tickets: 64} // room for all
	client := clientConfig(t)
	client.ClientSessionCache = pool
	one, other := serverConfig(t), serverConfig(t)
	server := newPoolServer(t, one)
	key := cacheKey("localhost", server.ln.Addr())
	assert.False(t, server.connect(t, client))
	ofOne := drain(pool, key)
	require.Greater(t, len(ofOne), 1)
	server.config = other
	assert.False(t, server.connect(t, client))
	ofOther := pool.Len(key)
	require.NotZero(t, ofOther)
	for _, d := range ofOne {
		pool.Put(key, d)
	}

	assert.False(t, server.connect(t, client), "the oldest is one of the first server")
	assert.EqualValues(t, len(ofOne)-1, pool.Stats().Declined)
	assert.Greater(t, pool.Len(key), ofOther)
	assert.True(t, server.connect(t, client))
}

func TestNoTicketIsOfferedTwice(t *testing.T) {
	const connections = 6
	pool := &TicketPool{Tickets: 8}
	client, config := clientConfig(t), serverConfig(t)
	client.ClientSessionCache = pool
	config.SessionTickets = 8
	server := newPoolServer(t, config)
	key := cacheKey("localhost", server.ln.Addr())
	server.connect(t, client)
	require.Equal(t, 8, pool.Len(key))

	var wg sync.WaitGroup
	var mu sync.Mutex
	var offered []*SessionData
	for range connections {
		wg.Add(1)
		go func() {
			defer wg.Done()
			d := pool.Get(key)
			mu.Lock()
			defer mu.Unlock()
			offered = append(offered, d)
		}()
	}
	wg.Wait()
	require.Len(t, offered, connections)
	for i, d := range offered {
		require.NotNil(t, d)
		assert.False(t, slices.Contains(offered[:i], d))
		assert.True(t, resume(t, client, config, d))
	}
	assert.Equal(t, 8-connections, pool.Len(key))
}

func TestPoolsDoNotPrintTickets(t *testing.T) {
	p := new(TicketPool)
	d := fill(p, poolKey, sessionFamily{}, 1)[0]
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		text := fmt.Sprintf(format, p)
		assert.NotContains(t, text, string(d.data))
		assert.NotContains(t, text, fmt.Sprint(d.data))
	}
}
