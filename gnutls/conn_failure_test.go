package gnutls

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// Handshake messages that have no place after a handshake.
const (
	messageClientHello = 1
	messageFinished    = 20
	messageKeyUpdate   = 24
)

// afterHandshakes are what a peer must not send after a handshake under TLS
// 1.3, and the alert for it.
var afterHandshakes = []struct {
	name  string
	send  func(p *tls13peer.Conn) error
	is    error
	alert Alert
}{
	{"a Finished", func(p *tls13peer.Conn) error {
		return p.SendMessage(messageFinished, make([]byte, 32))
	}, unexpectedPacket, AlertUnexpectedMessage},
	{"a ClientHello", func(p *tls13peer.Conn) error {
		return p.SendMessage(messageClientHello, make([]byte, 50))
	}, unexpectedPacket, AlertUnexpectedMessage},
	{"an unknown message", func(p *tls13peer.Conn) error { return p.SendMessage(99, nil) },
		unexpectedPacket, AlertUnexpectedMessage},
	{"a KeyUpdate with a wrong request", func(p *tls13peer.Conn) error {
		return p.SendMessage(messageKeyUpdate, []byte{2})
	}, nil, AlertIllegalParameter},
	{"a KeyUpdate that is too long", func(p *tls13peer.Conn) error {
		return p.SendMessage(messageKeyUpdate, []byte{0, 0})
	}, CodeUnexpectedPacketLength, AlertDecodeError},
	{"an unknown record", func(p *tls13peer.Conn) error { return p.SendRecord(99, []byte("x")) }, nil,
		AlertUnexpectedMessage},
	{"half an alert", func(p *tls13peer.Conn) error {
		return p.SendRecord(tls13peer.RecordAlert, []byte{2})
	}, CodeUnexpectedPacket, AlertUnexpectedMessage},
	{"garbage", func(p *tls13peer.Conn) error {
		_, err := p.Conn.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		return err
	}, CodeDecryptionFailed, AlertBadRecordMAC},
	{"a record too long", func(p *tls13peer.Conn) error {
		_, err := p.Conn.Write([]byte{23, 3, 3, 0xff, 0xff})
		return err
	}, CodeRecordOverflow, AlertRecordOverflow},
}

const unexpectedPacket = CodeUnexpectedPacket

// scripted returns a Conn of one side, after the handshake, and its scripted
// peer.
func scripted(t *testing.T, side string) (*Conn, *tls13peer.Conn) {
	t.Helper()
	if side == "client" {
		c, s := requireServer(t, clientConfig(t), tls13peer.ServerScript{})
		require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
		return c, &s.Conn
	}
	c, s := requireClient(t, noTickets(t), tls13peer.ClientScript{})
	require.NoError(t, s.SetDeadline(time.Now().Add(wait)))
	return s, &c.Conn
}

var sides = []string{"client", "server"}

// records returns what a Conn that is closed has sent, without tickets.
func records(t *testing.T, p *tls13peer.Conn) (data string, alerts [][]byte) {
	t.Helper()
	all, err := p.ReadRecords()
	require.NoError(t, err)
	for _, r := range all {
		switch r.Type {
		case tls13peer.RecordAlert:
			alerts = append(alerts, r.Data)
		case tls13peer.RecordApplicationData:
			assert.Empty(t, alerts, "data follow an alert")
			data += string(r.Data)
		}
	}
	return data, alerts
}

