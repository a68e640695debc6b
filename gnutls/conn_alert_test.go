package gnutls

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/tls13peer"
)

// allAlerts are those of RFC 8446 section 6, those of earlier versions, and some
// that nobody has defined.
var allAlerts = []byte{0, 10, 20, 21, 22, 30, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 60,
	70, 71, 80, 86, 90,
	100, 109, 110, 111, 112, 113, 114, 115, 116, 120, 5, 99, 255}

const (
	closeNotify     = 0
	userCanceled    = 90
	noRenegotiation = 100
)

// TestEachAlertAfterTheHandshake sends each alert at each level, after the
// handshake and after CloseWrite.
func TestEachAlertAfterTheHandshake(t *testing.T) {
	for _, version := range bothVersions {
		client, server := pairOf(t, version)
		server.ClientAuth = NoClientCert
		for _, side := range sides {
			for _, level := range []cgnutls.AlertLevel{cgnutls.Warning, cgnutls.Fatal} {
				for _, description := range allAlerts {
					for _, half := range []bool{false, true} {
						if half && description%2 == 1 {
							continue // half of them will do
						}
						alert, half := description, half
						name := fmt.Sprintf("%s/%s/level %d/alert %d/half closed %v", VersionName(version), side,
							level, alert, half)
						p := newMemPipe()
						own, peer, clientErr, serverErr := p.shake(client, server)
						require.NoError(t, clientErr)
						require.NoError(t, serverErr)
						toPeer := p.server()
						if side == "server" {
							own, peer, toPeer = peer, own, p.client()
						}
						if half {
							require.NoError(t, own.CloseWrite())
						}
						sent := toPeer.received
						peer.writing.turn.take()
						peer.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result {
							return s.Alert(level, alert, out)
						})
						peer.giveWriter()
						_, err := peer.Write([]byte("x"))
						require.NoError(t, err, name)
						buf := make([]byte, 10)
						n, err := own.Read(buf)
						fatal := false
						switch {
						case alert == closeNotify:
							assert.Equal(t, io.EOF, err, name)
							fatal = level == cgnutls.Fatal
						case version == VersionTLS13 && alert == userCanceled, version == VersionTLS12 &&
							level == cgnutls.Warning:
							assert.NoError(t, err, name)
							assert.Equal(t, "x", string(buf[:n]), name)
						default:
							fatal = true
							assert.ErrorIs(t, err, CodeFatalAlertReceived, name)
							assert.ErrorIs(t, err, Alert(alert), name)
							_, again := own.Read(buf)
							assert.Equal(t, err, again, name)
							_, written := own.Write([]byte("y"))
							assert.Equal(t, err, written, name)
						}
						require.NoError(t, own.Close())
						if fatal && alert != closeNotify || half {
							assert.Equal(t, sent, toPeer.received, "%s: something was sent", name)
						}
						require.NoError(t, peer.Close())
					}
				}
			}
		}
	}
}

// A stage is a point of a handshake under TLS 1.3: before the peer sends a
// message.
type stage struct {
	side   string // whose Conn it is
	before byte   // type of the message
}

var stages = []stage{
	{"client", 2}, {"client", 8}, {"client", 13}, {"client", 11}, {"client", 15}, {"client", 20},
	{"server", 1}, {"server", 11}, {"server", 20},
}

