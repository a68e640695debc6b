package gnutls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// serversTakeEarlyData reports whether servers can accept early data. Where they
// cannot, it makes sure that early data are refused, and come after all.
func serversTakeEarlyData(t *testing.T) bool {
	if cgnutls.AtLeast("3.7.2") {
		return true
	}
	cc, sc := clientConfig(t), earlyServerConfig(t)
	d := newSessionData(t, cc, sc)
	assert.Zero(t, d.MaxEarlyData())
	c, s := earlyShake(t, cc, sc, d, "GET /early")
	for _, cs := range []ConnectionState{c.ConnectionState(), s.ConnectionState()} {
		assert.True(t, cs.DidResume)
		assert.False(t, cs.EarlyDataAccepted)
	}
	requireRead(t, s, "GET /early")
	return false
}

func earlyServerConfig(t testing.TB) *Config {
	sc := serverConfig(t)
	sc.MaxEarlyData = 16 << 10
	return sc
}

// earlyConns returns a client with early data to write and its server. Neither
// has begun its handshake.
func earlyConns(t testing.TB, cc, sc *Config, d *SessionData, early string) (c, s *Conn) {
	t.Helper()
	a, b := tcpPipe(t)
	c, s = Client(a, cc), Server(b, sc)
	t.Cleanup(func() { c.Close(); s.Close() })
	if d != nil {
		require.NoError(t, c.Resume(d))
	}
	n, err := c.WriteEarlyData([]byte(early))
	require.NoError(t, err)
	require.Equal(t, len(early), n)
	return c, s
}

// earlyShake is earlyConns with handshakes that succeed.
func earlyShake(t testing.TB, cc, sc *Config, d *SessionData, early string) (c, s *Conn) {
	t.Helper()
	c, s = earlyConns(t, cc, sc, d, early)
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return c, s
}

// requireRead reads just text from c.
func requireRead(t testing.TB, c net.Conn, text string) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(wait)))
	buf := make([]byte, len(text))
	_, err := io.ReadFull(c, buf)
	require.NoError(t, err)
	require.Equal(t, text, string(buf))
}

func TestEarlyDataAreAccepted(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	cc, sc := clientConfig(t), earlyServerConfig(t)
	d := newSessionData(t, cc, sc)
	assert.EqualValues(t, 16<<10, d.MaxEarlyData())
	c, s := earlyShake(t, cc, sc, d, "GET /early")
	for _, cs := range []ConnectionState{c.ConnectionState(), s.ConnectionState()} {
		assert.True(t, cs.DidResume)
		assert.True(t, cs.EarlyDataAccepted)
		assert.Equal(t, len("GET /early"), cs.EarlyData)
	}
	requireRead(t, s, "GET /early")
	echo(t, c, s)
}

