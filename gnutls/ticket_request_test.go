package gnutls

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// The tests TestRFC9149Statement01… to 13… each prove one statement about
// the extension ticket_request:
//
//  1. Its body is 2 bytes in a ClientHello and 1 in EncryptedExtensions. Any
//     other length is a decode_error.
//  2. A client sends it in ClientHello alone, and only where the user asks.
//  3. A new connection asks for what it wants and 0 for a resumed one. One that
//     has a ticket asks for 1, or the number of connections that race.
//  4. The outcome picks the count, not whether a ticket was offered.
//  5. A server sends as many as it was asked for, within its limit.
//  6. Zero means no tickets. Absence means the server's own default.
//  7. expected_count is what the server then sends.
//  8. In any message but EncryptedExtensions it is an illegal_parameter for the
//     client, and unrequested an unsupported_extension.
//  9. A HelloRetryRequest changes neither its presence nor its values.
//  10. When a server does not resume with a ticket, its siblings are dropped.
//  11. A server may send more later, within its limit.
//  12. No ticket is used past its lifetime or 7 days, and each only once.
//  13. TLS 1.2 knows nothing of it.

// request is the extension as a client sends it, whatever the length.
func request(body ...byte) tls13peer.Extensions {
	return tls13peer.Extensions{{Type: tls13peer.ExtTicketRequest, Body: body}}
}

// hint is the extension as a server sends it.
func hint(body ...byte) tls13peer.Extensions { return request(body...) }

// bodies are those of the extension in a message.
func bodies(l tls13peer.Extensions) [][]byte { return l.Bodies(tls13peer.ExtTicketRequest) }

// sameAddr is a connection to an address that does not change, so that a
// cache finds its tickets again.
type sameAddr struct{ net.Conn }

func (sameAddr) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443} }

// scriptIdentity is what a scripted server presents.
func scriptIdentity(t testing.TB) *tls13peer.Identity {
	t.Helper()
	identity, err := tls13peer.ParseIdentity(testenv.Read(t, "server.pem"),
		testenv.Read(t, "server.key"))
	require.NoError(t, err)
	return identity
}

// meetServer runs the handshake of a client with a scripted server. A script
// without tickets to accept makes full handshakes.
func meetServer(t testing.TB, config *Config, script tls13peer.ServerScript) (c *Conn,
	s *tls13peer.Server, clientErr, serverErr error) {
	t.Helper()
	script.Identity = scriptIdentity(t)
	cc, sc := tcpPipe(t)
	c, s = Client(sameAddr{cc}, config), tls13peer.NewServer(sc, script)
	t.Cleanup(func() { c.Close() })
	done := make(chan error, 1)
	go func() {
		err := s.Handshake()
		if err != nil {
			s.Close()
		}
		done <- err
	}()
	clientErr = c.HandshakeContext(waitContext(t))
	return c, s, clientErr, <-done
}

func requireServer(t testing.TB, config *Config, script tls13peer.ServerScript) (*Conn,
	*tls13peer.Server) {
	t.Helper()
	c, s, clientErr, serverErr := meetServer(t, config, script)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return c, s
}

// meetClient runs the handshake of a server with a scripted client.
func meetClient(t testing.TB, config *Config, script tls13peer.ClientScript) (c *tls13peer.Client,
	s *Conn, clientErr, serverErr error) {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s = tls13peer.NewClient(cc, script), Server(sc, config)
	t.Cleanup(func() { s.Close() })
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(waitContext(t)) }()
	clientErr = c.Handshake()
	if clientErr != nil {
		c.Close()
	}
	return c, s, clientErr, <-done
}

func requireClient(t testing.TB, config *Config, script tls13peer.ClientScript) (*tls13peer.Client,
	*Conn) {
	t.Helper()
	c, s, clientErr, serverErr := meetClient(t, config, script)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return c, s
}

// assertAlert checks that one side sent an alert and the other failed too.
func assertAlert(t testing.TB, want Alert, got, failed error) {
	t.Helper()
	assert.Equal(t, tls13peer.Alert(want), got, "on the wire")
	var e *Error
	assert.ErrorAs(t, failed, &e)
}

// expectedCount returns the body of the extension in EncryptedExtensions, or -1
// where there is none.
func expectedCount(t testing.TB, c *tls13peer.Client) int {
	t.Helper()
	assert.Empty(t, bodies(c.ServerHello), "ServerHello")
	assert.Empty(t, bodies(c.HelloRetryRequest), "HelloRetryRequest")
	all := bodies(c.EncryptedExtensions)
	if len(all) == 0 {
		return -1
	}
	require.Len(t, all, 1)
	require.Len(t, all[0], 1)
	return int(all[0][0])
}

// tickets returns how many tickets have come once application data come.
func tickets(t testing.TB, c *tls13peer.Client, s *Conn) int {
	t.Helper()
	_, err := s.Write([]byte("."))
	require.NoError(t, err)
	_, err = io.ReadFull(c, make([]byte, 1))
	require.NoError(t, err)
	return len(c.Tickets)
}

// fetchTicket returns a ticket of a server for a scripted client.
func fetchTicket(t testing.TB, config *Config) *tls13peer.Ticket {
	t.Helper()
	c, s := requireClient(t, config, tls13peer.ClientScript{Extra: request(1, 0)})
	require.Equal(t, 1, tickets(t, c, s))
	return c.Tickets[0]
}

// fetchSession returns session data of a scripted server, and its ticket.
func fetchSession(t testing.TB, config *Config, lifetime uint32) (*SessionData, *tls13peer.Ticket) {
	t.Helper()
	c, s := requireServer(t, config, tls13peer.ServerScript{})
	ticket := &tls13peer.Ticket{Lifetime: lifetime}
	require.NoError(t, s.SendTicket(ticket))
	d, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	return d, ticket
}

// retrying returns a server configuration that makes scripted clients, whose
// first key is for X25519, send a second ClientHello.
func retrying(t testing.TB) *Config {
	config := serverConfig(t)
	config.Priority = "NORMAL:-GROUP-ALL:+GROUP-SECP256R1"
	return config
}

func asking(t testing.TB, r *TicketRequest) *Config {
	config := clientConfig(t)
	config.TicketRequest = r
	return config
}

