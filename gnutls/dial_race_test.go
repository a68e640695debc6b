package gnutls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"
)

// fakeResolver answers every question for addresses with those given.
func fakeResolver(t testing.TB, addrs ...string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Add(1)
	t.Cleanup(func() {
		conn.Close()
		serving.Wait()
	})
	go func() {
		defer serving.Done()
		for buf := make([]byte, 1500); ; {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			answer, err := fakeAnswer(buf[:n], addrs)
			if err != nil {
				t.Error(err)
				return
			}
			conn.WriteTo(answer, from)
		}
	}()
	return &net.Resolver{PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
		}}
}

func fakeAnswer(question []byte, addrs []string) ([]byte, error) {
	var msg dnsmessage.Message
	if err := msg.Unpack(question); err != nil {
		return nil, err
	}
	msg.Response, msg.RecursionAvailable, msg.Additionals = true, true, nil
	q := msg.Questions[0]
	for _, s := range addrs {
		addr := netip.MustParseAddr(s)
		var body dnsmessage.ResourceBody
		switch {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			body = &dnsmessage.AResource{A: addr.As4()}
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			body = &dnsmessage.AAAAResource{AAAA: addr.As16()}
		default:
			continue
		}
		msg.Answers = append(msg.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, Type: q.Type, TTL: 60},
			Body:   body,
		})
	}
	return msg.Pack()
}

// A raceServer is a server with one port on several addresses.
type raceServer struct {
	port  string
	mu    sync.Mutex
	seen  []string // the local addresses of connections, in order
	conns []net.Conn
	ended sync.WaitGroup
}

// startRace listens on some port of all addresses. handle serves connections.
func startRace(t testing.TB, addrs []string, handle func(addr string, conn net.Conn)) *raceServer {
	t.Helper()
	s := new(raceServer)
	var listeners []net.Listener
	for attempt := 0; len(listeners) < len(addrs); attempt++ {
		require.Less(t, attempt, 20, "no port is free on all of %v", addrs)
		for _, ln := range listeners {
			ln.Close()
		}
		listeners, s.port = nil, "0"
		for _, addr := range addrs {
			ln, err := net.Listen("tcp", net.JoinHostPort(addr, s.port))
			if err != nil {
				break
			}
			_, s.port, _ = net.SplitHostPort(ln.Addr().String())
			listeners = append(listeners, ln)
		}
	}
	for i, ln := range listeners {
		s.ended.Add(1)
		go s.accept(ln, addrs[i], handle)
	}
	t.Cleanup(func() {
		for _, ln := range listeners {
			ln.Close()
		}
		s.mu.Lock()
		for _, conn := range s.conns {
			conn.Close()
		}
		s.mu.Unlock()
		s.ended.Wait()
	})
	return s
}

func (s *raceServer) accept(ln net.Listener, addr string, handle func(string, net.Conn)) {
	defer s.ended.Done()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.seen = append(s.seen, addr)
		s.conns = append(s.conns, conn)
		s.mu.Unlock()
		s.ended.Add(1)
		go func() {
			defer s.ended.Done()
			defer conn.Close()
			handle(addr, conn)
		}()
	}
}

func (s *raceServer) attempts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.seen...)
}

func echoWith(config *Config) func(string, net.Conn) {
	return func(_ string, conn net.Conn) {
		c := Server(conn, config)
		defer c.Close()
		io.Copy(c, c)
	}
}

// blackHole takes a connection and never says anything.
func blackHole(conn net.Conn) { io.Copy(io.Discard, conn) }

func raceDialer(t testing.TB, delay time.Duration, addrs ...string) *Dialer {
	return &Dialer{
		NetDialer:    &net.Dialer{Resolver: fakeResolver(t, addrs...)},
		Config:       clientConfig(t),
		Race:         true,
		AttemptDelay: delay,
	}
}

const raceName = "raced.example.test"