// TestNothingFollowsAFatalAlert: after an error of the peer's one alert goes
// out, and nothing else, whatever the program does.
func TestNothingFollowsAFatalAlert(t *testing.T) {
	for _, side := range sides {
		for _, c := range afterHandshakes {
			t.Run(side+"/"+c.name, func(t *testing.T) {
				conn, p := scripted(t, side)
				_, err := conn.Write([]byte("before"))
				require.NoError(t, err)
				require.NoError(t, c.send(p))
				_, readErr := conn.Read(make([]byte, 10))
				require.Error(t, readErr)
				if c.is != nil {
					assert.ErrorIs(t, readErr, c.is)
				}
				_, err = conn.Write([]byte("after"))
				assert.Equal(t, readErr, err)
				assert.Equal(t, readErr, conn.CloseWrite())
				_, err = conn.Read(make([]byte, 10))
				assert.Equal(t, readErr, err)
				require.NoError(t, conn.Close())
				data, alerts := records(t, p)
				assert.Equal(t, "before", data)
				assert.Equal(t, [][]byte{{2, byte(c.alert)}}, alerts)
			})
		}
	}
}

// TestNothingFollowsAFatalAlertOfThePeer is the same for an alert that comes.
func TestNothingFollowsAFatalAlertOfThePeer(t *testing.T) {
	for _, side := range sides {
		t.Run(side, func(t *testing.T) {
			conn, p := scripted(t, side)
			require.NoError(t, p.SendRecord(tls13peer.RecordAlert, []byte{2, byte(AlertAccessDenied)}))
			_, readErr := conn.Read(make([]byte, 10))
			require.ErrorIs(t, readErr, AlertAccessDenied)
			_, err := conn.Write([]byte("after"))
			assert.Equal(t, readErr, err)
			assert.Equal(t, readErr, conn.CloseWrite())
			require.NoError(t, conn.Close())
			data, alerts := records(t, p)
			assert.Empty(t, data)
			assert.Empty(t, alerts)
		})
	}
}

// TestNoAlertFollowsCloseNotify: it was the last word.
func TestNoAlertFollowsCloseNotify(t *testing.T) {
	for _, side := range sides {
		t.Run(side, func(t *testing.T) {
			conn, p := scripted(t, side)
			require.NoError(t, conn.CloseWrite())
			require.NoError(t, p.SendMessage(messageFinished, nil))
			_, err := conn.Read(make([]byte, 10))
			require.Error(t, err)
			require.NoError(t, conn.Close())
			_, alerts := records(t, p)
			assert.Equal(t, [][]byte{{1, 0}}, alerts)
		})
	}
}

// A gate is a connection whose Writes wait once it is shut.
type gate struct {
	net.Conn
	shut    chan struct{} // closed: writes wait
	waiting chan struct{} // closed when one does
	open    chan struct{} // closed: they go on
}

func (g *gate) Write(p []byte) (int, error) {
	select {
	case <-g.shut:
		select {
		case <-g.waiting:
		default:
			close(g.waiting)
		}
		<-g.open
	default:
	}
	return g.Conn.Write(p)
}

// TestFatalAlertDuringAWrite: the alert follows the record under way, Write
// returns the error, and Close waits for that.
func TestFatalAlertDuringAWrite(t *testing.T) {
	cc, sc := tcpPipe(t)
	g := &gate{Conn: sameAddr{cc}, shut: make(chan struct{}), waiting: make(chan struct{}),
		open: make(chan struct{})}
	c, s := Client(g, clientConfig(t)), tls13peer.NewServer(sc,
		tls13peer.ServerScript{Identity: scriptIdentity(t)})
	done := make(chan error, 1)
	go func() { done <- s.Handshake() }()
	require.NoError(t, c.HandshakeContext(waitContext(t)))
	require.NoError(t, <-done)
	close(g.shut)
	type result struct {
		n   int
		err error
	}
	written := make(chan result, 1)
	const length = 1 << 20
	go func() {
		n, err := c.Write(make([]byte, length))
		written <- result{n, err}
	}()
	<-g.waiting
	require.NoError(t, s.SendMessage(messageFinished, nil))
	_, readErr := c.Read(make([]byte, 10))
	require.ErrorIs(t, readErr, CodeUnexpectedPacket)
	closed := make(chan error, 1)
	go func() { closed <- c.Close() }()
	close(g.open)
	all, err := s.ReadRecords()
	require.NoError(t, err)
	require.NoError(t, <-closed)
	r := <-written
	assert.Equal(t, readErr, r.err)
	assert.Less(t, r.n, length)
	require.NotEmpty(t, all)
	last := len(all) - 1
	assert.Equal(t, tls13peer.Record{Type: tls13peer.RecordAlert,
		Data: []byte{2, byte(AlertUnexpectedMessage)}}, all[last])
	got := 0
	for _, r := range all[:last] {
		assert.Equal(t, tls13peer.RecordApplicationData, r.Type)
		got += len(r.Data)
	}
	assert.Equal(t, r.n, got)
}

