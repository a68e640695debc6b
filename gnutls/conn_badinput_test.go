package gnutls

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A memPipe is a connection in memory. Writes never wait, so deadlines have
// nothing to do. When neither end can go on, because both wait for the other,
// it ends: a test needs no clock to see that two peers are stuck.
type memPipe struct {
	mu      sync.Mutex
	changed sync.Cond
	stuck   bool
	ends    [2]memEnd
}

type memEnd struct {
	p        *memPipe
	peer     *memEnd
	in       []byte // has come and was not read
	received int    // bytes that have come
	eof      bool   // nothing follows
	idle     bool   // waits, or is not at work at all
	closed   bool
	// filter, if set, changes what is on its way to this end. at is the offset
	// of b. It reports whether this was the last.
	filter func(at int, b []byte) (changed []byte, last bool)
}

func newMemPipe() *memPipe {
	p := new(memPipe)
	p.changed.L = &p.mu
	p.ends[0] = memEnd{p: p, peer: &p.ends[1]}
	p.ends[1] = memEnd{p: p, peer: &p.ends[0]}
	return p
}

// client and server are the two ends, which are alike.
func (p *memPipe) client() *memEnd { return &p.ends[0] }
func (p *memPipe) server() *memEnd { return &p.ends[1] }

// rest says that an end is not at work, until it reads again.
func (e *memEnd) rest() {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.idle = true
	e.p.changed.Broadcast()
}

func (e *memEnd) Read(b []byte) (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	for {
		switch {
		case e.closed:
			return 0, net.ErrClosed
		case len(e.in) > 0:
			e.idle = false
			n := copy(b, e.in)
			e.in = e.in[n:]
			return n, nil
		case e.eof || e.peer.closed || e.p.stuck:
			return 0, io.EOF
		}
		e.idle = true
		if e.peer.idle && len(e.peer.in) == 0 {
			e.p.stuck = true
		} else {
			e.p.changed.Wait()
		}
	}
}

func (e *memEnd) Write(b []byte) (int, error) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	if e.closed {
		return 0, net.ErrClosed
	}
	to := e.peer
	if !to.eof {
		arriving := bytes.Clone(b)
		if to.filter != nil {
			arriving, to.eof = to.filter(to.received, arriving)
		}
		to.in = append(to.in, arriving...)
		to.received += len(b)
		if len(to.in) > 0 {
			to.idle = false
		}
	}
	e.p.changed.Broadcast()
	return len(b), nil
}

func (e *memEnd) Close() error {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.closed = true
	e.p.changed.Broadcast()
	return nil
}

// setFilter sets what changes the bytes to come and returns their offset.
func (e *memEnd) setFilter(filter func(at int, b []byte) ([]byte, bool)) (at int) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	e.filter = filter
	return e.received
}

func (*memEnd) LocalAddr() net.Addr              { return memAddr{} }
func (*memEnd) RemoteAddr() net.Addr             { return memAddr{} }
func (*memEnd) SetDeadline(time.Time) error      { return nil }
func (*memEnd) SetReadDeadline(time.Time) error  { return nil }
func (*memEnd) SetWriteDeadline(time.Time) error { return nil }

type memAddr struct{}

func (memAddr) Network() string { return "memory" }
func (memAddr) String() string  { return "memory" }

// hangUp lets nothing more through.
func (p *memPipe) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ends[0].eof, p.ends[1].eof = true, true
	p.changed.Broadcast()
}

// shake runs a handshake over the pipe. The end that fails closes.
func (p *memPipe) shake(client, server *Config) (c, s *Conn, clientErr, serverErr error) {
	return p.shakeEarly(client, server, nil)
}

// shakeEarly is shake with a client that resumes a session, unless that is nil,
// and sends early data.
func (p *memPipe) shakeEarly(client, server *Config, d *SessionData) (c, s *Conn, clientErr,
	serverErr error) {
	c, s = Client(p.client(), client), Server(p.server(), server)
	if d != nil {
		c.Resume(d)
		c.WriteEarlyData([]byte("early"))
	}
	end := func(conn *Conn, raw *memEnd) error {
		err := conn.Handshake()
		if err != nil {
			conn.Close()
		}
		raw.rest()
		return err
	}
	done := make(chan error, 1)
	go func() { done <- end(s, p.server()) }()
	clientErr = end(c, p.client())
	return c, s, clientErr, <-done
}

// cutAt lets n bytes through.
func cutAt(n int) func(int, []byte) ([]byte, bool) {
	return func(at int, b []byte) ([]byte, bool) {
		if at+len(b) < n {
			return b, false
		}
		return b[:n-at], true
	}
}

// flip inverts one bit of byte n.
func flip(n int) func(int, []byte) ([]byte, bool) {
	return func(at int, b []byte) ([]byte, bool) {
		if at <= n && n < at+len(b) {
			b[n-at] ^= 1 << (n % 8)
		}
		return b, false
	}
}

// pairOf returns configurations with certificates on both sides whose
// handshakes always have the same length, which an ECDSA signature has not.
func pairOf(t testing.TB, version uint16) (client, server *Config) {
	client = clientConfig(t)
	client.MinVersion, client.MaxVersion = version, version
	client.Certificates = []Certificate{issue(t, testCertificate(t, "weak").PrivateKey.(crypto.Signer),
		nil)}
	client.SessionTicketsDisabled = true
	server = &Config{
		Certificates:           []Certificate{testCertificate(t, "server-ed25519")},
		ClientAuth:             RequireAndVerifyClientCert,
		ClientCAs:              testPool(t, "ca.pem"),
		SessionTicketsDisabled: true,
	}
	return client, server
}