// connectAfter has a dialer connect to an address only when something has happened: on a busy
// machine a later attempt may overtake an earlier one.
func connectAfter(d *Dialer, addr string, happened <-chan struct{}) {
	d.NetDialer.Control = func(_, to string, _ syscall.RawConn) error {
		if host, _, _ := net.SplitHostPort(to); host == addr {
			return awaitClosed(happened)
		}
		return nil
	}
}

func awaitClosed(c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-time.After(wait):
		return errors.New("what the test waits for does not happen")
	}
}

func requireEcho(t testing.TB, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
	_, err := conn.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(conn, make([]byte, 1))
	require.NoError(t, err)
}

func TestInterleave(t *testing.T) {
	for _, tc := range [][2][]string{
		{{"::1", "::2", "::3", "1.1.1.1", "2.2.2.2"}, {"::1", "1.1.1.1", "::2", "2.2.2.2", "::3"}},
		{{"1.1.1.1", "2.2.2.2", "::1"}, {"1.1.1.1", "::1", "2.2.2.2"}},
		{{"::ffff:1.1.1.1", "2.2.2.2"}, {"1.1.1.1", "2.2.2.2"}},
		{{"::1"}, {"::1"}},
		{nil, nil},
	} {
		var ips []netip.Addr
		for _, s := range tc[0] {
			ips = append(ips, netip.MustParseAddr(s))
		}
		var got []string
		for _, ip := range interleave(ips) {
			got = append(got, ip.String())
		}
		assert.Equal(t, tc[1], got)
	}
}

func TestRaceTakesTheFirstThatWorks(t *testing.T) {
	addrs := []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}
	sc := serverConfig(t)
	s := startRace(t, addrs, echoWith(sc))
	conn, err := raceDialer(t, maxAttemptDelay, addrs...).DialContext(waitContext(t), "tcp",
		raceName+":"+s.port)
	require.NoError(t, err)
	defer conn.Close()
	requireEcho(t, conn)
	assert.Equal(t, []string{"127.0.0.2"}, s.attempts())
}

func TestRaceGoesOnAtOnceAfterAFailure(t *testing.T) {
	sc := serverConfig(t)
	s := startRace(t, []string{"127.0.0.3", "127.0.0.4"}, func(addr string, conn net.Conn) {
		if addr == "127.0.0.4" {
			echoWith(sc)(addr, conn)
		} // and 127.0.0.3 hangs up
	})
	begin := time.Now()
	// nobody listens on the first
	d := raceDialer(t, maxAttemptDelay, "127.0.0.2", "127.0.0.3", "127.0.0.4")
	conn, err := d.DialContext(waitContext(t), "tcp", raceName+":"+s.port)
	require.NoError(t, err)
	defer conn.Close()
	requireEcho(t, conn)
	assert.Equal(t, []string{"127.0.0.3", "127.0.0.4"}, s.attempts())
	assert.Less(t, time.Since(begin), maxAttemptDelay)
}

func TestRaceDoesNotWaitForAServerThatSaysNothing(t *testing.T) {
	sc := serverConfig(t)
	begun, ended := make(chan struct{}), make(chan struct{})
	s := startRace(t, []string{"127.0.0.2", "127.0.0.3"}, func(addr string, conn net.Conn) {
		if addr == "127.0.0.2" {
			close(begun)
			blackHole(conn)
			close(ended)
			return
		}
		echoWith(sc)(addr, conn)
	})
	// Without a limit, which would end the loser as well.
	d := raceDialer(t, minAttemptDelay, "127.0.0.2", "127.0.0.3")
	connectAfter(d, "127.0.0.3", begun)
	conn, err := d.Dial("tcp", raceName+":"+s.port)
	require.NoError(t, err)
	defer conn.Close()
	requireEcho(t, conn)
	assert.Contains(t, conn.RemoteAddr().String(), "127.0.0.3")
	require.NoError(t, awaitClosed(ended), "the loser is still there")
}