// TestFatalErrorEndsAWriteThatWaits: a peer that does not read does not keep a
// Write for ever after an error.
func TestFatalErrorEndsAWriteThatWaits(t *testing.T) {
	conn, p := scripted(t, "client")
	written := make(chan error, 1)
	go func() {
		_, err := conn.Write(make([]byte, 64<<20))
		written <- err
	}()
	require.NoError(t, p.SendMessage(messageFinished, nil))
	_, readErr := conn.Read(make([]byte, 10))
	require.ErrorIs(t, readErr, CodeUnexpectedPacket)
	// The time that Write is left may be cut short.
	require.NoError(t, conn.SetWriteDeadline(time.Now()))
	assert.Equal(t, readErr, <-written)
	require.NoError(t, conn.Close())
}

// TestSessionOfAFailedConnectionIsForgotten on both sides.
func TestSessionOfAFailedConnectionIsForgotten(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		for name, send := range map[string]func(s *tls13peer.Server) error{
			"own alert": func(s *tls13peer.Server) error { return s.SendMessage(messageFinished, nil) },
			"peer's alert": func(s *tls13peer.Server) error {
				return s.SendRecord(tls13peer.RecordAlert, []byte{2, 80})
			},
		} {
			t.Run(name, func(t *testing.T) {
				pool := new(TicketPool)
				config := clientConfig(t)
				config.ClientSessionCache = pool
				c, s := requireServer(t, config, tls13peer.ServerScript{})
				require.NoError(t, s.SendTicket(&tls13peer.Ticket{Lifetime: 60}))
				_, err := c.SessionData(waitContext(t))
				require.NoError(t, err)
				require.Equal(t, 1, pool.Stats().Tickets)
				require.NoError(t, send(s))
				_, err = c.Read(make([]byte, 1))
				require.Error(t, err)
				assert.Zero(t, pool.Stats().Tickets)
				_, err = c.SessionData(waitContext(t))
				assert.ErrorIs(t, err, ErrNoTicket)
			})
		}
	})
	t.Run("server", func(t *testing.T) {
		store := NewSessionStore(0).(*memoryStore)
		client, server := clientConfig(t), serverConfig(t)
		client.MaxVersion = VersionTLS12
		client.SessionTicketsDisabled = true
		server.SessionStore = store
		c, s := connect(t, client, server)
		require.Equal(t, 1, store.order.Len())
		_, err := c.conn.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		require.NoError(t, err)
		_, err = s.Read(make([]byte, 1))
		require.ErrorIs(t, err, CodeDecryptionFailed)
		assert.Zero(t, store.order.Len())
	})
}

// TestWritingAfterTheTransportHasEnded: a peer that sends no more, and no
// close_notify, may still read.
func TestWritingAfterTheTransportHasEnded(t *testing.T) {
	for _, side := range sides {
		t.Run(side, func(t *testing.T) {
			conn, p := scripted(t, side)
			require.NoError(t, p.Conn.(*net.TCPConn).CloseWrite())
			_, err := conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorIs(t, err, CodePrematureTermination)
			_, err = conn.Write([]byte("still here"))
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			data, alerts := records(t, p)
			assert.Equal(t, "still here", data)
			assert.Equal(t, [][]byte{{1, 0}}, alerts)
		})
	}
}

