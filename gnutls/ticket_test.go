package gnutls

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// noTickets returns a server configuration that makes tickets, but only when
// sendTickets is called.
func noTickets(t testing.TB) *Config {
	config := serverConfig(t)
	config.SessionTickets = -1
	return config
}

// sendTickets makes a server send n tickets now.
func sendTickets(t testing.TB, s *Conn, n int) {
	t.Helper()
	s.writing.turn.take()
	defer s.giveWriter()
	require.NoError(t,
		s.produce(func(ss *cgnutls.Session, out []byte) cgnutls.Result { return ss.SendTickets(n, out) }))
}

// resume connects with session data and returns whether the server agreed.
func resume(t testing.TB, client, server *Config, d *SessionData) bool {
	t.Helper()
	cc, sc := tcpPipe(t)
	c, s := Client(cc, client), Server(sc, server)
	defer c.Close()
	defer s.Close()
	require.NoError(t, c.Resume(d))
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	echo(t, c, s)
	assert.Equal(t, s.ConnectionState().DidResume, c.ConnectionState().DidResume)
	return c.ConnectionState().DidResume
}

func TestSessionDataFailBeforeTheHandshakeIsOver(t *testing.T) {
	cc, sc := tcpPipe(t)
	c, s := Client(cc, clientConfig(t)), Server(sc, serverConfig(t))
	defer c.Close()
	defer s.Close()
	_, err := c.SessionData(waitContext(t))
	assert.ErrorIs(t, err, CodeDuringHandshake)
	assert.ErrorContains(t, err, "the handshake is not complete")
}

func TestSessionDataAfterAFalseStart(t *testing.T) {
	client, server := clientConfig(t), serverConfig(t)
	client.FalseStart, client.MaxVersion = true, VersionTLS12
	var tickets []*SessionData
	client.OnSessionTicket = func(_ *Conn, d *SessionData) { tickets = append(tickets, d) }
	client.ClientSessionCache = NewClientSessionCache(0)
	cc, sc := tcpPipe(t)
	gate := &gatedConn{Conn: sc, open: make(chan struct{})}
	c, s := Client(cc, client), Server(gate, server)
	defer c.Close()
	defer s.Close()
	ctx := waitContext(t)
	serverDone := make(chan error, 1)
	go func() {
		err := s.HandshakeContext(ctx)
		if err == nil {
			_, err = s.Write([]byte("hello"))
		}
		serverDone <- err
	}()
	require.NoError(t, c.HandshakeContext(ctx), "the client need not wait for the server's Finished")
	_, err := c.SessionData(ctx)
	assert.ErrorIs(t, err, CodeDuringHandshake)
	assert.Empty(t, tickets)

	close(gate.open)
	require.NoError(t, <-serverDone)
	buf := make([]byte, 5)
	_, err = io.ReadFull(c, buf)
	require.NoError(t, err)
	d, err := c.SessionData(ctx)
	require.NoError(t, err)
	assert.Equal(t, []*SessionData{d}, tickets)
	assert.Same(t, d, client.ClientSessionCache.Get(c.cacheKey))
	assert.True(t, resume(t, client, server, d))
}

// gatedConn lets only the first write through until it is opened: of a TLS 1.2
// server's flights the one up to ServerHelloDone.
type gatedConn struct {
	net.Conn
	open   chan struct{}
	writes int
}

func (g *gatedConn) Write(p []byte) (int, error) {
	if g.writes++; g.writes > 1 {
		<-g.open
	}
	return g.Conn.Write(p)
}

func TestOnlyClientsHaveSessionData(t *testing.T) {
	c, s := connect(t, clientConfig(t), serverConfig(t))
	_, err := s.SessionData(waitContext(t))
	assert.ErrorIs(t, err, CodeInvalidRequest)
	assert.ErrorIs(t, s.Resume(new(SessionData)), CodeInvalidRequest)
	assert.ErrorIs(t, c.Resume(new(SessionData)), CodeInvalidRequest, "the handshake is over")
}

func TestSessionDataWaitForATicket(t *testing.T) {
	client, server := clientConfig(t), noTickets(t)
	c, s := connect(t, client, server)
	type result struct {
		d   *SessionData
		err error
	}
	got := make(chan result)
	go func() {
		d, err := c.SessionData(waitContext(t))
		got <- result{d, err}
	}()
	// Data that come before the ticket are for Read.
	_, err := s.Write([]byte("before the ticket, "))
	require.NoError(t, err)
	sendTickets(t, s, 1)
	r := <-got
	require.NoError(t, r.err)
	_, err = s.Write([]byte("after the ticket"))
	require.NoError(t, err)
	require.NoError(t, s.CloseWrite())
	data, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.Equal(t, "before the ticket, after the ticket", string(data))
	assert.True(t, resume(t, client, server, r.d))
}