func TestRFC9149Statement01TheLengths(t *testing.T) {
	c, s := requireServer(t, asking(t, &TicketRequest{New: 3, Resumed: 1}), tls13peer.ServerScript{
		Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.EncryptedExtensions: hint(200)},
	})
	assert.Equal(t, [][]byte{{3, 1}}, bodies(s.Hellos[0].Extensions))
	cs := c.ConnectionState()
	assert.Equal(t, &TicketRequest{New: 3, Resumed: 1}, cs.TicketRequest)
	assert.True(t, cs.TicketRequestAnswered)
	assert.Equal(t, 200, cs.ExpectedTickets)

	peer, server := requireClient(t, serverConfig(t), tls13peer.ClientScript{Extra: request(3, 1)})
	assert.Equal(t, [][]byte{{3}}, bodies(peer.EncryptedExtensions))
	cs = server.ConnectionState()
	assert.Equal(t, &TicketRequest{New: 3, Resumed: 1}, cs.TicketRequest)
	assert.True(t, cs.TicketRequestAnswered)
	assert.Equal(t, 3, cs.ExpectedTickets)
}

func TestRFC9149Statement01WrongLengthsFromTheClient(t *testing.T) {
	for _, n := range []int{0, 1, 3, 255} {
		t.Run(fmt.Sprint(n, " bytes"), func(t *testing.T) {
			_, _, clientErr, serverErr := meetClient(t, serverConfig(t),
				tls13peer.ClientScript{Extra: request(make([]byte, n)...)})
			assertAlert(t, AlertDecodeError, clientErr, serverErr)
		})
		t.Run(fmt.Sprint(n, " bytes after a HelloRetryRequest"), func(t *testing.T) {
			_, _, clientErr, serverErr := meetClient(t, retrying(t), tls13peer.ClientScript{
				Extra: request(1, 1), RetryExtra: request(make([]byte, n)...),
			})
			assertAlert(t, AlertDecodeError, clientErr, serverErr)
		})
	}
}

func TestRFC9149Statement01WrongLengthsFromTheServer(t *testing.T) {
	for _, n := range []int{0, 2, 255} {
		t.Run(fmt.Sprint(n, " bytes"), func(t *testing.T) {
			_, _, clientErr, serverErr := meetServer(t, asking(t, &TicketRequest{New: 1}),
				tls13peer.ServerScript{
					Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.EncryptedExtensions: hint(
						make([]byte, n)...)},
				})
			assertAlert(t, AlertDecodeError, serverErr, clientErr)
		})
	}
}

// RFC 8446 section 4.2 forbids duplicates, and does not name an alert.
func TestRFC9149Statement01Duplicates(t *testing.T) {
	alerts := []tls13peer.Alert{
		tls13peer.Alert(AlertIllegalParameter), tls13peer.Alert(AlertDecodeError),
		tls13peer.Alert(AlertUnsupportedExtension),
	}
	for name, twice := range map[string]tls13peer.Extensions{
		"the same": append(request(1, 1), request(1, 1)...),
		"another":  append(request(1, 1), request(2, 2)...),
	} {
		t.Run("from the client, "+name, func(t *testing.T) {
			_, _, clientErr, serverErr := meetClient(t, serverConfig(t),
				tls13peer.ClientScript{Extra: twice})
			assert.Contains(t, alerts, clientErr)
			assert.Error(t, serverErr)
		})
		t.Run("after a HelloRetryRequest, "+name, func(t *testing.T) {
			_, _, clientErr, serverErr := meetClient(t, retrying(t),
				tls13peer.ClientScript{Extra: request(1, 1), RetryExtra: twice})
			assert.Contains(t, alerts, clientErr)
			assert.Error(t, serverErr)
		})
	}
	t.Run("from the server", func(t *testing.T) {
		_, _, clientErr, serverErr := meetServer(t, asking(t, &TicketRequest{}), tls13peer.ServerScript{
			Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.EncryptedExtensions: append(hint(1),
				hint(1)...)},
		})
		assert.Contains(t, alerts, serverErr)
		assert.Error(t, clientErr)
	})
}

func TestRFC9149Statement02OnlyWhereTheUserAsks(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   [][]byte
	}{
		"nothing set": {func(*Config) {}, nil},
		"a cache": {func(c *Config) { c.ClientSessionCache = NewClientSessionCache(0) },
			nil},
		"a request": {func(c *Config) {
			c.TicketRequest = &TicketRequest{New: 9, Resumed: 8}
		}, [][]byte{{9, 8}}},
		"a request for none": {func(c *Config) { c.TicketRequest = &TicketRequest{} },
			[][]byte{{0, 0}}},
		"the most": {func(c *Config) {
			c.TicketRequest = &TicketRequest{New: 255, Resumed: 255}
		}, [][]byte{{255, 255}}},
		"a pool": {func(c *Config) { c.ClientSessionCache = new(TicketPool) },
			[][]byte{{4, 0}}},
		"a pool, and a request": {func(c *Config) {
			c.ClientSessionCache = new(TicketPool)
			c.TicketRequest = &TicketRequest{New: 1}
		}, [][]byte{{1, 0}}},
		"a pool, but no tickets": {func(c *Config) {
			c.ClientSessionCache = new(TicketPool)
			c.SessionTicketsDisabled = true
		}, nil},
		"a request, but no ticket": {func(c *Config) {
			c.TicketRequest = &TicketRequest{New: 1}
			c.SessionTicketsDisabled = true
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			config := clientConfig(t)
			tc.change(config)
			c, s := requireServer(t, config, tls13peer.ServerScript{})
			assert.Equal(t, tc.want, bodies(s.Hellos[0].Extensions))
			cs := c.ConnectionState()
			assert.Equal(t, tc.want != nil, cs.TicketRequest != nil)
			assert.False(t, cs.TicketRequestAnswered)
			assert.Zero(t, cs.ExpectedTickets)
		})
	}
}

func TestRFC9149Statement02InNoOtherMessage(t *testing.T) {
	config := asking(t, &TicketRequest{New: 1, Resumed: 1})
	config.Certificates = []Certificate{testCertificate(t, "client")}
	_, s := requireServer(t, config, tls13peer.ServerScript{
		Extra: map[tls13peer.Message]tls13peer.Extensions{
			tls13peer.CertificateRequest:  {},
			tls13peer.EncryptedExtensions: hint(1),
		},
	})
	assert.Len(t, bodies(s.Hellos[0].Extensions), 1)
	require.NotEmpty(t, s.Certificate)
	assert.Empty(t, bodies(s.Certificate[0]))
}