// attemptsOf returns the addresses that a dialer tries, in order. None is
// connected to.
func attemptsOf(t testing.TB, network, addr string, resolver *net.Resolver) []string {
	t.Helper()
	var order []string // attempts follow each other, as all fail
	refuse := errors.New("refused by the test")
	d := &Dialer{Race: true, AttemptDelay: maxAttemptDelay, NetDialer: &net.Dialer{
		Resolver: resolver,
		Control: func(_, addr string, _ syscall.RawConn) error {
			order = append(order, addr)
			return refuse
		},
	}}
	_, err := d.DialContext(waitContext(t), network, addr)
	require.ErrorIs(t, err, refuse)
	return order
}

func TestRaceTakesTheFamiliesInTurn(t *testing.T) {
	// Twice the same, as the resolver leaves two of one family together only
	// where both can be reached.
	resolver := fakeResolver(t, "::1", "::1", "127.0.0.2")
	ips, err := resolver.LookupNetIP(waitContext(t), "ip", raceName)
	require.NoError(t, err)
	want := []string{"[::1]:443", "127.0.0.2:443", "[::1]:443"}
	if ips[0].Unmap().Is4() { // as where this machine has no IPv6
		want = []string{"127.0.0.2:443", "[::1]:443", "[::1]:443"}
	}
	assert.Equal(t, want, attemptsOf(t, "tcp", raceName+":443", resolver))
}

func TestRaceOfOneFamily(t *testing.T) {
	resolver := fakeResolver(t, "::1", "127.0.0.2", "127.0.0.3")
	assert.Equal(t, []string{"127.0.0.2:443", "127.0.0.3:443"},
		attemptsOf(t, "tcp4", raceName+":443", resolver))
	assert.Equal(t, []string{"[::1]:443"}, attemptsOf(t, "tcp6", raceName+":443", resolver))
}

func TestRaceOfAnAddressIsOneAttempt(t *testing.T) {
	for _, addr := range []string{"127.0.0.2:443", "[::1]:443", "[fe80::1%lo]:443"} {
		assert.Equal(t, []string{addr}, attemptsOf(t, "tcp", addr, nil))
	}
}

func TestRaceOverAUnixSocket(t *testing.T) {
	ln, err := Listen("unix", filepath.Join(t.TempDir(), "socket"), serverConfig(t))
	require.NoError(t, err)
	defer ln.Close()
	served := make(chan struct{})
	go func() {
		defer close(served)
		if conn, err := ln.Accept(); err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	conn, err := (&Dialer{Config: clientConfig(t), Race: true}).DialContext(waitContext(t), "unix",
		ln.Addr().String())
	require.NoError(t, err)
	requireEcho(t, conn)
	conn.Close()
	<-served
}

func TestRaceUsesTheSettingsOfNetDialer(t *testing.T) {
	addrs := []string{"127.0.0.2", "127.0.0.3"}
	sc := serverConfig(t)
	s := startRace(t, addrs, func(addr string, conn net.Conn) {
		if addr == addrs[1] {
			echoWith(sc)(addr, conn)
		} // and the first hangs up
	})
	d := raceDialer(t, 0, addrs...)
	var controlled atomic.Int64
	d.NetDialer.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}
	d.NetDialer.Control = func(string, string, syscall.RawConn) error {
		controlled.Add(1)
		return nil
	}
	conn, err := d.DialContext(waitContext(t), "tcp", raceName+":"+s.port)
	require.NoError(t, err)
	defer conn.Close()
	requireEcho(t, conn)
	assert.Contains(t, conn.LocalAddr().String(), "127.0.0.9:")
	assert.EqualValues(t, 2, controlled.Load())
}