// atStage runs a handshake up to a stage, where send is called, and closes. It
// returns the error of the Conn and what that sent in answer.
func atStage(t *testing.T, at stage, send func(p *tls13peer.Conn)) (*Conn, []tls13peer.Record,
	error) {
	t.Helper()
	cc, sc := tcpPipe(t)
	var conn *Conn
	var p *tls13peer.Conn
	var run func() error
	if at.side == "client" {
		s := tls13peer.NewServer(sc, tls13peer.ServerScript{Identity: scriptIdentity(t),
			Extra: map[tls13peer.Message]tls13peer.Extensions{tls13peer.CertificateRequest: {}}})
		conn, p, run = Client(cc, clientConfig(t)), &s.Conn, s.Handshake
	} else {
		config := noTickets(t)
		config.ClientAuth = RequestClientCert
		c := tls13peer.NewClient(cc, tls13peer.ClientScript{})
		conn, p, run = Server(sc, config), &c.Conn, c.Handshake
	}
	sent := false
	p.Before = func(typ byte) bool {
		if typ != at.before {
			return true
		}
		sent = true
		send(p)
		return false
	}
	done := make(chan error, 1)
	go func() {
		err := conn.HandshakeContext(waitContext(t))
		if err == nil {
			_, err = conn.Read(make([]byte, 1))
		}
		_, written := conn.Write([]byte("x"))
		if written == nil {
			err = errors.Join(err, errors.New("Write goes on"))
		}
		conn.Close()
		done <- err
	}()
	run()
	require.True(t, sent, "the stage is not reached")
	require.NoError(t, p.Conn.(*net.TCPConn).CloseWrite())
	all, _ := p.ReadRecords()
	return conn, all, <-done
}

// alertsOf returns the alerts among records, and requires that nothing follows.
func alertsOf(t *testing.T, all []tls13peer.Record, name string) (alerts []Alert) {
	t.Helper()
	for i, r := range all {
		if r.Type == tls13peer.RecordAlert {
			assert.Len(t, all, i+1, "%s: something follows an alert", name)
			require.Len(t, r.Data, 2, name)
			assert.EqualValues(t, 2, r.Data[0], name)
			alerts = append(alerts, Alert(r.Data[1]))
		}
	}
	return alerts
}

// TestEachAlertDuringTheHandshake sends alerts before each message of the peer.
func TestEachAlertDuringTheHandshake(t *testing.T) {
	for _, at := range stages {
		for _, level := range []byte{1, 2} {
			for _, alert := range []byte{0, 10, 40, 42, 80, 90, 100, 112, 255} {
				name := fmt.Sprintf("%v/level %d/alert %d", at, level, alert)
				_, all, err := atStage(t, at, func(p *tls13peer.Conn) {
					assert.NoError(t, p.SendRecord(tls13peer.RecordAlert, []byte{level, alert}))
				})
				require.Error(t, err, name)
				assert.Empty(t, alertsOf(t, all, name), name)
				if level == 2 && alert != closeNotify {
					assert.ErrorIs(t, err, Alert(alert), name)
				} else {
					// Before the version is settled warnings mean nothing.
					assert.True(t, errors.Is(err, Alert(alert)) || errors.Is(err, io.ErrUnexpectedEOF) ||
						errors.Is(err, CodeFatalAlertReceived), "%s: %v", name, err)
				}
			}
		}
	}
}

// TestEachMessageDuringTheHandshake sends each handshake message at each stage
// where another is due.
func TestEachMessageDuringTheHandshake(t *testing.T) {
	for _, at := range stages {
		for _, typ := range []byte{0, 1, 2, 4, 5, 8, 11, 13, 15, 20, 24, 99, 254} {
			if typ == at.before {
				continue
			}
			name := fmt.Sprintf("%v/message %d", at, typ)
			_, all, err := atStage(t, at, func(p *tls13peer.Conn) {
				assert.NoError(t, p.SendMessage(typ, make([]byte, 40)))
			})
			require.Error(t, err, name)
			assert.NotErrorIs(t, err, CodeInternalError, name)
			assert.Len(t, alertsOf(t, all, name), 1, "%s: %v", name, err)
		}
	}
}