func TestSessionDataReturnErrNoTicket(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, server := range map[string]func(*Config){
		"server sends none":        func(c *Config) { c.SessionTickets = -1 },
		"server has no ticket key": func(c *Config) { c.SessionTicketsDisabled = true },
	} {
		t.Run(name, func(t *testing.T) {
			config := serverConfig(t)
			server(config)
			c, s := connect(t, clientConfig(t), config)

			_, err := c.SessionData(ended)
			assert.ErrorIs(t, err, ErrNoTicket)
			assert.ErrorIs(t, err, context.Canceled)

			short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
			defer cancel()
			_, err = c.SessionData(short)
			assert.ErrorIs(t, err, ErrNoTicket)
			assert.ErrorIs(t, err, context.DeadlineExceeded)
			echo(t, c, s)

			require.NoError(t, c.SetReadDeadline(time.Now().Add(50*time.Millisecond)))
			_, err = c.SessionData(waitContext(t))
			assert.ErrorIs(t, err, ErrNoTicket)
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			require.NoError(t, c.SetReadDeadline(time.Time{}))
			echo(t, c, s)

			require.NoError(t, s.Close())
			_, err = c.SessionData(waitContext(t))
			assert.ErrorIs(t, err, ErrNoTicket)
			assert.ErrorIs(t, err, io.EOF)
		})
	}
}

func TestSessionDataOfAServerThatDoesNotResumeTLS12(t *testing.T) {
	cert, err := tls.X509KeyPair(testenv.Read(t, "server.pem"), testenv.Read(t, "server.key"))
	require.NoError(t, err)
	cc, sc := tcpPipe(t)
	server := tls.Server(sc, &tls.Config{Certificates: []tls.Certificate{cert},
		SessionTicketsDisabled: true, MaxVersion: tls.VersionTLS12})
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	c := Client(cc, clientConfig(t))
	defer c.Close()
	require.NoError(t, c.Handshake())
	require.NoError(t, <-done)
	_, err = c.SessionData(waitContext(t))
	assert.ErrorIs(t, err, ErrNoTicket)
}

func TestSessionDataAreOfTheNewestTicket(t *testing.T) {
	client := clientConfig(t)
	var tickets []*SessionData
	client.OnSessionTicket = func(_ *Conn, d *SessionData) { tickets = append(tickets, d) }
	c, s := connect(t, client, noTickets(t))
	for _, n := range []int{1, 4, 2} {
		sendTickets(t, s, n)
		echo(t, c, s)
		d, err := c.SessionData(waitContext(t))
		require.NoError(t, err)
		assert.Same(t, tickets[len(tickets)-1], d)
	}
	assert.Len(t, tickets, 7)
}

// A Read that waits takes the tickets in for SessionData.
func TestSessionDataWhileAReadWaits(t *testing.T) {
	c, s := connect(t, clientConfig(t), noTickets(t))
	read := make(chan error, 1)
	go func() {
		buf := make([]byte, 4)
		_, err := io.ReadFull(c, buf)
		read <- err
	}()
	ended, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	_, err := c.SessionData(ended)
	assert.ErrorIs(t, err, ErrNoTicket)

	got := make(chan error, 1)
	go func() {
		_, err := c.SessionData(waitContext(t))
		got <- err
	}()
	sendTickets(t, s, 1)
	assert.NoError(t, <-got)
	select {
	case err := <-read:
		t.Fatal("Read ended without data:", err)
	default:
	}
	_, err = s.Write([]byte("data"))
	require.NoError(t, err)
	assert.NoError(t, <-read)
}

// A Read that comes while SessionData waits gets the data that come.
func TestReadWhileSessionDataWait(t *testing.T) {
	c, s := connect(t, clientConfig(t), noTickets(t))
	got := make(chan error, 1)
	go func() {
		_, err := c.SessionData(waitContext(t))
		got <- err
	}()
	for range 10 {
		echo(t, s, c)
	}
	sendTickets(t, s, 1)
	assert.NoError(t, <-got)
}

func TestSessionDataKeepABoundedAmountOfData(t *testing.T) {
	c, s := connect(t, clientConfig(t), noTickets(t))
	data := bytes.Repeat([]byte("0123456789abcdef"), 2*maxKept/16)
	written := make(chan error, 1)
	go func() {
		_, err := s.Write(data)
		if err == nil {
			err = s.CloseWrite()
		}
		written <- err
	}()
	_, err := c.SessionData(waitContext(t))
	assert.ErrorIs(t, err, ErrNoTicket)
	assert.ErrorContains(t, err, "too much application data")
	assert.Less(t, len(c.kept.data), maxKept+maxCrossing)
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	require.NoError(t, <-written)
	assert.True(t, bytes.Equal(data, got), "Read returns all data in order")
}