// requester is a cache that wants what it is told.
type requester struct {
	ClientSessionCache
	want  TicketRequest
	calls []string
}

func (r *requester) TicketRequest(key string, resuming bool, racing int) TicketRequest {
	r.calls = append(r.calls, fmt.Sprintln(key, resuming, racing))
	return r.want
}

func TestRFC9149Statement03TheCacheChooses(t *testing.T) {
	cache := &requester{ClientSessionCache: NewClientSessionCache(0),
		want: TicketRequest{New: 7, Resumed: 3}}
	config := clientConfig(t)
	config.ClientSessionCache = cache
	c, s := requireServer(t, config, tls13peer.ServerScript{RetryGroup: tls13peer.P384})
	for i, hello := range s.Hellos {
		assert.Equal(t, [][]byte{{7, 3}}, bodies(hello.Extensions), "ClientHello %d", i+1)
	}
	ticket := &tls13peer.Ticket{Lifetime: 60}
	require.NoError(t, s.SendTicket(ticket))
	echo(t, s, c)

	cache.want = TicketRequest{New: 2, Resumed: 1}
	c, s = requireServer(t, config, tls13peer.ServerScript{Accept: []*tls13peer.Ticket{ticket}})
	assert.True(t, c.ConnectionState().DidResume)
	assert.Equal(t, [][]byte{{2, 1}}, bodies(s.Hellos[0].Extensions))
	assert.Equal(t, []string{"localhost:443 false 1\n", "localhost:443 true 1\n"}, cache.calls)
}

func TestRFC9149Statement03APoolStaysFull(t *testing.T) {
	config := clientConfig(t)
	config.ClientSessionCache = &TicketPool{Tickets: 3}
	var accept []*tls13peer.Ticket
	for i, want := range [][]byte{{3, 0}, {3, 1}, {3, 1}} {
		c, s := requireServer(t, config, tls13peer.ServerScript{Accept: accept})
		assert.Equal(t, i > 0, c.ConnectionState().DidResume)
		assert.Equal(t, [][]byte{want}, bodies(s.Hellos[0].Extensions), "connection %d", i+1)
		count := want[0]
		if i > 0 {
			count = want[1]
		}
		for range count {
			ticket := &tls13peer.Ticket{Lifetime: 60, Nonce: []byte{byte(len(accept))}}
			require.NoError(t, s.SendTicket(ticket))
			accept = append(accept, ticket)
		}
		echo(t, s, c)
	}
}

func TestRFC9149Statement03RacingConnections(t *testing.T) {
	config := clientConfig(t)
	config.ClientSessionCache = &TicketPool{Tickets: 3}
	c, s := requireServer(t, config, tls13peer.ServerScript{})
	var accept []*tls13peer.Ticket
	for i := range 3 {
		accept = append(accept, &tls13peer.Ticket{Lifetime: 60, Nonce: []byte{byte(i)}})
		require.NoError(t, s.SendTicket(accept[i]))
	}
	echo(t, s, c)

	cc, sc := tcpPipe(t)
	c = Client(sameAddr{cc}, config)
	defer c.Close()
	c.racing = 2 // as a Dialer says
	s = tls13peer.NewServer(sc, tls13peer.ServerScript{Accept: accept})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	require.NoError(t, c.HandshakeContext(waitContext(t)))
	require.NoError(t, <-done)
	assert.Equal(t, [][]byte{{3, 2}}, bodies(s.Hellos[0].Extensions))
}

func TestRFC9149Statement04TheOutcomePicksTheCount(t *testing.T) {
	const full, resumed = 5, 2
	config := serverConfig(t)
	other := serverConfig(t) // with another ticket key
	ticket := fetchTicket(t, config)
	for name, tc := range map[string]struct {
		server  *Config
		offered *tls13peer.Ticket
		want    int
	}{
		"nothing offered":      {config, nil, full},
		"offered and accepted": {config, ticket, resumed},
		"offered and declined": {other, ticket, full},
	} {
		t.Run(name, func(t *testing.T) {
			c, s := requireClient(t, tc.server,
				tls13peer.ClientScript{Ticket: tc.offered, Extra: request(full, resumed)})
			assert.Equal(t, tc.want == resumed, c.Resumed)
			assert.Equal(t, tc.want, expectedCount(t, c))
			assert.Equal(t, tc.want, tickets(t, c, s))
			assert.Equal(t, tc.want, s.ConnectionState().ExpectedTickets)
		})
	}
}

func TestRFC9149Statement04AfterAHelloRetryRequest(t *testing.T) {
	config := retrying(t)
	ticket := fetchTicket(t, config)
	for _, resumed := range []bool{false, true} {
		script := tls13peer.ClientScript{Extra: request(5, 2)}
		want := 5
		if resumed {
			script.Ticket, want = ticket, 2
		}
		c, s := requireClient(t, config, script)
		require.NotNil(t, c.HelloRetryRequest)
		assert.Equal(t, resumed, c.Resumed)
		assert.Equal(t, want, expectedCount(t, c))
		assert.Equal(t, want, tickets(t, c, s))
	}
}

// An external pre-shared key is no ticket: the connection is a new one.
func TestRFC9149Statement04AnExternalKeyResumesNothing(t *testing.T) {
	key := []byte("0123456789abcdef")
	client, server := asking(t, &TicketRequest{New: 5, Resumed: 2}), serverConfig(t)
	client.PSKIdentity, client.PSKKey = "alice", key
	server.GetPSK = func(context.Context, string) ([]byte, error) { return key, nil }
	var got []*SessionData
	client.OnSessionTicket = func(_ *Conn, d *SessionData) { got = append(got, d) }
	c, s := connect(t, client, server)
	echo(t, s, c)
	require.True(t, c.ConnectionState().PSK)
	for _, cs := range []ConnectionState{c.ConnectionState(), s.ConnectionState()} {
		assert.False(t, cs.DidResume)
		assert.Equal(t, 5, cs.ExpectedTickets)
	}
	assert.Len(t, got, 5)
}