// FuzzRecords sends a Conn any records after the handshake, encrypted as they
// should be. data are records: a byte for the type, one for the length, and
// that many bytes.
func FuzzRecords(f *testing.F) {
	for _, seed := range [][]byte{
		{21, 2, 1, 0}, {21, 2, 1, 90, 21, 2, 1, 0}, {21, 2, 2, 80}, {22, 5, 24, 0, 0, 1, 1},
		{22, 4, 20, 0, 0, 0},
		{23, 0, 23, 1, 'x'}, {22, 2, 4, 0, 22, 3, 0, 1, 0}, {20, 1, 1}, {99, 0},
		{22, 5, 24, 0, 0, 1, 0, 23, 1, 'x'},
	} {
		f.Add(true, seed)
		f.Add(false, seed)
	}
	client, server := clientConfig(f), noTickets(f)
	identity := scriptIdentity(f)
	f.Fuzz(func(t *testing.T, toServer bool, data []byte) {
		pipe := newMemPipe()
		var conn *Conn
		var p *tls13peer.Conn
		var run func() error
		if toServer {
			c := tls13peer.NewClient(pipe.client(), tls13peer.ClientScript{})
			conn, p, run = Server(pipe.server(), server), &c.Conn, c.Handshake
		} else {
			s := tls13peer.NewServer(pipe.server(), tls13peer.ServerScript{Identity: identity})
			conn, p, run = Client(pipe.client(), client), &s.Conn, s.Handshake
		}
		done := make(chan error, 1)
		go func() { done <- run() }()
		require.NoError(t, conn.Handshake())
		require.NoError(t, <-done)
		for len(data) >= 2 {
			n := min(int(data[1]), len(data)-2)
			require.NoError(t, p.SendRecord(data[0], data[2:2+n]))
			data = data[2+n:]
		}
		peerEnd := p.Conn.(*memEnd)
		conn.conn.(*memEnd).hangUp()
		_, err := io.Copy(io.Discard, conn)
		fatal := err != nil && !errors.Is(err, io.ErrUnexpectedEOF)
		_, written := conn.Write([]byte("x"))
		if fatal {
			require.Equal(t, err, written)
		}
		require.NoError(t, conn.Close())
		peerEnd.rest()
		all, _ := p.ReadRecords() // which cannot read what follows a change of keys
		alerts := 0
		for i, r := range all {
			if r.Type == tls13peer.RecordAlert {
				alerts++
				require.Len(t, all, i+1)
			}
		}
		require.LessOrEqual(t, alerts, 1)
	})
}

// hangUp says that nothing more comes to an end.
func (e *memEnd) hangUp() {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.eof = true
	e.p.changed.Broadcast()
}

// An interloper is a transport that looks at the messages of a peer's handshake under TLS 1.2,
// and puts an alert before one of them.
type interloper struct {
	net.Conn
	before byte   // type of the message; changeCipherSpec: the record
	alert  []byte // level and description
	cut    bool   // nothing follows the alert
	ready  []byte // for Read
	at     atomic.Bool
	sent   atomic.Int64 // bytes written after the alert
}

// changeCipherSpec stands for the record among the messages.
const changeCipherSpec = 254

func (i *interloper) Write(b []byte) (int, error) {
	if i.at.Load() {
		i.sent.Add(int64(len(b)))
	}
	return i.Conn.Write(b)
}

func (i *interloper) Read(b []byte) (int, error) {
	const header = 5
	if len(i.ready) == 0 && i.at.Load() && i.cut {
		return 0, io.EOF
	}
	if len(i.ready) == 0 {
		record := make([]byte, header, header+1<<14)
		if _, err := io.ReadFull(i.Conn, record); err != nil {
			return 0, err
		}
		record = record[:header+int(record[3])<<8+int(record[4])]
		if _, err := io.ReadFull(i.Conn, record[header:]); err != nil {
			return 0, err
		}
		typ := record[header]
		if record[0] == 20 {
			typ = changeCipherSpec
		}
		if !i.at.Load() && typ == i.before {
			i.at.Store(true)
			alert := append([]byte{21, 3, 3, 0, 2}, i.alert...)
			if record = append(alert, record...); i.cut {
				record = alert
			}
		}
		i.ready = record
	}
	n := copy(b, i.ready)
	i.ready = i.ready[n:]
	return n, nil
}