var directions = []string{"to the server", "to the client"}

// receiver returns the end that bytes of a direction come to.
func (p *memPipe) receiver(direction string) *memEnd {
	if direction == directions[0] {
		return p.server()
	}
	return p.client()
}

// lengthsOf returns how many bytes a handshake takes in each direction.
func lengthsOf(t *testing.T, client, server *Config) map[string]int {
	p := newMemPipe()
	c, s, clientErr, serverErr := p.shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	defer c.Close()
	defer s.Close()
	lengths := map[string]int{}
	for _, direction := range directions {
		lengths[direction] = p.receiver(direction).received
		require.Greater(t, lengths[direction], 300)
	}
	return lengths
}

// TestPeerThatClosesHalfWay cuts a handshake off after every byte.
func TestPeerThatClosesHalfWay(t *testing.T) {
	for _, version := range bothVersions {
		client, server := pairOf(t, version)
		lengths := lengthsOf(t, client, server)
		for _, direction := range directions {
			t.Run(VersionName(version)+"/"+direction, func(t *testing.T) {
				length := lengths[direction]
				for n := range length {
					p := newMemPipe()
					p.receiver(direction).filter = cutAt(n)
					c, s, clientErr, serverErr := p.shake(client, server)
					err := clientErr
					if direction == directions[0] {
						err = serverErr
					}
					require.ErrorIs(t, err, io.ErrUnexpectedEOF, "%d of %d bytes", n, length)
					require.ErrorIs(t, err, CodePrematureTermination)
					require.EqualError(t, err, "gnutls: handshake: the peer closed the connection: unexpected EOF")
					c.Close()
					s.Close()
				}
			})
		}
	}
}

// TestChangedByteInAHandshake inverts a bit of every byte in turn. There may
// be bits that mean nothing, but never a connection that then does not work.
func TestChangedByteInAHandshake(t *testing.T) {
	for _, version := range bothVersions {
		client, server := pairOf(t, version)
		lengths := lengthsOf(t, client, server)
		for _, direction := range directions {
			t.Run(VersionName(version)+"/"+direction, func(t *testing.T) {
				length := lengths[direction]
				failed := 0
				for n := range length {
					p := newMemPipe()
					p.receiver(direction).filter = flip(n)
					c, s, clientErr, serverErr := p.shake(client, server)
					if clientErr == nil && serverErr == nil {
						echo(t, c, s)
					} else {
						failed++
					}
					for _, err := range []error{clientErr, serverErr} {
						var panicked *PanicError
						require.False(t, errors.As(err, &panicked))
						if err != nil {
							require.Regexp(t, `^gnutls: [^\n]+$`, err.Error(), "byte %d", n)
						}
					}
					c.Close()
					s.Close()
				}
				assert.Greater(t, failed, length*9/10)
			})
		}
	}
}

// record returns a TLS record that is not encrypted.
func record(kind byte, body ...byte) []byte {
	return append([]byte{kind, 3, 3, byte(len(body) >> 8), byte(len(body))}, body...)
}

// alertIn returns the alert in the last record of what a peer has sent.
func alertIn(sent []byte) Alert {
	if len(sent) < 7 || sent[len(sent)-7] != 21 {
		return 0
	}
	return Alert(sent[len(sent)-1])
}

// Codes that have no name in the package.
const (
	unexpectedHandshakePacket = ErrorCode(-19)  // GNUTLS_E_UNEXPECTED_HANDSHAKE_PACKET
	tooManyEmptyPackets       = ErrorCode(-78)  // GNUTLS_E_TOO_MANY_EMPTY_PACKETS
	handshakeTooLarge         = ErrorCode(-210) // GNUTLS_E_HANDSHAKE_TOO_LARGE
)