func TestRFC9149Statement05TheMinimumOfLimitAndRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		asked  byte
		want   int
	}{
		"below the limit":          {func(*Config) {}, 7, 7},
		"the default limit":        {func(*Config) {}, 255, DefaultMaxSessionTickets},
		"a limit":                  {func(c *Config) { c.MaxSessionTickets = 3 }, 255, 3},
		"at the limit":             {func(c *Config) { c.MaxSessionTickets = 3 }, 3, 3},
		"below the default number": {func(c *Config) { c.SessionTickets = 8 }, 3, 3},
		"a high default number":    {func(c *Config) { c.SessionTickets = 20 }, 255, 20},
		"no default number":        {func(c *Config) { c.SessionTickets = -1 }, 4, 4},
		"all":                      {func(c *Config) { c.MaxSessionTickets = 255 }, 255, 255},
		"a function lowers": {func(c *Config) {
			c.LimitTickets = func(TicketRequestInfo) int { return 2 }
		}, 5, 2},
		"a function raises": {func(c *Config) {
			c.LimitTickets = func(TicketRequestInfo) int { return 1000 }
		}, 5, 5},
		"a function below zero": {func(c *Config) {
			c.LimitTickets = func(TicketRequestInfo) int { return -1 }
		}, 5, 0},
	} {
		t.Run(name, func(t *testing.T) {
			config := serverConfig(t)
			tc.change(config)
			offered := fetchTicketOf(t, config)
			for _, resumed := range []bool{false, true} {
				script := tls13peer.ClientScript{Extra: request(tc.asked, 0)}
				if resumed {
					script.Ticket, script.Extra = offered, request(0, tc.asked)
				}
				c, s := requireClient(t, config, script)
				require.Equal(t, resumed, c.Resumed)
				assert.Equal(t, tc.want, expectedCount(t, c))
				assert.Equal(t, tc.want, tickets(t, c, s))
			}
		})
	}
}

// fetchTicketOf is fetchTicket whatever the server sends by itself.
func fetchTicketOf(t testing.TB, config *Config) *tls13peer.Ticket {
	t.Helper()
	c, s := requireClient(t, config, tls13peer.ClientScript{})
	require.NoError(t, s.SendTickets(1))
	require.NotZero(t, tickets(t, c, s))
	return c.Tickets[0]
}

func TestRFC9149Statement05TheFunctionKnowsWhatWasAsked(t *testing.T) {
	config := serverConfig(t)
	config.MaxSessionTickets = 4
	var infos []TicketRequestInfo
	config.LimitTickets = func(info TicketRequestInfo) int {
		infos = append(infos, info)
		return info.Tickets
	}
	ticket := fetchTicket(t, config)
	c, s := requireClient(t, config,
		tls13peer.ClientScript{ServerName: "localhost", Extra: request(9, 2), Ticket: ticket})
	assert.Equal(t, 2, expectedCount(t, c))
	requireClient(t, config, tls13peer.ClientScript{}) // asks for nothing
	require.Len(t, infos, 2)
	assert.Equal(t, TicketRequest{New: 1}, infos[0].Requested)
	assert.Equal(t, 1, infos[0].Tickets)
	assert.Equal(t, TicketRequestInfo{
		Requested: TicketRequest{New: 9, Resumed: 2}, Resumed: true, Tickets: 2, ServerName: "localhost",
		RemoteAddr: s.RemoteAddr(),
	}, infos[1])
}

func TestRFC9149Statement06ZeroIsAValue(t *testing.T) {
	config := serverConfig(t)
	ticket := fetchTicket(t, config)
	for _, tc := range []struct {
		body          []byte // nil: no extension
		full, resumed int    // what is announced
	}{
		{[]byte{0, 0}, 0, 0},
		{[]byte{0, 3}, 0, 3},
		{[]byte{3, 0}, 3, 0},
		{nil, -1, -1},
	} {
		for _, resumed := range []bool{false, true} {
			t.Run(fmt.Sprint(tc.body, " resumed ", resumed), func(t *testing.T) {
				script, want := tls13peer.ClientScript{}, tc.full
				if tc.body != nil {
					script.Extra = request(tc.body...)
				}
				if resumed {
					script.Ticket, want = ticket, tc.resumed
				}
				c, s := requireClient(t, config, script)
				require.Equal(t, resumed, c.Resumed)
				assert.Equal(t, want, expectedCount(t, c))
				if want < 0 {
					want = DefaultSessionTickets
				}
				assert.Equal(t, want, tickets(t, c, s))
				cs := s.ConnectionState()
				assert.Equal(t, tc.body != nil, cs.TicketRequest != nil)
				assert.Equal(t, tc.body != nil, cs.TicketRequestAnswered)
			})
		}
	}
}

func TestRFC9149Statement06TheServersDefault(t *testing.T) {
	for n, want := range map[int]int{0: DefaultSessionTickets, 1: 1, 7: 7, -1: 0} {
		config := serverConfig(t)
		config.SessionTickets = n
		c, s := requireClient(t, config, tls13peer.ClientScript{})
		assert.Equal(t, -1, expectedCount(t, c))
		assert.Equal(t, want, tickets(t, c, s), "SessionTickets is %d", n)
		assert.Nil(t, s.ConnectionState().TicketRequest)
	}
}

func TestRFC9149Statement06AClientThatWantsNone(t *testing.T) {
	var got []*SessionData
	config := asking(t, &TicketRequest{})
	config.OnSessionTicket = func(_ *Conn, d *SessionData) { got = append(got, d) }
	c, s := connect(t, config, serverConfig(t))
	echo(t, s, c)
	assert.Empty(t, got)
	for _, cs := range []ConnectionState{c.ConnectionState(), s.ConnectionState()} {
		assert.Equal(t, &TicketRequest{}, cs.TicketRequest)
		assert.True(t, cs.TicketRequestAnswered)
		assert.Zero(t, cs.ExpectedTickets)
	}
}

func TestRFC9149Statement07AServerSwitchedOff(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   int
	}{
		"requests ignored": {func(c *Config) { c.TicketRequestsIgnored = true }, DefaultSessionTickets},
		"requests ignored, tickets by a function": {func(c *Config) {
			c.TicketRequestsIgnored = true
			c.LimitTickets = func(TicketRequestInfo) int { panic("not called") }
		}, DefaultSessionTickets},
		"no tickets": {func(c *Config) { c.SessionTicketsDisabled = true }, 0},
	} {
		for _, body := range [][]byte{{5, 5}, {0, 0}, {}, {1, 2, 3}} {
			t.Run(fmt.Sprint(name, " ", body), func(t *testing.T) {
				config := serverConfig(t)
				tc.change(config)
				c, s := requireClient(t, config, tls13peer.ClientScript{Extra: request(body...)})
				assert.Equal(t, -1, expectedCount(t, c))
				assert.Equal(t, tc.want, tickets(t, c, s))
				cs := s.ConnectionState()
				assert.Nil(t, cs.TicketRequest)
				assert.False(t, cs.TicketRequestAnswered)
			})
		}
	}
}