func TestEarlyDataComeBeforeWhatIsWrittenLater(t *testing.T) {
	for name, limit := range map[string]int{"accepted": 16 << 10, "refused": 0} {
		t.Run(name, func(t *testing.T) {
			cc, sc := clientConfig(t), earlyServerConfig(t)
			d := newSessionData(t, cc, sc)
			sc = sc.Clone()
			sc.MaxEarlyData = limit
			c, s := earlyConns(t, cc, sc, d, "one ")
			for _, text := range []string{"two ", "three "} {
				_, err := c.WriteEarlyData([]byte(text))
				require.NoError(t, err)
			}
			clientErr, serverErr := shakeConns(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			_, err := c.Write([]byte("four "))
			require.NoError(t, err)
			_, err = c.WriteEarlyData([]byte("five"))
			require.NoError(t, err)
			requireRead(t, s, "one two three four five")
		})
	}
}

func TestEarlyDataAreNotLostWhenTheyCannotGoEarly(t *testing.T) {
	early := func(sc *Config) *Config { sc.MaxEarlyData = 16 << 10; return sc }
	cases := map[string]struct {
		client  func(*Config)
		first   func(*Config) // the server of the first connection
		second  func(*Config) // and of the second
		noOffer bool
		resumed bool
	}{
		"no session":                 {noOffer: true},
		"server takes none":          {first: func(sc *Config) { sc.MaxEarlyData = 0 }, resumed: true},
		"server takes less":          {first: func(sc *Config) { sc.MaxEarlyData = 20 }, resumed: true},
		"server takes none any more": {second: func(sc *Config) { sc.MaxEarlyData = 0 }, resumed: true},
		"other ticket key":           {second: func(sc *Config) { sc.TicketKey = nil }},
		"anti-replay fails": {second: func(sc *Config) { sc.AntiReplay = failingAntiReplay{} },
			resumed: true},
	}
	text := strings.Repeat("all of this arrives ", 100)
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			cc, sc := clientConfig(t), early(serverConfig(t))
			key, err := NewTicketKey()
			require.NoError(t, err)
			sc.TicketKey = key
			sc2 := sc.Clone()
			if tc.first != nil {
				tc.first(sc)
			}
			if tc.second != nil {
				tc.second(sc2)
			}
			var d *SessionData
			if !tc.noOffer {
				d = newSessionData(t, cc, sc)
			}
			c, s := earlyShake(t, cc, sc2, d, text)
			assert.False(t, c.ConnectionState().EarlyDataAccepted)
			assert.False(t, s.ConnectionState().EarlyDataAccepted)
			assert.Equal(t, tc.resumed, c.ConnectionState().DidResume)
			requireRead(t, s, text)
			echo(t, s, c)
		})
	}
}

type failingAntiReplay struct{}

func (failingAntiReplay) Add(context.Context, []byte, time.Time) (bool, error) {
	return true, errors.New("the store is down")
}

func TestMoreEarlyDataThanFitStartTheHandshake(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	cc, sc := clientConfig(t), earlyServerConfig(t)
	d := newSessionData(t, cc, sc)
	a, b := tcpPipe(t)
	c, s := Client(a, cc), Server(b, sc)
	defer c.Close()
	defer s.Close()
	require.NoError(t, c.Resume(d))
	text := strings.Repeat("0123456789", 5000)
	done := make(chan error, 1)
	go func() {
		_, err := c.WriteEarlyData([]byte("early "))
		if err == nil {
			_, err = c.WriteEarlyData([]byte(text))
		}
		done <- err
	}()
	requireRead(t, s, "early "+text)
	require.NoError(t, <-done)
	assert.Equal(t, len("early "), s.ConnectionState().EarlyData)
}

// tap records what passes from client to server.
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

// recordingAntiReplay notes what it was asked.
type recordingAntiReplay struct {
	AntiReplay
	mu    sync.Mutex
	added []bool
}

func (r *recordingAntiReplay) Add(ctx context.Context, id []byte, expires time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	added, err := r.AntiReplay.Add(ctx, id, expires)
	r.added = append(r.added, added)
	return added, err
}

func TestReplayedClientHelloIsRefused(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	cc, sc := clientConfig(t), earlyServerConfig(t)
	key, err := NewTicketKey()
	require.NoError(t, err)
	sc.TicketKey = key
	record := &recordingAntiReplay{AntiReplay: NewAntiReplay(0)}
	sc.AntiReplay = record
	other := sc.Clone()
	_, err = other.native(true) // from when on it takes early data
	require.NoError(t, err)
	d := newSessionData(t, cc, sc)

	a, b := tcpPipe(t)
	wire := &tap{Conn: a}
	c, s := Client(wire, cc), Server(b, sc)
	defer c.Close()
	defer s.Close()
	require.NoError(t, c.Resume(d))
	_, err = c.WriteEarlyData([]byte("pay 100"))
	require.NoError(t, err)
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	requireRead(t, s, "pay 100")
	require.True(t, s.ConnectionState().EarlyDataAccepted)
	require.Equal(t, []bool{true}, record.added)

	for i, config := range []*Config{sc, other} {
		a, b := tcpPipe(t)
		s := Server(b, config)
		defer s.Close()
		_, err := a.Write(wire.all)
		require.NoError(t, err)
		require.NoError(t, a.(*net.TCPConn).CloseWrite())
		require.Error(t, s.HandshakeContext(waitContext(t)), "whoever replays does not know the keys")
		assert.Equal(t, i+2, len(record.added), "it was recognized, and not just too old")
		assert.False(t, record.added[i+1])
		n, err := s.Read(make([]byte, 10))
		assert.Error(t, err)
		assert.Zero(t, n)
	}
}