// wrongInputs are what no peer should send in place of its hello.
var wrongInputs = []struct {
	name           string
	input          []byte
	server, client error // what they match
	alert          Alert // that the server sends
}{
	{"nothing", nil, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
	{"one byte", []byte{22}, io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
	{"half a record", record(22, 1, 0, 1, 0, 3, 3)[:9], io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
	{"half a message", record(22, 1, 0, 1, 0, 3, 3), io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
	{"zeros", make([]byte, 1000), CodeUnexpectedPacket, CodeUnexpectedPacket, AlertUnexpectedMessage},
	{"the same byte over and over", bytes.Repeat([]byte{0xa5}, 1000), io.ErrUnexpectedEOF,
		CodeUnexpectedPacket, 0},
	{"plain HTTP", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), CodeUnexpectedPacket,
		CodeUnexpectedPacket, AlertUnexpectedMessage},
	{"an SSH banner", []byte("SSH-2.0-OpenSSH_9.2\r\n"), CodeUnexpectedPacket, CodeUnexpectedPacket,
		AlertUnexpectedMessage},
	{"a record longer than any", append([]byte{22, 3, 3, 0xff, 0xff, 1}, make([]byte, 0xfffe)...),
		CodeRecordOverflow, CodeRecordOverflow, AlertRecordOverflow},
	{"a record a byte too long", append([]byte{22, 3, 3, 0x48, 0x01, 1}, make([]byte, 0x4800)...),
		CodeRecordOverflow, CodeRecordOverflow, AlertRecordOverflow},
	{"an unknown version", append([]byte{22, 9, 9, 0, 4}, 1, 0, 0, 0), CodeUnsupportedVersion,
		CodeUnsupportedVersion, AlertProtocolVersion},
	{"an empty record", record(22), CodeUnexpectedPacket, CodeUnexpectedPacket,
		AlertUnexpectedMessage},
	{"application data", record(23, 1, 2, 3), CodeUnexpectedPacket, CodeUnexpectedPacket,
		AlertUnexpectedMessage},
	{"a change of cipher", record(20, 1), io.ErrUnexpectedEOF, CodeUnexpectedPacket, 0},
	{"changes of cipher without end", bytes.Repeat(record(20, 1), 1000), tooManyEmptyPackets,
		CodeUnexpectedPacket, AlertUnexpectedMessage},
	{"a heartbeat", record(24, 1, 0, 16, 1, 2, 3), CodeUnexpectedPacket, CodeUnexpectedPacket,
		AlertUnexpectedMessage},
	{"an unknown kind of record", record(99, 1, 2, 3), CodeUnexpectedPacket, CodeUnexpectedPacket,
		AlertUnexpectedMessage},
	{"a Finished", record(22, 20, 0, 0, 4, 1, 2, 3, 4), unexpectedHandshakePacket,
		unexpectedHandshakePacket, AlertUnexpectedMessage},
	{"a fatal alert", record(21, 2, 40), AlertHandshakeFailure, AlertHandshakeFailure, 0},
	{"half an alert", record(21, 2), CodeUnexpectedPacket, CodeUnexpectedPacket,
		AlertUnexpectedMessage},
	{"a close_notify", record(21, 1, 0), io.ErrUnexpectedEOF, io.ErrUnexpectedEOF, 0},
	{"a hello of SSL 2", []byte{0x80, 0x2e, 1, 3, 1, 0, 0x15, 0, 0, 0, 0x10}, io.ErrUnexpectedEOF,
		CodeUnexpectedPacket, 0},
	{"a hello without an end",
		bytes.Join([][]byte{record(22, append([]byte{1, 0xff, 0xff, 0xff}, make([]byte, 16380)...)...),
			bytes.Repeat(record(22, make([]byte, 16384)...), 200)}, nil), handshakeTooLarge,
		handshakeTooLarge, AlertDecodeError},
}

func TestClientOfAServerThatSpeaksNonsense(t *testing.T) {
	for _, c := range wrongInputs {
		t.Run(c.name, func(t *testing.T) {
			p := newMemPipe()
			p.server().Write(c.input)
			p.server().Close()
			conn := Client(p.client(), clientConfig(t))
			defer conn.Close()
			err := conn.Handshake()
			require.ErrorIs(t, err, c.client)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "handshake", e.Op)
			assert.Equal(t, err, conn.Handshake(), "the error stays")
		})
	}
}

// TestServerGoesOn: one listener, and after every client that does not know
// how to behave one that does.
func TestServerGoesOn(t *testing.T) {
	ln, err := Listen("tcp", "127.0.0.1:0", serverConfig(t))
	require.NoError(t, err)
	defer ln.Close()
	var mu sync.Mutex
	verdicts := map[string]chan error{}
	verdict := func(client net.Addr) chan error {
		mu.Lock()
		defer mu.Unlock()
		if verdicts[client.String()] == nil {
			verdicts[client.String()] = make(chan error, 1)
		}
		return verdicts[client.String()]
	}
	var serving sync.WaitGroup
	serve := func(conn net.Conn) {
		defer serving.Done()
		defer conn.Close()
		_, err := io.Copy(conn, conn)
		verdict(conn.RemoteAddr()) <- err
	}
	accepting := make(chan struct{})
	go func() {
		defer close(accepting)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Add(1)
			go serve(conn)
		}
	}()
	wellBehaved := func(t *testing.T) {
		c, err := Dial("tcp", ln.Addr().String(), clientConfig(t))
		require.NoError(t, err)
		defer c.Close()
		const text = "are you there?"
		_, err = c.Write([]byte(text))
		require.NoError(t, err)
		buf := make([]byte, len(text))
		_, err = io.ReadFull(c, buf)
		require.NoError(t, err)
		require.Equal(t, text, string(buf))
		require.NoError(t, c.CloseWrite())
		_, err = c.Read(buf)
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, <-verdict(c.LocalAddr()))
	}
	for _, c := range wrongInputs {
		t.Run(c.name, func(t *testing.T) {
			raw, err := net.Dial("tcp", ln.Addr().String())
			require.NoError(t, err)
			defer raw.Close()
			go func() {
				raw.Write(c.input)
				raw.(*net.TCPConn).CloseWrite()
			}()
			err = <-verdict(raw.LocalAddr())
			require.ErrorIs(t, err, c.server)
			var e *Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, "handshake", e.Op)
			require.NoError(t, raw.SetReadDeadline(time.Now().Add(wait)))
			reply, err := io.ReadAll(raw)
			if err == nil { // the kernel resets where input was left over
				assert.Equal(t, c.alert, alertIn(reply))
			}
			wellBehaved(t)
		})
	}
	t.Run("a client that resets", func(t *testing.T) {
		raw, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		_, err = raw.Write(record(22, 1, 0, 1, 0, 3, 3))
		require.NoError(t, err)
		require.NoError(t, raw.(*net.TCPConn).SetLinger(0))
		require.NoError(t, raw.Close())
		require.Error(t, <-verdict(raw.LocalAddr()))
		wellBehaved(t)
	})
	t.Run("a client that goes without a word", func(t *testing.T) {
		raw, err := net.Dial("tcp", ln.Addr().String())
		require.NoError(t, err)
		c := Client(raw, clientConfig(t))
		defer c.Close()
		require.NoError(t, c.Handshake())
		_, err = c.Write([]byte("hello"))
		require.NoError(t, err)
		_, err = io.ReadFull(c, make([]byte, 5))
		require.NoError(t, err)
		require.NoError(t, raw.Close())
		require.ErrorIs(t, <-verdict(raw.LocalAddr()), io.ErrUnexpectedEOF)
		wellBehaved(t)
	})
	t.Run("clients that stall", func(t *testing.T) {
		for _, said := range [][]byte{nil, record(22, 1, 0, 1, 0, 3, 3)} {
			raw, err := net.Dial("tcp", ln.Addr().String())
			require.NoError(t, err)
			defer raw.Close()
			_, err = raw.Write(said)
			require.NoError(t, err)
		}
		wellBehaved(t)
	})
	ln.Close()
	<-accepting
	serving.Wait()
}