func TestRaceLooksUpWithinTheLimitsOfNetDialer(t *testing.T) {
	const limit = 20 * time.Millisecond
	// A name server that cannot be reached: the resolver gives up after 5
	// seconds at the earliest.
	silent := &net.Resolver{PreferGo: true,
		Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
	for name, nd := range map[string]*net.Dialer{
		"timeout":  {Resolver: silent, Timeout: limit},
		"deadline": {Resolver: silent, Deadline: time.Now().Add(limit)},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := (&Dialer{NetDialer: nd, Race: true}).DialContext(waitContext(t), "tcp",
				raceName+":443")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Less(t, time.Since(begin), 4*time.Second)
		})
	}
}

func TestRaceWaitsAQuarterOfASecondByDefault(t *testing.T) {
	sc := serverConfig(t)
	second := make(chan time.Time, 1)
	s := startRace(t, []string{"127.0.0.2", "127.0.0.3"}, func(addr string, conn net.Conn) {
		if addr == "127.0.0.2" {
			blackHole(conn)
			return
		}
		second <- time.Now()
		echoWith(sc)(addr, conn)
	})
	begin := time.Now()
	conn, err := raceDialer(t, 0, "127.0.0.2", "127.0.0.3").DialContext(waitContext(t), "tcp",
		raceName+":"+s.port)
	require.NoError(t, err)
	defer conn.Close()
	assert.GreaterOrEqual(t, (<-second).Sub(begin), 250*time.Millisecond)
}

func TestRaceWithOneAddress(t *testing.T) {
	ln, err := Listen("tcp", "127.0.0.1:0", serverConfig(t))
	require.NoError(t, err)
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err == nil {
			io.Copy(conn, conn)
			conn.Close()
		}
	}()
	conn, err := (&Dialer{Config: clientConfig(t), Race: true}).DialContext(waitContext(t), "tcp",
		ln.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	requireEcho(t, conn)
}

func TestRaceThatAllLose(t *testing.T) {
	other := serverConfig(t)
	other.Certificates = []Certificate{testCertificate(t, "expired")}
	s := startRace(t, []string{"127.0.0.3", "127.0.0.4"}, func(addr string, conn net.Conn) {
		if addr == "127.0.0.3" {
			echoWith(other)(addr, conn)
		}
	})
	d := raceDialer(t, minAttemptDelay, "127.0.0.2", "127.0.0.3", "127.0.0.4")
	_, err := d.DialContext(waitContext(t), "tcp", raceName+":"+s.port)
	var op *net.OpError
	assert.ErrorAs(t, err, &op)
	var cert *CertificateError
	assert.ErrorAs(t, err, &cert)
	for _, addr := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		assert.ErrorContains(t, err, addr+":"+s.port)
	}
}

func TestRaceEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(waitContext(t))
	var open atomic.Int64
	s := startRace(t, []string{"127.0.0.2", "127.0.0.3"}, func(_ string, conn net.Conn) {
		if open.Add(1) == 2 {
			cancel()
		}
		blackHole(conn)
		open.Add(-1)
	})
	_, err := raceDialer(t, minAttemptDelay, "127.0.0.2", "127.0.0.3").DialContext(ctx, "tcp",
		raceName+":"+s.port)
	assert.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool { return open.Load() == 0 }, wait, time.Millisecond)
}

func TestAttemptDelayIsChecked(t *testing.T) {
	for _, delay := range []time.Duration{-1, time.Millisecond, 3 * time.Second} {
		_, err := (&Dialer{Race: true, AttemptDelay: delay}).Dial("tcp", "localhost:1")
		assert.ErrorContains(t, err, fmt.Sprint("Dialer.AttemptDelay is ", delay))
	}
}

func TestRaceOfANameThatIsNotThere(t *testing.T) {
	d := raceDialer(t, 0)
	_, err := d.DialContext(waitContext(t), "tcp", raceName+":1")
	var dns *net.DNSError
	assert.ErrorAs(t, err, &dns)
}

// countingCache counts what the cache in it hands out and gets back.
type countingCache struct {
	*TicketPool
	mu    sync.Mutex
	taken map[*SessionData]int
	back  map[*SessionData]int
}