// GnuTLS 3.7.9 would accept the early data, and then fail.
func TestEarlyDataAreRefusedWithAHelloRetryRequest(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	const x25519First = "NORMAL:-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1"
	const p256First = "NORMAL:-GROUP-ALL:+GROUP-SECP256R1:+GROUP-X25519"
	x25519, p256 := []uint16{tls13peer.X25519, tls13peer.P256}, []uint16{tls13peer.P256,
		tls13peer.X25519}
	for _, tc := range []struct {
		priority string
		groups   []uint16 // of the client, which sends a key for the first
		accepted bool
	}{
		{"", x25519, true},
		{"", p256, true},
		{"NORMAL:-GROUP-ALL:+GROUP-SECP256R1", x25519, false},
		{"NORMAL:-GROUP-ALL:+GROUP-SECP256R1", p256, true},
		{"NORMAL:-GROUP-ALL:+GROUP-SECP384R1:+GROUP-X25519", p256, false},
		{p256First, x25519, true},
		{p256First + ":%SERVER_PRECEDENCE", x25519, false},
		{p256First + ":%SERVER_PRECEDENCE", p256, true},
		{x25519First + ":%SERVER_PRECEDENCE", p256, false},
	} {
		t.Run(fmt.Sprint(tc.priority, tc.groups), func(t *testing.T) {
			sc := earlyServerConfig(t)
			sc.Priority = tc.priority
			_, err := sc.native(true) // from when on it takes early data
			require.NoError(t, err)
			c, s := requireClient(t, sc, tls13peer.ClientScript{
				Groups: tc.groups, Ticket: fetchTicket(t, sc), EarlyData: []byte("early"),
			})
			assert.Equal(t, tc.accepted, c.HelloRetryRequest == nil)
			assert.True(t, c.Resumed)
			assert.Equal(t, tc.accepted, c.EarlyDataAccepted)
			assert.Equal(t, tc.accepted, s.ConnectionState().EarlyDataAccepted)
			_, err = c.Write([]byte("later"))
			require.NoError(t, err)
			if tc.accepted {
				requireRead(t, s, "early")
			}
			requireRead(t, s, "later")
		})
	}
}

func TestEarlyDataThatTheServerCannotGoOnAfter(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	for name, change := range map[string]func(*Config){
		"TLS 1.2":             func(sc *Config) { sc.MaxVersion = VersionTLS12 },
		"hello retry request": func(sc *Config) { sc.Priority = "NORMAL:-GROUP-ALL:+GROUP-SECP384R1" },
	} {
		t.Run(name, func(t *testing.T) {
			cc, sc := clientConfig(t), earlyServerConfig(t)
			key, err := NewTicketKey()
			require.NoError(t, err)
			sc.TicketKey = key
			d := newSessionData(t, cc, sc)
			sc = sc.Clone()
			change(sc)
			c, s := earlyConns(t, cc, sc, d, "early")
			clientErr, serverErr := shakeConns(t, c, s)
			assert.ErrorIs(t, clientErr, ErrEarlyData)
			assert.Error(t, serverErr)
			c, s = connect(t, cc, sc)
			echo(t, c, s)
		})
	}
}