// TestAlertAtEachStage has the peer send a fatal alert in place of each of its
// records.
func TestAlertAtEachStage(t *testing.T) {
	for _, version := range bothVersions {
		client, server := pairOf(t, version)
		for _, direction := range directions {
			t.Run(VersionName(version)+"/"+direction, func(t *testing.T) {
				stages := 0
				for {
					p := newMemPipe()
					var encrypted, replaced bool
					records := 0
					p.receiver(direction).filter = func(_ int, b []byte) ([]byte, bool) {
						var out []byte
						for len(b) > 0 {
							if records == stages {
								replaced = true
								return append(out, record(21, 2, byte(AlertAccessDenied))...), true
							}
							records++
							n := 5 + int(b[3])<<8 + int(b[4])
							encrypted = encrypted || b[0] == 20 || version == VersionTLS13
							out, b = append(out, b[:n]...), b[n:]
						}
						return out, false
					}
					c, s, clientErr, serverErr := p.shake(client, server)
					whole := !replaced
					c.Close()
					s.Close()
					if whole {
						require.NoError(t, clientErr)
						require.NoError(t, serverErr)
						break
					}
					stages++
					err := clientErr
					if direction == directions[0] {
						err = serverErr
					}
					if encrypted { // nobody believes an alert that is not
						assert.Error(t, err)
					} else {
						assert.ErrorIs(t, err, AlertAccessDenied, "record %d", stages)
					}
				}
				assert.GreaterOrEqual(t, stages, 3)
			})
		}
	}
}

// connectMem is connect over a memPipe.
func connectMem(t *testing.T, version uint16) (p *memPipe, c, s *Conn) {
	t.Helper()
	client, server := pairOf(t, version)
	p = newMemPipe()
	c, s, clientErr, serverErr := p.shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	t.Cleanup(func() { c.Close(); s.Close() })
	echo(t, c, s)
	return p, c, s
}

// TestWrongRecordsAfterTheHandshake sends one good record and then something
// else: the data of the first arrive, the error stays, and the peer is told.
func TestWrongRecordsAfterTheHandshake(t *testing.T) {
	const data = "good data"
	for _, c := range []struct {
		name  string
		wrong func(good []byte) []byte // in place of a second record
		is    error
		alert Alert
	}{
		{"changed text", func(r []byte) []byte { r[len(r)-1] ^= 1; return r }, CodeDecryptionFailed,
			AlertBadRecordMAC},
		{"changed header", func(r []byte) []byte { r[4]--; return r[:len(r)-1] }, CodeDecryptionFailed,
			AlertBadRecordMAC},
		{"longer than any", func(r []byte) []byte {
			return append([]byte{23, 3, 3, 0xff, 0xff}, make([]byte, 0xffff)...)
		}, CodeRecordOverflow, AlertRecordOverflow},
		{"not encrypted", func([]byte) []byte { return record(23, []byte("plain")...) }, nil, 0},
		{"plain HTTP", func([]byte) []byte { return []byte("GET / HTTP/1.1\r\n\r\n") },
			CodeUnexpectedPacket, AlertUnexpectedMessage},
		{"alert that is not encrypted", func([]byte) []byte { return record(21, 2, 40) }, nil, 0},
		{"close_notify that is not encrypted", func([]byte) []byte { return record(21, 1, 0) }, nil, 0},
		{"half a record", func(r []byte) []byte { return r[:len(r)/2] }, io.ErrUnexpectedEOF, 0},
		{"half a header", func(r []byte) []byte { return r[:3] }, io.ErrUnexpectedEOF, 0},
		{"nothing", func([]byte) []byte { return nil }, io.ErrUnexpectedEOF, 0},
	} {
		for _, version := range bothVersions {
			for _, direction := range directions {
				t.Run(c.name+"/"+VersionName(version)+"/"+direction, func(t *testing.T) {
					p, from, to := connectMem(t, version)
					if direction == directions[1] {
						from, to = to, from
					}
					_, err := from.Write([]byte(data))
					require.NoError(t, err)
					p.receiver(direction).setFilter(func(_ int, b []byte) ([]byte, bool) {
						return c.wrong(b), true
					})
					_, err = from.Write([]byte("more data"))
					require.NoError(t, err)

					buf := make([]byte, 100)
					n, err := to.Read(buf)
					require.NoError(t, err)
					assert.Equal(t, data, string(buf[:n]))
					n, err = to.Read(buf)
					assert.Zero(t, n)
					var e *Error
					require.ErrorAs(t, err, &e)
					assert.Equal(t, "read", e.Op)
					if c.is != nil {
						assert.ErrorIs(t, err, c.is)
					}
					assert.NotErrorIs(t, err, io.EOF)
					_, again := to.Read(buf)
					assert.Equal(t, err, again)

					require.NoError(t, to.Close())
					_, err = from.Read(buf)
					if c.alert != 0 {
						assert.ErrorIs(t, err, c.alert)
					} else {
						assert.Error(t, err)
					}
				})
			}
		}
	}
}