func (c *countingCache) Get(key string) *SessionData {
	d := c.TicketPool.Get(key)
	if d != nil {
		c.mu.Lock()
		c.taken[d]++
		c.mu.Unlock()
	}
	return d
}

func (c *countingCache) Put(key string, d *SessionData) {
	c.mu.Lock()
	if c.taken[d] > 0 {
		c.back[d]++
	}
	c.mu.Unlock()
	c.TicketPool.Put(key, d)
}

// offeredTicket returns the ticket that a ClientHello offers, or nothing.
func offeredTicket(t testing.TB, wire []byte) string {
	const recordAndMessage, versionAndRandom, preSharedKey = 9, 34, 41
	if len(wire) < recordAndMessage+versionAndRandom {
		return ""
	}
	rest := wire[recordAndMessage+versionAndRandom:]
	for _, prefix := range []int{1, 2, 1} { // session ID, cipher suites, compression
		var ok bool
		_, rest, ok = cutVector(rest, prefix)
		require.True(t, ok)
	}
	extensions, _, ok := cutVector(rest, 2)
	require.True(t, ok)
	for len(extensions) >= 4 {
		kind := int(extensions[0])<<8 | int(extensions[1])
		var body []byte
		body, extensions, ok = cutVector(extensions[2:], 2)
		require.True(t, ok)
		if kind == preSharedKey {
			identities, _, ok := cutVector(body, 2)
			require.True(t, ok)
			ticket, _, ok := cutVector(identities, 2)
			require.True(t, ok)
			return string(ticket)
		}
	}
	return ""
}

func TestRacingConnectionsSpendNoTicketTwice(t *testing.T) {
	const connections = 1000
	addrs := []string{"127.0.0.2", "127.0.0.3"}
	sc := serverConfig(t)
	var mu sync.Mutex
	spent := make(map[string]int)
	// The first address answers when somebody has come to the second: so nearly
	// all connections really race.
	second, over := make(chan struct{}, connections+1), make(chan struct{})
	s := startRace(t, addrs, func(addr string, conn net.Conn) {
		if addr == addrs[0] {
			select {
			case <-second:
			case <-over:
			}
		} else {
			second <- struct{}{}
		}
		wire := &recordingConn{Conn: conn}
		c := Server(wire, sc)
		defer c.Close()
		c.Handshake()
		if ticket := offeredTicket(t, wire.read()); ticket != "" {
			mu.Lock()
			spent[ticket]++
			mu.Unlock()
		}
		io.Copy(c, c)
	})
	cache := &countingCache{TicketPool: &TicketPool{Tickets: 32}, taken: make(map[*SessionData]int),
		back: make(map[*SessionData]int)}
	d := raceDialer(t, minAttemptDelay, addrs...)
	d.Config.ClientSessionCache = cache
	first, err := d.DialContext(waitContext(t), "tcp", raceName+":"+s.port)
	require.NoError(t, err)
	requireEcho(t, first)
	first.Close()
	resumed := 0
	work := make(chan struct{})
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range work {
				conn, err := d.DialContext(waitContext(t), "tcp", raceName+":"+s.port)
				if !assert.NoError(t, err) {
					return
				}
				cs := conn.(*Conn).ConnectionState()
				mu.Lock()
				if cs.DidResume {
					resumed++
				}
				mu.Unlock()
				assert.Equal(t, uint8(32), cs.TicketRequest.New)
				conn.Write([]byte("x"))
				io.ReadFull(conn, make([]byte, 1))
				conn.Close()
			}
		}()
	}
	for range connections {
		work <- struct{}{}
	}
	close(work)
	all.Wait()
	close(over)
	assert.Greater(t, resumed, connections*9/10)
	assert.Greater(t, len(s.attempts()), 2*connections*9/10)
	require.Eventually(t, func() bool { // losers end in the background
		cache.mu.Lock()
		defer cache.mu.Unlock()
		mu.Lock()
		defer mu.Unlock()
		taken, back := 0, 0
		for _, n := range cache.taken {
			taken += n
		}
		for _, n := range cache.back {
			back += n
		}
		return taken == back+len(spent)
	}, wait, 10*time.Millisecond, "each ticket is spent or back")
	mu.Lock()
	defer mu.Unlock()
	for _, n := range spent {
		assert.Equal(t, 1, n)
	}
	stats := cache.Stats()
	assert.EqualValues(t, stats.Stored,
		stats.Taken+stats.Expired+stats.Declined+stats.Evicted+uint64(stats.Tickets))
}