// TestEachAlertDuringTheHandshakeOfTLS12 sends alerts before each message of the peer that
// is not encrypted. Warnings mean nothing.
func TestEachAlertDuringTheHandshakeOfTLS12(t *testing.T) {
	client, server := pairOf(t, VersionTLS12)
	for side, before := range map[string][]byte{
		"client": {2, 11, 12, 13, 14, changeCipherSpec}, // to ServerHelloDone
		"server": {1, 11, 16, 15, changeCipherSpec},
	} {
		for _, before := range before {
			for _, level := range []byte{1, 2} {
				for _, alert := range []byte{0, 10, 40, 42, 80, 90, 100, 112, 255} {
					name := fmt.Sprintf("%s/message %d/level %d/alert %d", side, before, level, alert)
					cc, sc := tcpPipe(t)
					i := &interloper{Conn: cc, before: before, alert: []byte{level, alert}, cut: level == 2 ||
						alert == closeNotify}
					var own, peer *Conn
					if side == "client" {
						own, peer = Client(i, client), Server(sc, server)
					} else {
						i.Conn = sc
						own, peer = Server(i, server), Client(cc, client)
					}
					go peer.HandshakeContext(waitContext(t))
					err := own.HandshakeContext(waitContext(t))
					require.True(t, i.at.Load(), name)
					_, written := own.Write([]byte("x"))
					switch {
					case level == 2 && alert != closeNotify:
						assert.ErrorIs(t, err, Alert(alert), name)
						assert.Error(t, written, name)
						own.Close()
						assert.Zero(t, i.sent.Load(), "%s: something follows", name)
					case alert == closeNotify, alert == noRenegotiation, side == "server" && before <= 11:
						// GnuTLS knows the second in a second handshake alone, and no warnings before
						// there is a version and in place of a client's certificate.
						assert.Error(t, err, name)
						assert.Error(t, written, name)
					default:
						assert.NoError(t, err, name)
						assert.NoError(t, written, name)
					}
					own.Close()
					peer.Close()
				}
			}
		}
	}
}

// TestEachAlertDuringAWrite sends alerts while a Write is under way, which a fatal one ends.
func TestEachAlertDuringAWrite(t *testing.T) {
	const length = 100_000
	for _, version := range bothVersions {
		client, server := pairOf(t, version)
		for _, level := range []cgnutls.AlertLevel{cgnutls.Warning, cgnutls.Fatal} {
			for _, alert := range []byte{0, 10, 40, 42, 80, 90, 100, 112, 255} {
				if level == cgnutls.Fatal && alert == closeNotify {
					continue // nobody sends it; GnuTLS ends writing too
				}
				name := fmt.Sprintf("%s/level %d/alert %d", VersionName(version), level, alert)
				cc, sc := tcpPipe(t)
				g := &gate{Conn: cc, shut: make(chan struct{}), waiting: make(chan struct{}),
					open: make(chan struct{})}
				own, peer := Client(g, client), Server(sc, server)
				clientErr, serverErr := shakeConns(t, own, peer)
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				close(g.shut)
				n, written := 0, make(chan error, 1)
				go func() {
					var err error
					n, err = own.Write(make([]byte, length))
					written <- err
				}()
				<-g.waiting
				peer.writing.turn.take()
				peer.sendLast(func(s *cgnutls.Session, out []byte) cgnutls.Result {
					return s.Alert(level, alert, out)
				})
				peer.giveWriter()
				_, err := peer.Write([]byte("x"))
				require.NoError(t, err)
				_, readErr := own.Read(make([]byte, 10))
				close(g.open)
				writeErr := <-written
				fatal := level == cgnutls.Fatal || version == VersionTLS13
				if alert == closeNotify || alert == userCanceled && version == VersionTLS13 {
					fatal = false
				}
				if fatal {
					assert.ErrorIs(t, readErr, Alert(alert), name)
					assert.Equal(t, readErr, writeErr, name)
					assert.Less(t, n, length, name)
				} else {
					assert.NoError(t, writeErr, name)
					assert.Equal(t, length, n, name)
					if alert == closeNotify {
						assert.Equal(t, io.EOF, readErr, name)
					} else {
						assert.NoError(t, readErr, name)
					}
				}
				require.NoError(t, own.Close())
				got, err := io.ReadAll(peer)
				assert.Len(t, got, n, name)
				if fatal { // no close_notify, and no alert
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF, name)
				} else {
					assert.NoError(t, err, name)
				}
				require.NoError(t, peer.Close())
			}
		}
	}
}