// TestReplayedAndReorderedRecords: what was recorded is of no use.
func TestReplayedAndReorderedRecords(t *testing.T) {
	for _, version := range bothVersions {
		for name, change := range map[string]func(records [][]byte) [][]byte{
			"replayed":  func(r [][]byte) [][]byte { return [][]byte{r[0], r[0]} },
			"reordered": func(r [][]byte) [][]byte { return [][]byte{r[1], r[0]} },
			"left out":  func(r [][]byte) [][]byte { return r[1:] },
		} {
			t.Run(VersionName(version)+"/"+name, func(t *testing.T) {
				p, c, s := connectMem(t, version)
				var records [][]byte
				p.server().setFilter(func(_ int, b []byte) ([]byte, bool) {
					records = append(records, b)
					return nil, false
				})
				for _, text := range []string{"one", "two"} {
					_, err := c.Write([]byte(text))
					require.NoError(t, err)
				}
				p.server().setFilter(nil)
				for _, r := range change(records) {
					_, err := p.client().Write(r)
					require.NoError(t, err)
				}
				got, err := io.ReadAll(s)
				assert.ErrorIs(t, err, CodeDecryptionFailed)
				assert.NotContains(t, string(got), "two")
				_, err = c.Read(make([]byte, 1))
				assert.ErrorIs(t, err, AlertBadRecordMAC)
			})
		}
	}
}

// oneByteConn takes and gives one byte at a time.
type oneByteConn struct{ net.Conn }

func (c oneByteConn) Read(p []byte) (int, error) { return c.Conn.Read(p[:1]) }

func (c oneByteConn) Write(p []byte) (n int, err error) {
	for n < len(p) {
		m, err := c.Conn.Write(p[n : n+1])
		n += m
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func TestPeersThatTrickle(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := pairOf(t, version)
			cc, sc := tcpPipe(t)
			c, s := Client(oneByteConn{cc}, client), Server(oneByteConn{sc}, server)
			clientErr, serverErr := shakeConns(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			go c.Write([]byte("slowly"))
			buf := make([]byte, 6)
			_, err := io.ReadFull(s, buf)
			require.NoError(t, err)
			assert.Equal(t, "slowly", string(buf))
			c.Close()
			s.Close()
		})
	}
}

// TestPeerThatStalls: the time limits of a handshake end it, and after a
// deadline it can be gone on with.
func TestPeerThatStalls(t *testing.T) {
	transports := map[string]func(t *testing.T) (ours, theirs net.Conn){
		"tcp":  func(t *testing.T) (net.Conn, net.Conn) { return tcpPipe(t) },
		"pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	}
	for name, transport := range transports {
		for _, side := range []string{"client", "server"} {
			start := func(t *testing.T) (conn *Conn, theirs net.Conn) {
				raw, theirs := transport(t)
				if side == "client" {
					conn = Client(raw, clientConfig(t))
					go io.Copy(io.Discard, theirs)
				} else {
					conn = Server(raw, serverConfig(t))
					theirs.SetWriteDeadline(time.Now().Add(wait))
					go theirs.Write(record(22, 1, 0, 1, 0, 3, 3))
				}
				t.Cleanup(func() { theirs.Close(); conn.Close() })
				return conn, theirs
			}
			t.Run(name+"/"+side+"/context", func(t *testing.T) {
				conn, _ := start(t)
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
				defer cancel()
				err := conn.HandshakeContext(ctx)
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, err, conn.HandshakeContext(waitContext(t)), "the error stays")
				_, err = conn.Read(make([]byte, 1))
				assert.Equal(t, context.DeadlineExceeded, err)
			})
			t.Run(name+"/"+side+"/context that has ended", func(t *testing.T) {
				conn, _ := start(t)
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				assert.ErrorIs(t, conn.HandshakeContext(ctx), context.Canceled)
			})
			t.Run(name+"/"+side+"/deadline", func(t *testing.T) {
				conn, _ := start(t)
				require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Millisecond)))
				for range 2 {
					err := conn.Handshake()
					assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
					var timeout net.Error
					require.ErrorAs(t, err, &timeout)
					assert.True(t, timeout.Timeout())
				}
				_, err := conn.Read(make([]byte, 1))
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				_, err = conn.Write([]byte("x"))
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			})
			t.Run(name+"/"+side+"/close", func(t *testing.T) {
				conn, _ := start(t)
				done := make(chan error, 1)
				go func() { done <- conn.Handshake() }()
				require.NoError(t, conn.Close())
				assert.ErrorIs(t, <-done, net.ErrClosed)
				assert.ErrorIs(t, conn.Handshake(), net.ErrClosed)
			})
		}
	}
	for _, version := range bothVersions {
		t.Run("goes on/"+VersionName(version), func(t *testing.T) {
			client := clientConfig(t)
			client.MaxVersion = version
			cc, sc := tcpPipe(t)
			c, s := Client(cc, client), Server(sc, serverConfig(t))
			defer c.Close()
			defer s.Close()
			for _, conn := range []*Conn{c, s} {
				require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Millisecond)))
				require.ErrorIs(t, conn.Handshake(), os.ErrDeadlineExceeded)
				require.NoError(t, conn.SetDeadline(time.Time{}))
			}
			clientErr, serverErr := shakeConns(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			echo(t, c, s)
		})
	}
}