func TestEarlyDataAreOfTheSessionThatIsResumed(t *testing.T) {
	cc := clientConfig(t)
	c, s := requireServer(t, cc, tls13peer.ServerScript{})
	require.NoError(t,
		s.SendTicket(&tls13peer.Ticket{Lifetime: 60,
			Extensions: tls13peer.Extensions{tls13peer.EarlyData(1000)}}))
	d, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	identity, err := tls13peer.ParseIdentity(testenv.Read(t, "server.pem"),
		testenv.Read(t, "server.key"))
	require.NoError(t, err)
	a, b := tcpPipe(t)
	c, s = Client(a, cc), tls13peer.NewServer(b, tls13peer.ServerScript{
		Identity: identity,
		Extra: map[tls13peer.Message]tls13peer.Extensions{
			tls13peer.EncryptedExtensions: {{Type: tls13peer.ExtEarlyData}},
		},
	})
	defer c.Close()
	require.NoError(t, c.Resume(d))
	_, err = c.WriteEarlyData([]byte("early"))
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	err = c.HandshakeContext(waitContext(t))
	assert.ErrorIs(t, err, CodeInvalidSession)
	assert.Error(t, <-done)
	assert.False(t, c.ConnectionState().EarlyDataAccepted)
}

func TestEarlyDataOfAnotherApplicationProtocol(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	cc, sc := clientConfig(t), earlyServerConfig(t)
	cc.NextProtos, sc.NextProtos = []string{"a"}, []string{"a"}
	d := newSessionData(t, cc, sc)
	c, s := earlyShake(t, cc, sc, d, "for a")
	assert.True(t, c.ConnectionState().EarlyDataAccepted)
	requireRead(t, s, "for a")

	cc.NextProtos = []string{"b"}
	c, s = earlyConns(t, cc, sc, d, "for b")
	clientErr, serverErr := shakeConns(t, c, s)
	assert.Error(t, clientErr, "GnuTLS finds no common protocol")
	assert.ErrorIs(t, serverErr, CodeNoApplicationProtocol)

	none := earlyServerConfig(t)
	cc.NextProtos = []string{"a"}
	c, s = earlyConns(t, cc, none, nil, "for a")
	clientErr, _ = shakeConns(t, c, s)
	assert.ErrorIs(t, clientErr, CodeNoApplicationProtocol)
	assert.ErrorContains(t, clientErr, `"a"`)
	_, err := s.Read(make([]byte, 10))
	assert.ErrorIs(t, err, AlertNoApplicationProtocol)
}

func TestWriteEarlyDataNeedsOneProtocolAndAClient(t *testing.T) {
	a, b := tcpPipe(t)
	cc := clientConfig(t)
	cc.NextProtos = []string{"a", "b"}
	c, s := Client(a, cc), Server(b, serverConfig(t))
	defer c.Close()
	defer s.Close()
	for _, conn := range []*Conn{c, s} {
		n, err := conn.WriteEarlyData([]byte("x"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, CodeInvalidRequest)
	}
}

func TestMaxEarlyDataIsChecked(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"Config.MaxEarlyData is -1":    func(sc *Config) { sc.MaxEarlyData = -1 },
		"Config.MaxEarlyData is 65537": func(sc *Config) { sc.MaxEarlyData = 65537 },
		"NextProtos has 2 entries":     func(sc *Config) { sc.NextProtos = []string{"a", "b"} },
	} {
		sc := earlyServerConfig(t)
		change(sc)
		_, err := Listen("tcp", "127.0.0.1:0", sc)
		assert.ErrorContains(t, err, name)
	}
}

// GnuTLS accepts early data with a ticket that is older than its anti-replay
// object. So one that has decided on early data, and became young, is used last.
func TestAntiReplayObjectsThatWereUsedWaitLongest(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	sc := earlyServerConfig(t)
	n, err := sc.native(true)
	require.NoError(t, err)
	g := n.early
	require.Equal(t, antiReplays, g.free.Len())
	first, second := g.take(), g.take()
	g.give(first, true)
	g.give(second, false)
	assert.Same(t, second, g.take())
	for range antiReplays - 2 {
		assert.NotSame(t, first, g.take())
	}
	assert.Same(t, first, g.take())
	assert.Nil(t, g.take(), "all are in use")

	// Then early data are refused, and nothing else.
	cc := clientConfig(t)
	c, s := earlyShake(t, cc, sc, newSessionData(t, cc, sc), "hello")
	assert.True(t, c.ConnectionState().DidResume)
	assert.False(t, c.ConnectionState().EarlyDataAccepted)
	requireRead(t, s, "hello")
	for g.free.Len() > 0 {
		g.free.Remove(g.free.Front())
	}
}