// TestUserCanceled: Java sends it before close_notify. It means nothing.
func TestUserCanceled(t *testing.T) {
	const userCanceled = 90
	for _, side := range sides {
		for name, transport := range map[string]bool{"whole": false, "byte by byte": true} {
			t.Run(side+"/"+name, func(t *testing.T) {
				conn, p := scripted(t, side)
				if transport {
					conn.reading.in.conn, conn.reading.in.raw = oneByteConn{conn.conn}, nil
				}
				for _, level := range []byte{1, 2} {
					require.NoError(t, p.SendRecord(tls13peer.RecordAlert, []byte{level, userCanceled}))
					_, err := p.Write([]byte("ab")) // as long as an alert
					require.NoError(t, err)
					buf := make([]byte, 10)
					n, err := io.ReadFull(conn, buf[:2])
					require.NoError(t, err)
					assert.Equal(t, "ab", string(buf[:n]))
				}
				require.NoError(t, p.SendRecord(tls13peer.RecordAlert, []byte{1, userCanceled}))
				require.NoError(t, p.SendRecord(tls13peer.RecordAlert, []byte{1, 0}))
				_, err := conn.Read(make([]byte, 10))
				require.Equal(t, io.EOF, err)
				_, err = conn.Write([]byte("bye"))
				require.NoError(t, err)
				require.NoError(t, conn.Close())
				data, alerts := records(t, p)
				assert.Equal(t, "bye", data)
				assert.Equal(t, [][]byte{{1, 0}}, alerts)
			})
		}
		t.Run(side+"/too many", func(t *testing.T) {
			conn, p := scripted(t, side)
			for range maxWarnings + 1 {
				require.NoError(t, p.SendRecord(tls13peer.RecordAlert, []byte{1, userCanceled}))
			}
			_, err := conn.Read(make([]byte, 10))
			assert.ErrorIs(t, err, AlertUserCanceled)
			require.False(t, errors.Is(err, io.EOF))
		})
	}
}

const maxWarnings = 16 // CSHIM_MAX_WARNINGS

// TestWarningsAreBounded is TestUserCanceled for TLS 1.2, where all warnings mean nothing.
func TestWarningsAreBounded(t *testing.T) {
	for _, side := range sides {
		client, server := clientConfig(t), serverConfig(t)
		client.MaxVersion = VersionTLS12
		own, peer := connect(t, client, server)
		if side == "server" {
			own, peer = peer, own
		}
		warn := func(n int) {
			for range n {
				peer.writing.turn.take()
				peer.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result {
					return s.Alert(cgnutls.Warning, userCanceled, out)
				})
				peer.giveWriter()
			}
		}
		for range 2 { // data begin a new row
			warn(maxWarnings)
			_, err := peer.Write([]byte("x"))
			require.NoError(t, err)
			_, err = own.Read(make([]byte, 1))
			require.NoError(t, err)
		}
		warn(maxWarnings + 1)
		_, err := own.Read(make([]byte, 1))
		assert.ErrorIs(t, err, CodeUnexpectedPacket, side)
	}
}

// TestLongHandshakeMessages: GnuTLS does not keep as much as a peer says that it will send.
func TestLongHandshakeMessages(t *testing.T) {
	cc, sc := tcpPipe(t)
	go func() {
		record := append([]byte{22, 3, 1, 0x40, 0}, make([]byte, 1<<14)...)
		begin := bytes.Clone(record)
		copy(begin[5:], []byte{messageClientHello, 2, 0, 1}) // of 128 KiB and a byte
		cc.Write(begin)
		for range 64 {
			cc.Write(record)
		}
		io.Copy(io.Discard, cc)
	}()
	s := Server(sc, serverConfig(t))
	defer s.Close()
	var ours *Error
	require.ErrorAs(t, s.HandshakeContext(waitContext(t)), &ours)
}