func TestTransportThatFails(t *testing.T) {
	broken := errors.New("the cable is cut")
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := pairOf(t, version)
			p := newMemPipe()
			wire := &brokenConn{Conn: p.client()}
			c, s := Client(wire, client), Server(p.server(), server)
			defer c.Close()
			defer s.Close()
			clientErr, serverErr := shakeConns(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			wire.err = broken
			_, err := c.Read(make([]byte, 1))
			assert.ErrorIs(t, err, broken)
			_, err = c.Write([]byte("x"))
			assert.ErrorIs(t, err, broken)
			assert.ErrorIs(t, c.CloseWrite(), broken)
		})
	}
	t.Run("in the handshake", func(t *testing.T) {
		c := Client(&brokenConn{Conn: newMemPipe().client(), err: broken}, clientConfig(t))
		defer c.Close()
		assert.Equal(t, broken, c.Handshake())
		assert.Equal(t, broken, c.Handshake())
	})
}

// brokenConn fails once err is set.
type brokenConn struct {
	net.Conn
	err error
}

func (b *brokenConn) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.Conn.Read(p)
}

func (b *brokenConn) Write(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	return b.Conn.Write(p)
}

func TestEmptyReadsAndWrites(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			_, c, s := connectMem(t, version)
			for range 3 {
				n, err := c.Read(nil)
				assert.NoError(t, err)
				assert.Zero(t, n)
				n, err = c.Write(nil)
				assert.NoError(t, err)
				assert.Zero(t, n)
			}
			echo(t, c, s)
			require.NoError(t, s.CloseWrite())
			n, err := c.Read(nil)
			assert.NoError(t, err)
			assert.Zero(t, n)
			_, err = c.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, err)
		})
	}
}

func TestCloseWrite(t *testing.T) {
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			_, c, s := connectMem(t, version)
			_, err := c.Write([]byte("the last words"))
			require.NoError(t, err)
			for range 2 {
				require.NoError(t, c.CloseWrite())
			}
			_, err = c.Write([]byte("afterthought"))
			assert.ErrorIs(t, err, CodeInvalidRequest)
			assert.EqualError(t, err, "gnutls: write: the writing side is closed")
			got, err := io.ReadAll(s)
			require.NoError(t, err)
			assert.Equal(t, "the last words", string(got))
			_, err = s.Write([]byte("the answer"))
			require.NoError(t, err)
			require.NoError(t, s.Close())
			got, err = io.ReadAll(c)
			require.NoError(t, err)
			assert.Equal(t, "the answer", string(got))
		})
	}
	fresh := Client(newMemPipe().client(), clientConfig(t))
	defer fresh.Close()
	assert.ErrorIs(t, fresh.CloseWrite(), CodeDuringHandshake)
}

// waitFor waits until a goroutine has taken its turn.
func waitFor(t *testing.T, ctx context.Context, taken turn) {
	for len(taken) == 0 {
		require.NoError(t, ctx.Err())
		runtime.Gosched()
	}
}

// TestCloseEndsWhatWaits: whatever blocks returns net.ErrClosed, and so does
// whatever comes after Close.
func TestCloseEndsWhatWaits(t *testing.T) {
	const much = 64 << 20 // more than any socket takes
	transports := map[string]func(t *testing.T) (client, server net.Conn){
		"tcp":  func(t *testing.T) (net.Conn, net.Conn) { return tcpPipe(t) },
		"pipe": func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() },
	}
	read := func(_ context.Context, c *Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	write := func(_ context.Context, c *Conn) error {
		_, err := c.Write(make([]byte, much))
		return err
	}
	sessionData := func(ctx context.Context, c *Conn) error {
		_, err := c.SessionData(ctx)
		return err
	}
	closeWrite := func(_ context.Context, c *Conn) error { return c.CloseWrite() }
	for name, transport := range transports {
		for _, version := range bothVersions {
			for what, calls := range map[string][]func(context.Context, *Conn) error{
				"read":                         {read},
				"reads":                        {read, read},
				"write":                        {write},
				"writes":                       {write, write},
				"write and read":               {write, read},
				"close write behind a write":   {write, closeWrite},
				"session data":                 {sessionData},
				"session data and reads":       {sessionData, read, sessionData},
				"session data behind a read":   {read, sessionData},
				"write and close write, twice": {write, closeWrite, write, closeWrite},
			} {
				if strings.Contains(what, "session data") && version == VersionTLS12 {
					continue // does not wait
				}
				t.Run(name+"/"+VersionName(version)+"/"+what, func(t *testing.T) {
					ctx := waitContext(t)
					client, server := pairOf(t, version)
					cc, sc := transport(t)
					defer sc.Close()
					conn, s := Client(cc, client), Server(sc, server)
					clientErr, serverErr := shakeConns(t, conn, s)
					require.NoError(t, clientErr)
					require.NoError(t, serverErr)
					if !strings.Contains(what, "write") {
						go io.Copy(io.Discard, sc) // who takes the close_notify off the pipe
					}
					done := make(chan error, len(calls))
					for _, call := range calls {
						go func() { done <- call(ctx, conn) }()
						if strings.Contains(what, "write") {
							waitFor(t, ctx, conn.writing.turn)
						} else {
							waitFor(t, ctx, conn.reading.turn)
						}
					}
					require.NoError(t, conn.Close())
					for range calls {
						assert.ErrorIs(t, <-done, net.ErrClosed)
					}
					require.NoError(t, conn.Close(), "a second time")
					for i, call := range []func(context.Context, *Conn) error{read, write, closeWrite} {
						assert.ErrorIs(t, call(ctx, conn), net.ErrClosed, i)
					}
					sc.Close()
					s.Close()
				})
			}
		}
	}
}