// A server makes no tickets for a client that could not use them.
func TestRFC9149Statement07KeyExchangeModes(t *testing.T) {
	for _, priority := range []string{"", "NORMAL:+PSK", "NORMAL:+PSK:+ECDHE-PSK",
		"NORMAL:+ECDHE-PSK"} {
		for _, modes := range [][]byte{{}, {tls13peer.PSKDHE}, {tls13peer.PSKOnly},
			{tls13peer.PSKOnly, tls13peer.PSKDHE}, {200}} {
			t.Run(fmt.Sprintf("%q %v", priority, modes), func(t *testing.T) {
				config := serverConfig(t)
				config.Priority = priority
				c, s := requireClient(t, config, tls13peer.ClientScript{PSKModes: modes, Extra: request(3, 3)})
				assert.Equal(t, expectedCount(t, c), tickets(t, c, s))
			})
		}
	}
}

func TestRFC9149Statement07OtherServersSayNothing(t *testing.T) {
	cert, err := tls.X509KeyPair(testenv.Read(t, "server.pem"), testenv.Read(t, "server.key"))
	require.NoError(t, err)
	cc, sc := tcpPipe(t)
	c, s := Client(cc, asking(t, &TicketRequest{New: 5})), tls.Server(sc,
		&tls.Config{Certificates: []tls.Certificate{cert}})
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	require.NoError(t, c.HandshakeContext(waitContext(t)))
	require.NoError(t, <-done)
	echo(t, s, c)
	cs := c.ConnectionState()
	assert.Equal(t, &TicketRequest{New: 5}, cs.TicketRequest)
	assert.False(t, cs.TicketRequestAnswered)
	assert.Zero(t, cs.ExpectedTickets)
}

// A client takes what comes, whatever was announced.
func TestRFC9149Statement07AServerThatDoesNotKeepItsWord(t *testing.T) {
	pool := &TicketPool{Tickets: 3}
	config := clientConfig(t)
	config.ClientSessionCache = pool
	for _, n := range []int{300, 0} {
		c, s := requireServer(t, config, tls13peer.ServerScript{
			Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.EncryptedExtensions: hint(5)},
		})
		for i := range n {
			require.NoError(t,
				s.SendTicket(&tls13peer.Ticket{Lifetime: 60, Nonce: []byte{byte(i >> 8), byte(i)}}))
		}
		echo(t, s, c)
		assert.Equal(t, 5, c.ConnectionState().ExpectedTickets)
		if n > 0 {
			assert.Equal(t, pool.Tickets, pool.Len(cacheKey("localhost", sameAddr{}.RemoteAddr())))
			continue
		}
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := c.SessionData(ended)
		assert.ErrorIs(t, err, ErrNoTicket)
	}
}

// Each ticket holds the certificates of the server, so one that sends tickets
// without end could fill the memory of a client that closes.
func TestTicketsThatWaitForTheCacheAreBounded(t *testing.T) {
	const sent = 600
	config := clientConfig(t)
	var delivered []*SessionData
	config.OnSessionTicket = func(_ *Conn, d *SessionData) { delivered = append(delivered, d) }
	identity, err := tls13peer.ParseIdentity(testenv.Read(t, "server.pem"),
		testenv.Read(t, "server.key"))
	require.NoError(t, err)
	cc, sc := tcpPipe(t)
	c, s := Client(cc, config), tls13peer.NewServer(sc, tls13peer.ServerScript{Identity: identity})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	require.NoError(t, c.HandshakeContext(waitContext(t)))
	require.NoError(t, <-done)
	for i := range sent {
		require.NoError(t,
			s.SendTicket(&tls13peer.Ticket{Lifetime: uint32(i + 1), Nonce: []byte{byte(i >> 8), byte(i)}}))
	}
	require.NoError(t, c.Close(), "which takes what has come off the socket")
	require.Len(t, delivered, maxUndelivered)
	for i, d := range delivered {
		require.Equal(t, time.Duration(sent-maxUndelivered+i+1)*time.Second, d.Lifetime(),
			"the newest, in order")
	}
}

func TestRFC9149Statement08Misplaced(t *testing.T) {
	for _, place := range []tls13peer.Message{
		tls13peer.ServerHello, tls13peer.ServerHello12, tls13peer.HelloRetryRequest,
		tls13peer.CertificateRequest, tls13peer.Certificate,
	} {
		for _, asked := range []*TicketRequest{nil, {New: 1, Resumed: 1}} {
			t.Run(fmt.Sprint(place, " asked ", asked != nil), func(t *testing.T) {
				script := tls13peer.ServerScript{Extra: map[tls13peer.Message]tls13peer.Extensions{place: hint(
					1)}}
				if place == tls13peer.HelloRetryRequest {
					script.RetryGroup = tls13peer.P384
				}
				if place == tls13peer.ServerHello12 {
					assertAlertAfterServerHello12(t, asking(t, asked), script)
					return
				}
				_, _, clientErr, serverErr := meetServer(t, asking(t, asked), script)
				assertAlert(t, AlertIllegalParameter, serverErr, clientErr)
			})
		}
	}
}

func assertAlertAfterServerHello12(t *testing.T, config *Config, script tls13peer.ServerScript) {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s := Client(cc, config), tls13peer.NewServer(sc, script)
	defer c.Close()
	done := make(chan error, 1)
	go func() { done <- c.HandshakeContext(waitContext(t)) }()
	require.NoError(t, s.Handshake())
	alert, err := s.ReadAlert()
	require.NoError(t, err)
	assertAlert(t, AlertIllegalParameter, alert, <-done)
}