// recordingConn keeps what is read from it.
type recordingConn struct {
	net.Conn
	mu  sync.Mutex
	all []byte
}

func (c *recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.all = append(c.all, p[:n]...)
	c.mu.Unlock()
	return n, err
}

func (c *recordingConn) read() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all
}

// cutConn fails before a byte is out.
type cutConn struct{ net.Conn }

func (cutConn) Write([]byte) (int, error) { return 0, errors.New("cut off") }

func TestATicketThatWasNotSentGoesBack(t *testing.T) {
	cc, sc := clientConfig(t), serverConfig(t)
	pool := new(TicketPool)
	cc.ClientSessionCache = pool
	c, s := connect(t, cc, sc)
	echo(t, s, c)
	before := pool.Len(c.cacheKey)
	require.Equal(t, defaultPoolTickets, before)

	// The address must be the same, and with it the key.
	a, _ := tcpPipe(t)
	raced := Client(cutConn{a}, cc)
	defer raced.Close()
	raced.cacheKey = c.cacheKey
	require.ErrorContains(t, raced.HandshakeContext(waitContext(t)), "cut off")
	assert.Equal(t, before, pool.Len(c.cacheKey), "not sent")

	a, _ = tcpPipe(t)
	raced = Client(a, cc)
	raced.cacheKey = c.cacheKey
	require.NoError(t, raced.SetWriteDeadline(longAgo))
	require.ErrorIs(t, raced.HandshakeContext(waitContext(t)), os.ErrDeadlineExceeded)
	assert.Equal(t, before-1, pool.Len(c.cacheKey), "the handshake may still go on")
	require.NoError(t, raced.Close())
	assert.Equal(t, before, pool.Len(c.cacheKey), "not sent")

	a, b := tcpPipe(t)
	require.NoError(t, b.Close())
	raced = Client(a, cc)
	defer raced.Close()
	raced.cacheKey = c.cacheKey
	require.Error(t, raced.HandshakeContext(waitContext(t)))
	assert.Less(t, pool.Len(c.cacheKey), before, "sent, and the server may have closed because of it")
}

func TestRacingAsksForAsManyTicketsAsThereAreAttempts(t *testing.T) {
	addrs := []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}
	s := startRace(t, addrs, echoWith(serverConfig(t)))
	d := raceDialer(t, maxAttemptDelay, addrs...)
	d.Config.ClientSessionCache = &TicketPool{Tickets: 4}
	for _, want := range []TicketRequest{{New: 4}, {New: 4, Resumed: 3}} {
		conn, err := d.DialContext(waitContext(t), "tcp", raceName+":"+s.port)
		require.NoError(t, err)
		requireEcho(t, conn)
		assert.Equal(t, want, *conn.(*Conn).ConnectionState().TicketRequest)
		conn.Close()
	}
}

// slowCache makes the second Get wait.
type slowCache struct {
	*TicketPool
	gets    atomic.Int64
	begun   chan struct{} // closed at the first Get
	asked   chan struct{} // closed at the second Get
	release chan struct{} // closed to let it go on
	taken   *SessionData  // by the second Get, until release and after it
}

func (c *slowCache) Get(key string) *SessionData {
	d := c.TicketPool.Get(key)
	switch c.gets.Add(1) {
	case 1:
		close(c.begun)
	case 2:
		c.taken = d
		close(c.asked)
		_ = awaitClosed(c.release)
	}
	return d
}