func TestCloseBeforeAndDuringAndTwice(t *testing.T) {
	t.Run("before the handshake", func(t *testing.T) {
		cc, sc := tcpPipe(t)
		c := Client(cc, clientConfig(t))
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		assert.ErrorIs(t, c.Handshake(), net.ErrClosed)
		_, err := sc.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err, "the transport is closed")
	})
	t.Run("from many goroutines", func(t *testing.T) {
		c, s := connect(t, clientConfig(t), serverConfig(t))
		var wg sync.WaitGroup
		for range 8 {
			for _, conn := range []*Conn{c, s} {
				wg.Add(1)
				go func() {
					defer wg.Done()
					assert.NoError(t, conn.Close())
				}()
			}
		}
		wg.Wait()
	})
	t.Run("the peer learns of it", func(t *testing.T) {
		for _, version := range bothVersions {
			_, c, s := connectMem(t, version)
			require.NoError(t, c.Close())
			_, err := s.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, err)
		}
	})
}

// TestCloseFromCallbacks: a callback may close the connection that it is
// called for, and nothing waits for itself.
func TestCloseFromCallbacks(t *testing.T) {
	for _, version := range bothVersions {
		for name, set := range map[string]func(client, server *Config, closeClient, closeServer func()){
			"VerifyConnection of the client": func(c, _ *Config, closeClient, _ func()) {
				c.VerifyConnection = func(ConnectionState) error { closeClient(); return nil }
			},
			"VerifyConnection of the server": func(_, s *Config, _, closeServer func()) {
				s.VerifyConnection = func(ConnectionState) error { closeServer(); return nil }
			},
			"GetPSK": func(c, s *Config, _, closeServer func()) {
				c.PSKIdentity, c.PSKKey = "client1", testPSK
				c.Priority, s.Priority = "NORMAL:-KX-ALL:+ECDHE-PSK", "NORMAL:+ECDHE-PSK"
				s.GetPSK = func(context.Context, string) ([]byte, error) { closeServer(); return testPSK, nil }
			},
			"Sign": func(_, s *Config, _, closeServer func()) {
				key := s.Certificates[0].PrivateKey.(crypto.Signer)
				s.Certificates[0].PrivateKey = &testSigner{Signer: key,
					sign: func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
						closeServer()
						return key.Sign(rand.Reader, digest, opts)
					}}
			},
			"Sign of the client": func(c, s *Config, closeClient, _ func()) {
				c.Certificates = []Certificate{testCertificate(t, "client")}
				s.ClientAuth, s.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
				key := c.Certificates[0].PrivateKey.(crypto.Signer)
				c.Certificates[0].PrivateKey = &testSigner{Signer: key,
					sign: func(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
						closeClient()
						return key.Sign(rand.Reader, digest, opts)
					}}
			},
		} {
			t.Run(VersionName(version)+"/"+name, func(t *testing.T) {
				client, server := clientConfig(t), serverConfig(t)
				client.MaxVersion = version
				cc, sc := tcpPipe(t)
				var c, s *Conn
				var closedClient, closedServer bool
				set(client, server,
					func() { assert.NoError(t, c.Close()); closedClient = true },
					func() { assert.NoError(t, s.Close()); closedServer = true })
				c, s = Client(cc, client), Server(sc, server)
				defer c.Close()
				defer s.Close()
				clientErr, serverErr := shakeConns(t, c, s)
				assert.Error(t, errors.Join(firstError(c, clientErr), serverErr))
				if closedClient {
					assert.ErrorIs(t, clientErr, net.ErrClosed)
				} else {
					require.True(t, closedServer)
					assert.ErrorIs(t, serverErr, net.ErrClosed)
				}
				c, s = nil, nil // or a key keeps them for ever
			})
		}
		t.Run(VersionName(version)+"/OnSessionTicket", func(t *testing.T) {
			client := clientConfig(t)
			client.MaxVersion = version
			closed := make(chan struct{})
			client.OnSessionTicket = func(c *Conn, _ *SessionData) {
				select {
				case <-closed:
				default:
					assert.NoError(t, c.Close())
					close(closed)
				}
			}
			cc, sc := tcpPipe(t)
			c, s := Client(cc, client), Server(sc, serverConfig(t))
			defer c.Close()
			defer s.Close()
			shakeConns(t, c, s)
			go func() { s.Write([]byte("x")) }()
			_, err := io.ReadAll(c)
			<-closed
			assert.ErrorIs(t, err, net.ErrClosed)
		})
	}
}