func TestRFC9149Statement08MisplacedInATicket(t *testing.T) {
	for _, asked := range []*TicketRequest{nil, {New: 1}} {
		c, s := requireServer(t, asking(t, asked), tls13peer.ServerScript{})
		require.NoError(t, s.SendTicket(&tls13peer.Ticket{Lifetime: 60, Extensions: hint(1)}))
		_, err := c.Read(make([]byte, 1))
		alert, readErr := s.ReadAlert()
		require.NoError(t, readErr)
		assertAlert(t, AlertIllegalParameter, alert, err)
	}
}

func TestRFC9149Statement08MisplacedBesideTheRightPlace(t *testing.T) {
	for _, place := range []tls13peer.Message{tls13peer.ServerHello, tls13peer.Certificate} {
		t.Run(string(place), func(t *testing.T) {
			_, _, clientErr, serverErr := meetServer(t, asking(t, &TicketRequest{New: 1}),
				tls13peer.ServerScript{
					Extra: map[tls13peer.Message]tls13peer.Extensions{place: hint(1),
						tls13peer.EncryptedExtensions: hint(1)},
				})
			assertAlert(t, AlertIllegalParameter, serverErr, clientErr)
		})
	}
}

func TestRFC9149Statement08Unrequested(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"nothing asked":     func(*Config) {},
		"no tickets wanted": func(c *Config) { c.SessionTicketsDisabled = true },
		"asked, but no tickets": func(c *Config) {
			c.SessionTicketsDisabled = true
			c.TicketRequest = &TicketRequest{New: 1}
		},
	} {
		for _, body := range [][]byte{{1}, {}, {1, 2}} {
			t.Run(fmt.Sprint(name, " ", body), func(t *testing.T) {
				config := clientConfig(t)
				change(config)
				_, _, clientErr, serverErr := meetServer(t, config, tls13peer.ServerScript{
					Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.EncryptedExtensions: hint(
						body...)},
				})
				assertAlert(t, AlertUnsupportedExtension, serverErr, clientErr)
			})
		}
	}
}

func TestRFC9149Statement08AServerNeverMisplacesIt(t *testing.T) {
	for name, config := range map[string]*Config{"without retry": serverConfig(t),
		"with retry": retrying(t)} {
		t.Run(name, func(t *testing.T) {
			config.ClientAuth = RequestClientCert
			c, s := requireClient(t, config, tls13peer.ClientScript{Extra: request(2, 2)})
			assert.Equal(t, 2, expectedCount(t, c), "and it is in neither hello message")
			assert.NotEmpty(t, c.CertificateRequest)
			assert.Empty(t, bodies(c.CertificateRequest))
			assert.NotEmpty(t, c.Certificate)
			assert.Empty(t, bodies(c.Certificate[0]))
			require.Equal(t, 2, tickets(t, c, s))
			for _, ticket := range c.Tickets {
				assert.Empty(t, bodies(ticket.Extensions))
			}
		})
	}
}

func TestRFC9149Statement09TheClientAsksForTheSameAgain(t *testing.T) {
	cookie := tls13peer.Extensions{{Type: tls13peer.ExtCookie, Body: []byte("\x00\x01c")}}
	for name, script := range map[string]tls13peer.ServerScript{
		"group": {RetryGroup: tls13peer.P384},
		"group and cookie": {RetryGroup: tls13peer.P384,
			Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.HelloRetryRequest: cookie}},
	} {
		for _, resuming := range []bool{false, true} {
			for _, asked := range []*TicketRequest{nil, {}, {New: 3, Resumed: 2}} {
				t.Run(fmt.Sprint(name, " resuming ", resuming, " ", asked), func(t *testing.T) {
					config := asking(t, asked)
					config.ClientSessionCache = NewClientSessionCache(0)
					var accept []*tls13peer.Ticket
					if resuming {
						_, ticket := fetchSession(t, config, 60)
						accept = append(accept, ticket)
					}
					script.Accept = accept
					c, s := requireServer(t, config, script)
					assert.Equal(t, resuming, c.ConnectionState().DidResume)
					require.Len(t, s.Hellos, 2)
					var want [][]byte
					if asked != nil {
						want = [][]byte{{asked.New, asked.Resumed}}
					}
					assert.Equal(t, want, bodies(s.Hellos[0].Extensions))
					assert.Equal(t, want, bodies(s.Hellos[1].Extensions))
				})
			}
		}
	}
}

func TestRFC9149Statement09TheServerSeesChanges(t *testing.T) {
	none := tls13peer.Extensions{}
	for name, tc := range map[string]struct{ first, second tls13peer.Extensions }{
		"new connections changed":     {request(3, 1), request(2, 1)},
		"resumed connections changed": {request(3, 1), request(3, 2)},
		"swapped":                     {request(3, 1), request(1, 3)},
		"dropped":                     {request(3, 1), none},
		"dropped zeros":               {request(0, 0), none},
		"added":                       {none, request(3, 1)},
		"added zeros":                 {none, request(0, 0)},
	} {
		for _, resuming := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " resuming ", resuming), func(t *testing.T) {
				config := retrying(t)
				script := tls13peer.ClientScript{Extra: tc.first, RetryExtra: tc.second}
				if resuming {
					script.Ticket = fetchTicket(t, config)
				}
				_, _, clientErr, serverErr := meetClient(t, config, script)
				assertAlert(t, AlertIllegalParameter, clientErr, serverErr)
			})
		}
		t.Run(name+", requests ignored", func(t *testing.T) {
			config := retrying(t)
			config.TicketRequestsIgnored = true
			c, _ := requireClient(t, config, tls13peer.ClientScript{Extra: tc.first, RetryExtra: tc.second})
			assert.Equal(t, -1, expectedCount(t, c))
		})
	}
	t.Run("unchanged", func(t *testing.T) {
		c, _ := requireClient(t, retrying(t), tls13peer.ClientScript{Extra: request(3, 1)})
		require.NotNil(t, c.HelloRetryRequest)
		assert.Equal(t, 3, expectedCount(t, c))
	})
}

// sendTo sends n tickets and waits until the client has them.
func sendTo(t testing.TB, c *Conn, s *tls13peer.Server, n int) (sent []*tls13peer.Ticket) {
	t.Helper()
	for i := range n {
		ticket := &tls13peer.Ticket{Lifetime: 60, Nonce: []byte{byte(i)}}
		require.NoError(t, s.SendTicket(ticket))
		sent = append(sent, ticket)
	}
	echo(t, s, c)
	return sent
}