func TestOnSessionTicketSeesEveryTicketInOrder(t *testing.T) {
	const n = 20
	server := noTickets(t)
	client := clientConfig(t)
	var mu sync.Mutex
	var order []*SessionData
	client.OnSessionTicket = func(c *Conn, d *SessionData) {
		// It may use the connection: no lock is held.
		newest, err := c.SessionData(waitContext(t))
		assert.NoError(t, err)
		assert.False(t, newest.Arrived().Before(d.Arrived()))
		_, err = c.Write([]byte("."))
		assert.NoError(t, err)
		mu.Lock()
		defer mu.Unlock()
		order = append(order, d)
	}
	c, s := connect(t, client, server)
	go func() {
		for range n / 4 {
			sendTickets(t, s, 3)
			s.Write([]byte("x"))
			sendTickets(t, s, 1)
		}
		s.CloseWrite()
	}()
	// Several readers race, the tickets stay in order.
	var wg sync.WaitGroup
	for range 3 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			io.Copy(io.Discard, c)
		}()
	}
	dots := make([]byte, n)
	_, err := io.ReadFull(s, dots)
	require.NoError(t, err)
	wg.Wait()
	require.Len(t, order, n)
	seen := make(map[string]bool)
	for i, d := range order {
		seen[string(d.data)] = true
		if i > 0 {
			assert.False(t, d.Arrived().Before(order[i-1].Arrived()))
		}
	}
	assert.Len(t, seen, n, "no ticket overwrites another")
}

func TestPanicInOnSessionTicketReachesTheReader(t *testing.T) {
	client := clientConfig(t)
	calls := 0
	client.OnSessionTicket = func(*Conn, *SessionData) {
		if calls++; calls == 1 {
			panic("first")
		}
	}
	c, s := connect(t, client, serverConfig(t))
	_, err := s.Write([]byte("hello"))
	require.NoError(t, err)
	buf := make([]byte, 5)
	assert.PanicsWithValue(t, "first", func() { c.Read(buf) })
	echo(t, s, c)
	assert.Equal(t, DefaultSessionTickets, calls, "the next ticket is delivered all the same")
}

func TestServerSendsTheConfiguredNumberOfTickets(t *testing.T) {
	for configured, want := range map[int]int{0: DefaultSessionTickets, 1: 1, 5: 5, 40: 40, -1: 0} {
		client, server := clientConfig(t), serverConfig(t)
		server.SessionTickets = configured
		got := make(chan struct{}, 100)
		client.OnSessionTicket = func(*Conn, *SessionData) { got <- struct{}{} }
		c, s := connect(t, client, server)
		ended := make(chan struct{})
		go func() {
			io.Copy(io.Discard, c)
			close(ended)
		}()
		for range want {
			select {
			case <-got:
			case <-time.After(wait):
				t.Fatalf("SessionTickets: %d: a ticket is missing", configured)
			}
		}
		require.NoError(t, s.Close())
		<-ended
		assert.Empty(t, got, "SessionTickets: %d", configured)
	}
}

func TestTicketsDisabledOnTheClient(t *testing.T) {
	client := clientConfig(t)
	client.SessionTicketsDisabled = true
	client.OnSessionTicket = func(*Conn, *SessionData) { t.Error("a ticket came") }
	c, s := connect(t, client, serverConfig(t))
	echo(t, s, c)
}

// A peer that writes and never reads must not keep the server's handshake
// from ending, over a transport without buffers.
func TestTicketsDoNotHoldUpAHandshakeOverAPipe(t *testing.T) {
	cc, sc := net.Pipe()
	server := serverConfig(t)
	server.SessionTickets = 30
	c, s := Client(cc, clientConfig(t)), Server(sc, server)
	defer s.Close()
	defer c.Close()
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	go c.Write([]byte("hello"))
	buf := make([]byte, 5)
	_, err := io.ReadFull(s, buf)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(buf))
}

// A client that uploads, never reads and closes leaves tickets in its socket,
// or closes before they come.
func TestNothingOfAnUploadIsLostWhenTheClientClosesWithoutReading(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, early := range map[string]bool{"tickets have come": false, "tickets come later": true} {
		t.Run(name, func(t *testing.T) {
			for range 20 {
				client := clientConfig(t)
				client.ClientSessionCache = NewClientSessionCache(0)
				cc, sc := tcpPipe(t)
				c, s := Client(cc, client), Server(sc, serverConfig(t))
				shaken := make(chan struct{})
				uploaded := make(chan error, 1)
				go func() {
					err := c.Handshake()
					if !early {
						<-shaken
					}
					if err == nil {
						_, err = c.Write(data)
					}
					c.Close()
					uploaded <- err
				}()
				require.NoError(t, s.Handshake())
				close(shaken)
				got, err := io.ReadAll(s)
				require.NoError(t, err)
				require.True(t, bytes.Equal(data, got))
				require.NoError(t, <-uploaded)
				if !early {
					assert.NotNil(t, client.ClientSessionCache.Get(c.cacheKey), "the tickets are not wasted")
				}
				s.Close()
			}
		})
	}
}