// TestReadsAndWritesFromManyGoroutines: no byte is lost or doubled, and a Write
// is not torn apart.
func TestReadsAndWritesFromManyGoroutines(t *testing.T) {
	const writers, readers, writes, size = 4, 3, 50, 3000
	for _, version := range bothVersions {
		t.Run(VersionName(version), func(t *testing.T) {
			client := clientConfig(t)
			client.MaxVersion = version
			c, s := connect(t, client, serverConfig(t))
			var counts [writers + 1]int
			var mu sync.Mutex
			var reading, writing sync.WaitGroup
			for range readers {
				reading.Add(1)
				go func() {
					defer reading.Done()
					buf := make([]byte, 1000)
					for {
						n, err := s.Read(buf)
						mu.Lock()
						for _, b := range buf[:n] {
							counts[b]++
						}
						mu.Unlock()
						if err != nil {
							assert.Equal(t, io.EOF, err)
							return
						}
					}
				}()
			}
			for w := range writers {
				writing.Add(1)
				go func() {
					defer writing.Done()
					for range writes {
						n, err := c.Write(bytes.Repeat([]byte{byte(w + 1)}, size))
						assert.NoError(t, err)
						assert.Equal(t, size, n)
					}
				}()
			}
			writing.Wait()
			require.NoError(t, c.CloseWrite())
			reading.Wait()
			for w := range writers {
				assert.Equal(t, writes*size, counts[w+1])
			}
		})
	}
}

func TestCloseWhileEverythingRuns(t *testing.T) {
	for _, version := range bothVersions {
		for range 10 {
			client := clientConfig(t)
			client.MaxVersion = version
			c, s := connect(t, client, serverConfig(t))
			var wg sync.WaitGroup
			var busy sync.WaitGroup
			busy.Add(2)
			for _, conn := range []*Conn{c, s} {
				first := sync.OnceFunc(busy.Done)
				for range 2 {
					wg.Add(3)
					go func() {
						defer wg.Done()
						for buf := make([]byte, 5000); ; {
							if _, err := conn.Write(buf); err != nil {
								return
							}
						}
					}()
					go func() {
						defer wg.Done()
						for buf := make([]byte, 5000); ; first() {
							if _, err := conn.Read(buf); err != nil {
								first()
								return
							}
						}
					}()
					go func() {
						defer wg.Done()
						for conn.SetDeadline(time.Now().Add(wait)) == nil {
							conn.ConnectionState()
							if _, err := conn.ExportKeyingMaterial("label", nil, 16); err != nil {
								assert.ErrorIs(t, err, net.ErrClosed)
								return
							}
						}
					}()
				}
			}
			busy.Wait()
			assert.NoError(t, c.Close())
			assert.NoError(t, s.Close())
			wg.Wait()
		}
	}
}

// fuzzInput gives one side of a handshake what the other sends, with data in
// its place from an offset on: arbitrary bytes, or a good handshake that goes
// wrong somewhere. With insert the rest follows, otherwise data replace as much.
// Nothing must crash, hang or stay allocated.
func fuzzInput(f *testing.F, direction string) {
	for _, input := range wrongInputs {
		for _, resume := range []bool{false, true} {
			f.Add(uint16(0), false, false, resume, input.input)
			f.Add(uint16(0), true, true, resume, input.input)
		}
	}
	for at := range uint16(40) {
		f.Add(at*23, true, at%2 == 0, at%4 < 2, record(21, 2, 40))
		f.Add(at*31, false, at%2 == 0, at%4 < 2, bytes.Repeat([]byte{byte(at)}, int(at)))
	}
	secrets := make([]byte, 2*TicketKeySize)
	rand.Read(secrets)
	keys, err := OpenTicketKeyFS(fstest.MapFS{"keys": {Data: secrets}}, "keys")
	require.NoError(f, err)
	type pair struct {
		client, server *Config
		session        *SessionData
	}
	pairs := map[uint16]pair{}
	for _, version := range bothVersions {
		client, server := pairOf(f, version)
		client.SessionTicketsDisabled, server.SessionTicketsDisabled = false, false
		client.NextProtos, server.NextProtos = []string{"b"}, []string{"b"}
		client.TicketRequest = &TicketRequest{New: 3, Resumed: 2}
		server.GetPSK = func(context.Context, string) ([]byte, error) { return testPSK, nil }
		server.MaxEarlyData = 1000
		server.TicketKeyFile = keys
		pairs[version] = pair{client, server, newSessionData(f, client, server)}
	}
	f.Fuzz(func(t *testing.T, at uint16, insert, old, resume bool, data []byte) {
		if len(data) > 1<<20 {
			return
		}
		configs := pairs[VersionTLS13]
		if old {
			configs = pairs[VersionTLS12]
		}
		before := LiveObjects().Sessions
		p := newMemPipe()
		p.receiver(direction).filter = func(from int, b []byte) ([]byte, bool) {
			start := int(at) - from
			switch {
			case start >= len(b):
				return b, false
			case insert && start >= 0:
				return bytes.Join([][]byte{b[:start], data, b[start:]}, nil), false
			case insert:
				return b, false
			}
			for i := max(start, 0); i < len(b) && i-start < len(data); i++ {
				b[i] = data[i-start]
			}
			return b, false
		}
		if !resume {
			configs.session = nil
		}
		c, s, clientErr, serverErr := p.shakeEarly(configs.client, configs.server, configs.session)
		for _, err := range []error{clientErr, serverErr} {
			var panicked *PanicError
			require.False(t, errors.As(err, &panicked), "%v", err)
		}
		for _, conn := range []*Conn{c, s} {
			conn.Write([]byte("x"))
		}
		p.hangUp()
		for _, conn := range []*Conn{c, s} {
			_, err := io.Copy(io.Discard, conn)
			require.Error(t, err) // at the least: no close_notify
		}
		require.NoError(t, c.Close())
		require.NoError(t, s.Close())
		require.Equal(t, before, LiveObjects().Sessions)
	})
}

func FuzzServerInput(f *testing.F) { fuzzInput(f, directions[0]) }
func FuzzClientInput(f *testing.F) { fuzzInput(f, directions[1]) }