func TestRFC9149Statement10SiblingsOfADeclinedTicketAreDropped(t *testing.T) {
	for name, cache := range map[string]ClientSessionCache{
		"pool":  &TicketPool{Tickets: 8},
		"cache": NewClientSessionCache(0),
	} {
		t.Run(name, func(t *testing.T) {
			config := clientConfig(t)
			config.ClientSessionCache = cache
			key := cacheKey("localhost", sameAddr{}.RemoteAddr())

			c, s := requireServer(t, config, tls13peer.ServerScript{})
			first := sendTo(t, c, s, 3)
			c, s = requireServer(t, config, tls13peer.ServerScript{Accept: first})
			require.True(t, c.ConnectionState().DidResume)
			sendTo(t, c, s, 2) // of the same session

			c, s = requireServer(t, config, tls13peer.ServerScript{}) // declines
			require.False(t, c.ConnectionState().DidResume)
			assert.NotEmpty(t, s.Hellos[0].Extensions.Bodies(tls13peer.ExtPreSharedKey))
			assert.Nil(t, cache.Get(key), "all four are gone")

			second := sendTo(t, c, s, 1) // of the new session
			c, _ = requireServer(t, config, tls13peer.ServerScript{Accept: second})
			assert.True(t, c.ConnectionState().DidResume)
		})
	}
}

func TestRFC9149Statement11MoreTicketsLater(t *testing.T) {
	config := serverConfig(t)
	config.MaxSessionTickets = 4
	c, s := requireClient(t, config, tls13peer.ClientScript{Extra: request(1, 1)})
	require.Equal(t, 1, tickets(t, c, s))
	for _, n := range []int{0, 1, 4} {
		before := len(c.Tickets)
		require.NoError(t, s.SendTickets(n))
		assert.Equal(t, before+n, tickets(t, c, s))
	}
	for _, n := range []int{5, 1000, -1} {
		before := len(c.Tickets)
		assert.ErrorIs(t, s.SendTickets(n), CodeInvalidRequest, "%d", n)
		assert.Equal(t, before, tickets(t, c, s), "nothing was sent")
	}
	names := make(map[string]bool)
	for _, ticket := range c.Tickets {
		names[string(ticket.Name)] = true
		again, _ := requireClient(t, config, tls13peer.ClientScript{Ticket: ticket})
		assert.True(t, again.Resumed)
	}
	assert.Len(t, names, len(c.Tickets))
}

func TestRFC9149Statement11MoreThanABatch(t *testing.T) {
	config := serverConfig(t)
	config.MaxSessionTickets, config.SessionTickets = 255, -1
	c, s := requireClient(t, config, tls13peer.ClientScript{})
	require.NoError(t, s.SendTickets(255))
	assert.Equal(t, 255, tickets(t, c, s))
}

func TestRFC9149Statement11WhoCannotSendTickets(t *testing.T) {
	c, s := connect(t, clientConfig(t), serverConfig(t))
	assert.ErrorIs(t, c.SendTickets(1), CodeInvalidRequest, "a client")
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.SendTickets(1), net.ErrClosed)

	_, sc := tcpPipe(t)
	early := Server(sc, serverConfig(t))
	defer early.Close()
	assert.ErrorIs(t, early.SendTickets(1), CodeDuringHandshake)

	_, s = connect(t, withVersion(clientConfig(t), VersionTLS12), serverConfig(t))
	assert.ErrorIs(t, s.SendTickets(1), CodeInvalidRequest, "TLS 1.2")

	disabled := serverConfig(t)
	disabled.SessionTicketsDisabled = true
	_, s = connect(t, clientConfig(t), disabled)
	assert.ErrorIs(t, s.SendTickets(1), CodeInvalidRequest, "without tickets")
}

func TestRFC9149Statement11AClientThatCannotUseTickets(t *testing.T) {
	_, s := requireClient(t, serverConfig(t),
		tls13peer.ClientScript{PSKModes: []byte{tls13peer.PSKOnly}})
	assert.NoError(t, s.SendTickets(0))
	assert.ErrorIs(t, s.SendTickets(1), CodeNotAvailable)
}

func TestRFC9149Statement12NoTicketIsUsedPastItsLifetime(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, tc := range map[string]struct {
		lifetime uint32 // seconds
		age      time.Duration
		offered  bool
	}{
		"fresh":                      {60, 0, true},
		"almost over":                {3600, time.Hour - time.Minute, true},
		"over":                       {60, time.Minute, false},
		"the longest":                {uint32(week.Seconds()), week - time.Minute, true},
		"a week is over":             {uint32(week.Seconds()), week, false},
		"longer than allowed":        {1 << 30, week - time.Minute, true},
		"longer than allowed, older": {1 << 30, week, false},
	} {
		t.Run(name, func(t *testing.T) {
			config := clientConfig(t)
			d, ticket := fetchSession(t, config, tc.lifetime)
			aged := *d
			aged.arrived = aged.arrived.Add(-tc.age)
			pool := new(TicketPool)
			pool.Put(cacheKey("localhost", sameAddr{}.RemoteAddr()), &aged)
			config = clientConfig(t)
			config.ClientSessionCache = pool
			_, s := requireServer(t, config, tls13peer.ServerScript{})
			psk := s.Hellos[0].Extensions.Bodies(tls13peer.ExtPreSharedKey)
			assert.Equal(t, tc.offered, len(psk) == 1 && bytes.Contains(psk[0], ticket.Name))

			cc, _ := tcpPipe(t)
			byHand := Client(cc, config)
			defer byHand.Close()
			err := byHand.Resume(&aged)
			if tc.offered {
				assert.NoError(t, err)
			} else {
				assert.ErrorIs(t, err, ErrSessionExpired)
			}
		})
	}
}

func TestRFC9149Statement12ATicketWithoutLifetimeIsNotKept(t *testing.T) {
	config := clientConfig(t)
	config.ClientSessionCache = new(TicketPool)
	c, s := requireServer(t, config, tls13peer.ServerScript{})
	require.NoError(t, s.SendTicket(&tls13peer.Ticket{Lifetime: 0}))
	echo(t, s, c)
	_, s = requireServer(t, config, tls13peer.ServerScript{})
	assert.Empty(t, s.Hellos[0].Extensions.Bodies(tls13peer.ExtPreSharedKey))
}