func TestALoserThatSentNothingGivesItsTicketBack(t *testing.T) {
	addrs := []string{"127.0.0.2", "127.0.0.3"}
	sc := serverConfig(t)
	pool := new(TicketPool)
	cc := clientConfig(t)
	cc.ClientSessionCache = pool
	c, s := connect(t, cc, sc)
	echo(t, s, c)

	cache := &slowCache{TicketPool: pool, begun: make(chan struct{}), asked: make(chan struct{}),
		release: make(chan struct{})}
	received := make(chan int64, 1)
	rs := startRace(t, addrs, func(addr string, conn net.Conn) {
		if addr == addrs[0] {
			if awaitClosed(cache.asked) == nil {
				echoWith(sc)(addr, conn)
			}
			return
		}
		// The loser's connection ends before it gets its ticket from the cache.
		n, _ := io.Copy(io.Discard, conn)
		received <- n
		close(cache.release)
	})
	key := net.JoinHostPort("localhost", rs.port)
	for d := pool.Get(c.cacheKey); d != nil; d = pool.Get(c.cacheKey) {
		pool.Put(key, d)
	}
	before := pool.Len(key)
	require.Equal(t, defaultPoolTickets, before)

	d := raceDialer(t, minAttemptDelay, addrs...)
	d.Config = cc.Clone()
	d.Config.ClientSessionCache = cache
	connectAfter(d, addrs[1], cache.begun)
	conn, err := d.Dial("tcp", raceName+":"+rs.port)
	require.NoError(t, err)
	defer conn.Close()
	assert.True(t, conn.(*Conn).ConnectionState().DidResume)
	select {
	case n := <-received:
		assert.Zero(t, n)
	case <-time.After(wait):
		t.Fatal("the loser is still there")
	}
	require.Eventually(t, func() bool { return pool.Len(key) == before-1 }, wait, time.Millisecond,
		"the winner's is spent alone")
	left := 0
	for d := pool.Get(key); d != nil; d = pool.Get(key) {
		if d == cache.taken {
			left++
		}
	}
	assert.Equal(t, 1, left)
}

func TestLosersThatHaveFinishedAreClosedWithTheirTicketsKept(t *testing.T) {
	cc, sc := clientConfig(t), serverConfig(t)
	pool := new(TicketPool)
	cc.ClientSessionCache = pool
	c, s := connect(t, cc, sc) // the tickets are on the socket of c
	require.Zero(t, pool.Len(c.cacheKey))

	outcomes := make(chan outcome, 2)
	outcomes <- outcome{err: errors.New("refused by the test")}
	outcomes <- outcome{conn: c}
	closeAll(outcomes, 2)
	assert.Equal(t, defaultPoolTickets, pool.Len(c.cacheKey))
	require.NoError(t, s.SetReadDeadline(time.Now().Add(wait)))
	_, err := s.Read(make([]byte, 1))
	assert.Equal(t, io.EOF, err)
}

func TestRaceLeavesNoGoroutine(t *testing.T) {
	sc := serverConfig(t)
	addrs := []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"}
	s := startRace(t, addrs, func(addr string, conn net.Conn) {
		if addr == addrs[2] {
			echoWith(sc)(addr, conn)
			return
		}
		blackHole(conn)
	})
	d := raceDialer(t, minAttemptDelay, addrs...)
	for range 10 {
		conn, err := d.Dial("tcp", raceName+":"+s.port)
		require.NoError(t, err)
		requireEcho(t, conn)
		conn.Close()
	}
	stacks := make([]byte, 1<<20)
	require.Eventually(t, func() bool { // the servers still run
		all := string(stacks[:runtime.Stack(stacks, true)])
		for _, f := range []string{"gnutls.(*Dialer)", "gnutls.closeAll", "gnutls.(*Conn)"} {
			if strings.Contains(all, f) {
				return false
			}
		}
		return true
	}, wait, 10*time.Millisecond)
}
