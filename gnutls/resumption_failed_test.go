package gnutls

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// eachCache runs f with each cache of this package.
func eachCache(t *testing.T,
	f func(t *testing.T, cache ClientSessionCache, held func(key string) int)) {
	t.Run("cache", func(t *testing.T) {
		cache := NewClientSessionCache(0)
		f(t, cache, cache.(*memoryCache).pool.Len)
	})
	t.Run("pool", func(t *testing.T) {
		pool := new(TicketPool)
		f(t, pool, pool.Len)
	})
}

// A session that a handshake failed with is not offered again, and neither are its
// siblings. A connection that ends without a word may be that of a server that has ended:
// its siblings stay.
func TestWhatAFailedHandshakeOfferedLeavesTheCache(t *testing.T) {
	alert := []byte{21, 3, 3, 0, 2, 2, 80}
	for _, tc := range []struct {
		name   string
		answer func(sc net.Conn) // of a server that does not take the session
		ctx    func() context.Context
		keeps  bool
	}{
		{"the server sends an alert", func(sc net.Conn) { sc.Write(alert); sc.Close() }, nil, false},
		{"the server closes the connection", func(sc net.Conn) { sc.Close() }, nil, false},
		{"the server sends nonsense", func(sc net.Conn) { sc.Write(make([]byte, 100)); sc.Close() }, nil,
			false},
		{"the connection is reset", func(sc net.Conn) { sc.(*net.TCPConn).SetLinger(0); sc.Close() }, nil,
			true},
		{"the client gives up", func(net.Conn) {}, func() context.Context {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			t.Cleanup(cancel)
			return ctx
		}, true},
	} {
		for _, version := range bothVersions {
			t.Run(tc.name+"/"+VersionName(version), func(t *testing.T) {
				eachCache(t, func(t *testing.T, cache ClientSessionCache, held func(string) int) {
					client := withVersion(clientConfig(t), version)
					client.ClientSessionCache = cache
					first, s := connect(t, client, serverConfig(t))
					echo(t, s, first)
					key := first.cacheKey
					before := held(key)
					require.Positive(t, before)

					cc, sc := tcpPipe(t)
					c := Client(cc, client)
					defer c.Close()
					c.cacheKey = key
					go func() {
						header := make([]byte, 5)
						if _, err := io.ReadFull(sc, header); err == nil {
							io.ReadFull(sc, make([]byte, int(header[3])<<8|int(header[4])))
							tc.answer(sc)
						}
					}()
					ctx := waitContext(t)
					if tc.ctx != nil {
						ctx = tc.ctx()
					}
					require.Error(t, c.HandshakeContext(ctx))
					switch {
					case tc.name == "the server closes the connection" && version == VersionTLS13:
						assert.Equal(t, before-1, held(key))
					case !tc.keeps:
						assert.Zero(t, held(key))
					case version == VersionTLS13:
						assert.GreaterOrEqual(t, held(key), before-1, "one may have been used up")
					default:
						assert.Equal(t, before, held(key))
					}
				})
			})
		}
	}
}

// A ticket that no ClientHello has room for is not kept; where it is offered all the same
// it is not given back.
func TestTicketsTooLongToBeOffered(t *testing.T) {
	for _, size := range []int{maxTicket, maxTicket + 1, 65_400, 65_535} {
		eachCache(t, func(t *testing.T, cache ClientSessionCache, held func(string) int) {
			client := withVersion(clientConfig(t), VersionTLS13)
			client.ClientSessionCache = cache
			c, s := requireServer(t, client, tls13peer.ServerScript{})
			ticket := &tls13peer.Ticket{Lifetime: 60, Name: make([]byte, size)}
			require.NoError(t, s.SendTicket(ticket))
			s.Close()
			_, err := c.Read(make([]byte, 1))
			require.Error(t, err)
			_, err = c.SessionData(waitContext(t))
			if size > maxTicket {
				var unusable *UnusableTicketError
				require.ErrorAs(t, err, &unusable)
				assert.ErrorIs(t, err, ErrNoTicket)
				assert.Zero(t, held(c.cacheKey))
				return
			}
			require.NoError(t, err)
			require.Equal(t, 1, held(c.cacheKey))

			// With as much else in the ClientHello as can be.
			for range 8 {
				client.NextProtos = append(client.NextProtos, "abcdefghijklmnopqrstuvwxyz01234")
			}
			cc, sc := tcpPipe(t)
			require.NoError(t, sc.SetReadDeadline(time.Now().Add(wait)))
			again := Client(cc, client.Clone())
			defer again.Close()
			again.cacheKey = c.cacheKey
			go again.HandshakeContext(waitContext(t))
			n, err := io.ReadAtLeast(sc, make([]byte, 1<<20), size)
			require.NoError(t, err, "it is offered")
			assert.Greater(t, n, size)
		})
	}
}