func TestAntiReplayObjectsComeBack(t *testing.T) {
	if !serversTakeEarlyData(t) {
		return
	}
	cc, sc := clientConfig(t), earlyServerConfig(t)
	d := newSessionData(t, cc, sc)
	n, err := sc.native(true)
	require.NoError(t, err)
	earlyShake(t, cc, sc, d, "x")
	assert.Equal(t, antiReplays, n.early.free.Len(), "after a handshake")

	a, b := tcpPipe(t)
	s := Server(b, sc)
	require.NoError(t, a.(*net.TCPConn).CloseWrite())
	require.Error(t, s.HandshakeContext(waitContext(t)))
	require.NoError(t, s.Close())
	assert.Equal(t, antiReplays, n.early.free.Len(), "after one that failed")
}

type panickingAntiReplay struct{}

func (panickingAntiReplay) Add(context.Context, []byte, time.Time) (bool, error) {
	panic("no record")
}

func TestAPanicInsideTheServersHandshakeIsItsError(t *testing.T) {
	changes := map[string]func(*Config){
		"LimitTickets": func(sc *Config) {
			sc.LimitTickets = func(TicketRequestInfo) int { panic("no number") }
		},
		"AntiReplay": func(sc *Config) { sc.AntiReplay = panickingAntiReplay{} },
	}
	if !serversTakeEarlyData(t) {
		delete(changes, "AntiReplay") // it is not asked
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			cc, sc := clientConfig(t), earlyServerConfig(t)
			change(sc)
			d := newSessionData(t, cc, sc) // asks for no number, and sends nothing early
			cc.TicketRequest = &TicketRequest{New: 1, Resumed: 1}
			c, s := earlyConns(t, cc, sc, d, "early")
			clientErr, serverErr := shakeConns(t, c, s)
			assert.Error(t, errors.Join(clientErr, readOne(c)))
			var panicked *PanicError
			assert.ErrorAs(t, serverErr, &panicked)
			n, err := s.Read(make([]byte, 10))
			assert.Zero(t, n)
			assert.Error(t, err)
		})
	}
}

// readOne reads a byte.
func readOne(c net.Conn) error {
	c.SetReadDeadline(time.Now().Add(wait))
	_, err := c.Read(make([]byte, 1))
	return err
}

// TestWriteEarlyDataDuringTheHandshake: a handshake that ends sends what could
// not go early in the background, while others still write.
func TestWriteEarlyDataDuringTheHandshake(t *testing.T) {
	for range 20 {
		cc, sc := tcpPipe(t)
		c, s := Client(cc, clientConfig(t)), Server(sc, serverConfig(t))
		n, err := c.WriteEarlyData([]byte("x"))
		require.NoError(t, err)
		over := make(chan struct{})
		written := make(chan int, 1)
		go func() {
			n := 0
			defer func() { written <- n }()
			for {
				m, err := c.WriteEarlyData([]byte("y"))
				n += m
				if err != nil {
					return
				}
				select {
				case <-over:
					return
				default:
				}
			}
		}()
		got := make(chan int64, 1)
		go func() {
			n, _ := io.Copy(io.Discard, s)
			got <- n
		}()
		require.NoError(t, c.HandshakeContext(waitContext(t)))
		close(over)
		n += <-written
		require.NoError(t, c.CloseWrite())
		assert.EqualValues(t, n, <-got)
		c.Close()
		s.Close()
	}
}