// Tickets that are sent in the background do not cost the close_notify.
func TestCloseAfterManyTickets(t *testing.T) {
	for range 30 {
		client, server := clientConfig(t), serverConfig(t)
		server.SessionTickets = 255
		tickets := 0
		client.OnSessionTicket = func(*Conn, *SessionData) { tickets++ }
		c, s := connect(t, client, server)
		go func() {
			s.Write([]byte("x"))
			s.Close()
		}()
		got, err := io.ReadAll(c)
		require.NoError(t, err)
		require.Equal(t, "x", string(got))
		require.Equal(t, 255, tickets)
	}
}

// Tickets of which a part is still inside GnuTLS go before the data of a Write,
// and instead of none of them.
func TestWriteWhileTicketsWaitInside(t *testing.T) {
	c, s := connect(t, clientConfig(t), noTickets(t))
	s.writing.turn.take()
	small := make([]byte, 300)
	var r cgnutls.Result
	require.NoError(t, s.withSession(func(ss *cgnutls.Session) { r = ss.SendTickets(5, small) }))
	require.True(t, r.Full)
	_, err := s.conn.Write(small[:r.Made])
	require.NoError(t, err)
	s.giveWriter()

	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<12)
	go func() {
		s.Write(want)
		s.CloseWrite()
	}()
	got, err := io.ReadAll(c)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(want, got))
	d, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	assert.NotNil(t, d)
}

// OnSessionTicket may write, also when it is Close that found the ticket.
func TestOnSessionTicketMayWriteDuringClose(t *testing.T) {
	client := clientConfig(t)
	called := 0
	client.OnSessionTicket = func(c *Conn, _ *SessionData) {
		called++
		c.Write([]byte("x"))
		assert.NoError(t, c.CloseWrite())
	}
	c, _ := connect(t, client, serverConfig(t))
	require.NoError(t, c.Close())
	assert.Equal(t, DefaultSessionTickets, called)
}

// After Close a connection whose socket is kept for tickets is as closed as any.
func TestConnIsClosedWhileItsSocketLingers(t *testing.T) {
	c, s := connect(t, clientConfig(t), noTickets(t))
	_, err := c.Write([]byte("x"))
	require.NoError(t, err)
	require.NoError(t, c.Close())
	_, err = c.Read(make([]byte, 1))
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.ErrorIs(t, c.SetDeadline(time.Time{}), net.ErrClosed)
	_, err = c.SessionData(waitContext(t))
	assert.ErrorIs(t, err, net.ErrClosed)
	got, err := io.ReadAll(s)
	require.NoError(t, err)
	assert.Equal(t, "x", string(got))
}

// A handshake that goes on after a deadline does not take a second ticket.
func TestHandshakeAsksTheCacheOnce(t *testing.T) {
	client := clientConfig(t)
	client.ClientSessionCache = NewClientSessionCache(0)
	cc, sc := tcpPipe(t)
	c, s := Client(cc, client), Server(sc, serverConfig(t))
	defer c.Close()
	defer s.Close()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
	require.ErrorIs(t, c.Handshake(), os.ErrDeadlineExceeded)
	d := newSessionData(t, clientConfig(t), serverConfig(t))
	client.ClientSessionCache.Put(c.cacheKey, d)
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	echo(t, c, s)
	found := false
	for left := client.ClientSessionCache.Get(
		c.cacheKey); left != nil; left = client.ClientSessionCache.Get(c.cacheKey) {
		found = found || left == d
	}
	assert.True(t, found, "the ticket is still there")
}

func TestTicketsThatADeadlineHasCutOffComeLater(t *testing.T) {
	const n = 64
	cc, sc := clientConfig(t), serverConfig(t)
	sc.SessionTickets = n
	var got atomic.Int64
	cc.OnSessionTicket = func(*Conn, *SessionData) { got.Add(1) }
	a, b := net.Pipe()
	c, s := Client(a, cc), Server(b, sc)
	defer c.Close()
	defer s.Close()
	clientErr, serverErr := shakeConns(t, c, s)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	require.NoError(t, s.SetWriteDeadline(longAgo)) // while the client reads nothing
	<-s.after.done
	require.NoError(t, s.SetWriteDeadline(time.Time{}))
	written := make(chan error, 1)
	go func() {
		_, err := s.Write([]byte("data"))
		written <- err
	}()
	requireRead(t, c, "data")
	require.NoError(t, <-written)
	assert.EqualValues(t, n, got.Load(), "and before the data")
}