func TestASessionThatMakesTheClientHelloTooLongIsNotGivenBack(t *testing.T) {
	eachCache(t, func(t *testing.T, cache ClientSessionCache, held func(string) int) {
		client := withVersion(clientConfig(t), VersionTLS13)
		client.ClientSessionCache = cache
		c, s := connect(t, client, serverConfig(t))
		echo(t, s, c)
		cache.Put("long", tooLong(t, client))
		cc, _ := tcpPipe(t)
		again := Client(cc, client)
		defer again.Close()
		again.cacheKey = "long"
		require.Error(t, again.HandshakeContext(waitContext(t)))
		assert.Zero(t, held("long"))
	})
}

// tooLong returns session data as earlier versions kept them.
func tooLong(t testing.TB, client *Config) *SessionData {
	t.Helper()
	config := client.Clone()
	config.ClientSessionCache = nil
	c, s := requireServer(t, config, tls13peer.ServerScript{})
	require.NoError(t, s.SendTicket(&tls13peer.Ticket{Lifetime: 60, Name: make([]byte, 65_535)}))
	for {
		require.NoError(t, c.reading.in.fill())
		var tickets []cgnutls.Ticket
		require.NoError(t, c.withSession(func(s *cgnutls.Session) {
			r := s.Recv(c.reading.in.bytes(), false, make([]byte, 1))
			c.reading.in.skip(r.Used)
			tickets = s.TakeTickets()
		}))
		if len(tickets) > 0 {
			d, err := c.resumption.wrap(tickets[0].Session, nil)
			require.NoError(t, err)
			return d
		}
	}
}

func TestTicketsThatCannotBeUsedAreNamed(t *testing.T) {
	for _, tc := range []struct {
		name   string
		ticket tls13peer.Ticket
		detail string
	}{
		{"no lifetime", tls13peer.Ticket{Name: []byte("ticket")}, "its lifetime is 0"},
		{"too long", tls13peer.Ticket{Lifetime: 1, Name: make([]byte, 65_000)},
			"it has 65000 bytes, too many for a ClientHello"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, s := requireServer(t, withVersion(clientConfig(t), VersionTLS13), tls13peer.ServerScript{})
			require.NoError(t, s.SendTicket(&tc.ticket))
			s.Close()
			_, err := c.SessionData(waitContext(t))
			assert.ErrorIs(t, err, ErrNoTicket)
			assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
			var unusable *UnusableTicketError
			require.ErrorAs(t, err, &unusable)
			assert.Equal(t, tc.detail, unusable.Detail)
		})
	}
}

func TestEmptyTicketsCannotBeUsed(t *testing.T) {
	assert.EqualError(t, checkTicket(VersionTLS12, []byte{0, 0, 0, 60, 0, 0}),
		"gnutls: the server sent a ticket that cannot be used: it is empty")
	assert.NoError(t, checkTicket(VersionTLS12, []byte{0, 0, 0, 0, 0, 1, 7}))
	assert.NoError(t, checkTicket(VersionTLS12, nil))
	assert.EqualError(t, checkTicket(VersionTLS13, []byte{0, 0, 0, 60, 0, 0, 0, 0, 1, 7, 0, 0}),
		"gnutls: the server sent a ticket that cannot be used: it is empty")
}