func TestRFC9149Statement12ATicketIsUsedOnce(t *testing.T) {
	for name, cache := range map[string]ClientSessionCache{
		"pool":  &TicketPool{Tickets: 8},
		"cache": NewClientSessionCache(0),
	} {
		t.Run(name, func(t *testing.T) {
			config := clientConfig(t)
			config.ClientSessionCache = cache
			c, s := requireServer(t, config, tls13peer.ServerScript{})
			accept := sendTo(t, c, s, 3)
			used := make(map[*tls13peer.Ticket]bool)
			for range accept {
				_, s := requireServer(t, config, tls13peer.ServerScript{Accept: accept})
				require.NotNil(t, s.Resumed)
				used[s.Resumed] = true
			}
			assert.Len(t, used, 3)
			_, s = requireServer(t, config, tls13peer.ServerScript{Accept: accept})
			assert.Empty(t, s.Hellos[0].Extensions.Bodies(tls13peer.ExtPreSharedKey))
		})
	}
}

func TestRFC9149Statement12AServerPromisesNoMoreThanAWeek(t *testing.T) {
	assert.LessOrEqual(t, fetchTicket(t, serverConfig(t)).Lifetime, uint32(7*24*60*60))
}

func TestRFC9149Statement13AClientOfTLS12DoesNotAsk(t *testing.T) {
	for _, cache := range []ClientSessionCache{nil, new(TicketPool)} {
		config := withVersion(asking(t, &TicketRequest{New: 3}), VersionTLS12)
		config.ClientSessionCache = cache
		cc, sc := tcpPipe(t)
		c, s := Client(cc, config), tls13peer.NewServer(sc, tls13peer.ServerScript{
			Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.ServerHello12: {}},
		})
		done := make(chan error, 1)
		go func() { done <- c.HandshakeContext(waitContext(t)) }()
		require.NoError(t, s.Handshake())
		assert.Empty(t, bodies(s.Hellos[0].Extensions))
		require.NoError(t, c.Close())
		assert.Error(t, <-done)
	}
}

func TestRFC9149Statement13AServerOfTLS12DoesNotLook(t *testing.T) {
	for _, body := range [][]byte{{3, 1}, {0, 0}, {}, {1, 2, 3}} {
		t.Run(fmt.Sprint(body), func(t *testing.T) {
			c, _, clientErr, _ := meetClient(t, withVersion(serverConfig(t), VersionTLS12),
				tls13peer.ClientScript{
					Versions:     []uint16{tls13peer.VersionTLS12},
					CipherSuites: []uint16{tls13peer.ECDHEECDSAAES128GCM},
					Extra:        request(body...),
				})
			assert.ErrorContains(t, clientErr, "the server chose version 0x303")
			assert.Equal(t, tls13peer.VersionTLS12, c.Version)
			assert.Empty(t, bodies(c.ServerHello))
		})
	}
}

func TestRFC9149Statement13AClientThatGetsTLS12(t *testing.T) {
	cert, err := tls.X509KeyPair(testenv.Read(t, "server.pem"), testenv.Read(t, "server.key"))
	require.NoError(t, err)
	servers := map[string]func(net.Conn) net.Conn{
		"GnuTLS": func(c net.Conn) net.Conn {
			config := withVersion(serverConfig(t), VersionTLS12)
			config.LimitTickets = func(TicketRequestInfo) int { panic("not called") }
			return Server(c, config)
		},
		"crypto/tls": func(c net.Conn) net.Conn {
			return tls.Server(c,
				&tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: tls.VersionTLS12})
		},
	}
	for name, server := range servers {
		t.Run(name, func(t *testing.T) {
			pool := new(TicketPool)
			config := clientConfig(t)
			config.ClientSessionCache = pool
			cc, sc := tcpPipe(t)
			c, s := Client(sameAddr{cc}, config), server(sc)
			defer c.Close()
			defer s.Close()
			done := make(chan error, 1)
			go func() { done <- s.(interface{ Handshake() error }).Handshake() }()
			require.NoError(t, c.HandshakeContext(waitContext(t)))
			require.NoError(t, <-done)
			echo(t, c, s)
			states := []ConnectionState{c.ConnectionState()}
			if ours, ok := s.(*Conn); ok {
				states = append(states, ours.ConnectionState())
			}
			for _, cs := range states {
				assert.EqualValues(t, VersionTLS12, cs.Version)
				assert.Nil(t, cs.TicketRequest)
				assert.False(t, cs.TicketRequestAnswered)
				assert.Zero(t, cs.ExpectedTickets)
			}
			assert.Equal(t, 1, pool.Len(cacheKey("localhost", sameAddr{}.RemoteAddr())),
				"its session can be resumed")
		})
	}
}

// waitUntilIn waits until some goroutine is in all of the given functions.
func waitUntilIn(t testing.TB, functions ...string) {
	t.Helper()
	buf := make([]byte, 1<<20)
	require.Eventually(t, func() bool {
		for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !slices.ContainsFunc(functions, func(f string) bool { return !strings.Contains(stack, f) }) {
				return true
			}
		}
		return false
	}, wait, time.Millisecond)
}

func TestRFC9149Statement11ApplicationDataNeedNotWaitForAllTickets(t *testing.T) {
	cc, sc := clientConfig(t), serverConfig(t)
	sc.SessionTickets, sc.MaxSessionTickets = -1, 255
	var tickets atomic.Int64
	cc.OnSessionTicket = func(*Conn, *SessionData) { tickets.Add(1) }
	a, b := net.Pipe()
	c, s := Client(a, cc), Server(b, sc)
	defer c.Close()
	defer s.Close()
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)

	done := make(chan error, 2)
	go func() { done <- s.SendTickets(255) }()
	waitUntilIn(t, "(*Conn).SendTickets", "net.(*pipe).write")
	go func() {
		_, err := s.Write([]byte("data"))
		done <- err
	}()
	waitUntilIn(t, "(*Conn).Write", "(*Conn).takeWriter")
	requireRead(t, c, "data")
	assert.Less(t, tickets.Load(), int64(255))
	read := make(chan struct{})
	go func() {
		io.Copy(io.Discard, c)
		close(read)
	}()
	require.NoError(t, <-done)
	require.NoError(t, <-done)
	require.NoError(t, s.Close())
	<-read
	assert.EqualValues(t, 255, tickets.Load())
}
