package coap

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/ccoap"
)

// withStreamLimits changes the limits for one test.
func withStreamLimits(t *testing.T, change func(*ccoap.StreamLimits)) {
	old := streamLimits
	change(&streamLimits)
	t.Cleanup(func() { streamLimits = old })
}

var csmBytes = coappeer.Message{Code: coappeer.CSM}.AppendTCP(nil)

// What must end a connection with an Abort (RFC 8323, sections 3.2, 5.3 and 5.6).
var abortTests = map[string]struct {
	bytes  []byte
	option []byte // Bad-CSM-Option
}{
	"request before the CSM":     {bytes: coappeer.Message{Code: coappeer.GET}.AppendTCP(nil)},
	"response before the CSM":    {bytes: coappeer.Message{Code: coappeer.Content}.AppendTCP(nil)},
	"empty message before":       {bytes: []byte{0, 0}},
	"ping before the CSM":        {bytes: coappeer.Message{Code: coappeer.Ping}.AppendTCP(nil)},
	"HTTP":                       {bytes: []byte("GET /.well-known/core HTTP/1.0\r\n\r\n")},
	"token of 9 bytes":           {bytes: append(bytes.Clone(csmBytes), 9, byte(coappeer.GET))},
	"token of 15 bytes":          {bytes: append(bytes.Clone(csmBytes), 15, byte(coappeer.GET))},
	"token of 13 bytes in a CSM": {bytes: []byte{13, byte(coappeer.CSM)}},
	"message that is too large": {bytes: append(bytes.Clone(csmBytes), 0xf0, 0x00, 0x80, 0, 0,
		byte(coappeer.PUT))},
	"critical option in a CSM": {coappeer.Message{Code: coappeer.CSM,
		Options: []coappeer.Option{coappeer.Uint(9, 1)}}.AppendTCP(nil), []byte{9}},
	"critical option of 2 bytes": {coappeer.Message{Code: coappeer.CSM,
		Options: []coappeer.Option{coappeer.Uint(0x1235, 1)}}.AppendTCP(nil), []byte{0x12, 0x35}},
	"critical option in a second": {coappeer.Message{Code: coappeer.CSM,
		Options: []coappeer.Option{coappeer.Uint(7, 1)}}.AppendTCP(bytes.Clone(csmBytes)), []byte{7}},
	"critical option in a ping": {bytes: coappeer.Message{Code: coappeer.Ping,
		Options: []coappeer.Option{coappeer.Uint(7, 1)}}.AppendTCP(bytes.Clone(csmBytes))},
	"too many options": {bytes: coappeer.Message{Code: coappeer.GET,
		Options: make([]coappeer.Option, ccoap.MaxOptions+1)}.
		AppendTCP(bytes.Clone(csmBytes))},
	"too long options": {bytes: coappeer.Message{Code: coappeer.GET, Options: []coappeer.Option{
		{Number: 65000, Value: make([]byte, 65000)}, {Number: 65002, Value: make([]byte, 65000)},
		{Number: 65004, Value: make([]byte, 2000)},
	}}.AppendTCP(bytes.Clone(csmBytes))},
}

func expectAbort(t *testing.T, peer *coappeer.TCP, b, option []byte) {
	t.Helper()
	peer.Expect(t, coappeer.CSM)
	require.NoError(t, peer.SendRaw(b))
	abort := peer.Expect(t, coappeer.Abort)
	assert.NotEmpty(t, abort.Payload, "a diagnostic payload")
	got, _ := abort.Option(2)
	assert.Equal(t, option, got)
	peer.ExpectClosed(t)
}

func TestServerAbortsConnections(t *testing.T) {
	addr := listen(t, nil, TCP,
		HandlerFunc(func(ResponseWriter, *Request) { t.Error("a request was handled") }))
	for name, test := range abortTests {
		t.Run(name, func(t *testing.T) {
			expectAbort(t, coappeer.DialTCP(t, addr), test.bytes, test.option)
		})
	}
}

func TestClientAbortsConnections(t *testing.T) {
	c := newTestNode(t, nil)
	c.Handle(HandlerFunc(func(ResponseWriter, *Request) { t.Error("a request was handled") }))
	for name, test := range abortTests {
		t.Run(name, func(t *testing.T) {
			ln := coappeer.ListenTCP(t)
			s, err := c.NewClientSession(netip.AddrPort{}, ln.Addr(), TCP)
			require.NoError(t, err)
			expectAbort(t, ln.Accept(t), test.bytes, test.option)
			receive(t, s.Done())
			assert.ErrorIs(t, s.Err(), ErrDisconnected)
		})
	}
}

func TestElectiveOptionsOfSignalsAreIgnored(t *testing.T) {
	peer := coappeer.DialTCP(t, listen(t, nil, TCP, hello))
	peer.ExchangeCSM(t, coappeer.Uint(8, 1), coappeer.Uint(1000, 1))
	peer.Send(coappeer.Message{Code: coappeer.Ping, Options: []coappeer.Option{coappeer.Uint(8, 1)}})
	peer.Expect(t, coappeer.Pong)
	peer.Send(coappeer.Message{Code: coappeer.GET})
	peer.Expect(t, coappeer.Content)
}

// What comes behind Release or Abort must not reach libcoap, which would connect to the client.
func TestNothingCountsBehindTheEnd(t *testing.T) {
	addr := listen(t, nil, TCP,
		HandlerFunc(func(ResponseWriter, *Request) { t.Error("a request was handled") }))
	for _, code := range []coappeer.Code{coappeer.Release, coappeer.Abort} {
		for _, first := range []bool{false, true} {
			peer := coappeer.DialTCP(t, addr)
			if !first {
				peer.ExchangeCSM(t)
			} else {
				peer.Expect(t, coappeer.CSM)
			}
			peer.Send(coappeer.Message{Code: code}, coappeer.Message{Code: coappeer.GET})
			peer.ExpectClosed(t)
		}
	}
}

func TestClientThatHasSentAllIsAnswered(t *testing.T) {
	asked, answer := make(chan struct{}), make(chan struct{})
	var m Mux
	m.Handle("/", hello)
	m.Handle("/slow", HandlerFunc(func(w ResponseWriter, r *Request) {
		asked <- struct{}{}
		<-answer
		w.Write([]byte("late"))
	}))
	addr := listen(t, nil, TCP, &m)
	peer := coappeer.DialTCP(t, addr)
	peer.ExchangeCSM(t)
	peer.Send(coappeer.Message{Code: coappeer.GET, Options: coappeer.Path("slow")})
	receive(t, asked)
	peer.CloseWrite()
	other := connect(t, nil, addr, TCP)
	for range 2 { // by then the server knows of the end
		_, err := other.Get(waitContext(t), "/")
		require.NoError(t, err)
	}
	close(answer)
	assert.Equal(t, "late", string(peer.Expect(t, coappeer.Content).Payload))
	assert.Equal(t, io.EOF, peer.ExpectClosed(t))
}

func TestSilentConnectionsEnd(t *testing.T) {
	withStreamLimits(t, func(l *ccoap.StreamLimits) { l.GreetingIn = 100 * time.Millisecond })
	for name, bytes := range map[string][]byte{"nothing": nil,
		"half a CSM": {0xd0, 0xff, byte(coappeer.CSM), 1}} {
		t.Run(name, func(t *testing.T) {
			peer := coappeer.DialTCP(t, listen(t, nil, TCP, hello))
			peer.Expect(t, coappeer.CSM)
			require.NoError(t, peer.SendRaw(bytes))
			peer.ExpectClosed(t)
		})
	}
	t.Run("TLS", func(t *testing.T) {
		conn, err := net.Dial("tcp",
			listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, TLS, hello).String())
		require.NoError(t, err)
		defer conn.Close()
		conn.SetReadDeadline(time.Now().Add(wait))
		_, err = io.Copy(io.Discard, conn)
		assert.False(t, errors.Is(err, os.ErrDeadlineExceeded), "it was not ended")
	})
}

func TestSilentConnectionsAreBounded(t *testing.T) {
	c := newTestNode(t, &Config{MaxSessions: 20})
	addr := listenOn(t, c, TCP, hello)
	good := coappeer.DialTCP(t, addr)
	good.ExchangeCSM(t)
	var silent []*coappeer.TCP
	for range fewGreeting + 4 {
		silent = append(silent, coappeer.DialTCP(t, addr))
		silent[len(silent)-1].Expect(t, coappeer.CSM)
	}
	for _, s := range silent[:4] {
		s.ExpectClosed(t)
	}
	silent[4].Send(coappeer.Message{Code: coappeer.CSM}, coappeer.Message{Code: coappeer.GET})
	silent[4].Expect(t, coappeer.Content)
	good.ExpectNothing(t)
}

// A connection over which no request came counts.
func TestConnectionsThatAskNothingAreSessions(t *testing.T) {
	addr := listen(t, &Config{MaxSessions: 2}, TCP, hello)
	var peers []*coappeer.TCP
	for range 4 {
		peers = append(peers, coappeer.DialTCP(t, addr))
		peers[len(peers)-1].ExchangeCSM(t)
		peers[len(peers)-1].ExpectNothing(t)
	}
	peers[0].ExpectClosed(t)
	peers[1].ExpectClosed(t)
	peers[3].ExpectNothing(t)
}

// unread is a client that asks so many times and reads nothing.
func unread(t *testing.T, addr netip.AddrPort, times int) *net.TCPConn {
	t.Helper()
	conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	b := coappeer.Message{Code: coappeer.CSM,
		Options: []coappeer.Option{coappeer.Uint(coappeer.MaxMessageSize, 1<<23)}}.AppendTCP(nil)
	for i := range times {
		b = coappeer.Message{Code: coappeer.GET, Token: []byte{byte(i)},
			Options: coappeer.Path("large")}.AppendTCP(b)
	}
	_, err = conn.Write(b)
	require.NoError(t, err)
	return conn
}

func TestConnectionThatIsNotReadIsNotReadFrom(t *testing.T) {
	const times, size = 60, 1 << 20
	body := make([]byte, size)
	var handled atomic.Int32
	c := newTestNode(t, nil)
	var m Mux
	m.Handle("/large", HandlerFunc(func(w ResponseWriter, r *Request) {
		handled.Add(1)
		w.Write(body)
	}))
	m.Handle("/", hello)
	addr := listenOn(t, c, TCP, &m)
	conn := unread(t, addr, times)
	waiting := func() int {
		c.l.look()
		defer c.l.leave()
		return c.l.native.StreamWaiting()
	}
	await(t, func() bool { return waiting() > 0 })
	other := connect(t, nil, addr, TCP)
	for range 20 {
		_, err := other.Get(waitContext(t), "/")
		require.NoError(t, err)
	}
	assert.Less(t, int(handled.Load()), times/2, "it goes on to be read from")
	assert.LessOrEqual(t, waiting(), 8*size)

	conn.SetReadDeadline(time.Now().Add(wait))
	var rest []byte
	buf := make([]byte, 1<<18)
	for tokens := map[byte]bool{}; len(tokens) < times; {
		n, err := conn.Read(buf)
		require.NoError(t, err)
		rest = append(rest, buf[:n]...)
		assert.LessOrEqual(t, waiting(), 9*size)
		for {
			m, n, err := coappeer.ParseTCP(rest)
			if err != nil {
				break
			}
			rest = rest[n:]
			if m.Code == coappeer.CSM {
				continue
			}
			require.Len(t, m.Payload, size)
			require.False(t, tokens[m.Token[0]])
			tokens[m.Token[0]] = true
		}
	}
}

func TestConnectionThatTakesNothingIsEnded(t *testing.T) {
	for name, change := range map[string]func(*ccoap.StreamLimits){
		"for too long":       func(l *ccoap.StreamLimits) { l.TakesIn = 100 * time.Millisecond },
		"of too much":        func(l *ccoap.StreamLimits) { l.Waiting = 1 << 20 },
		"of too much in all": func(l *ccoap.StreamLimits) { l.AllWaiting = 1 << 20 },
	} {
		t.Run(name, func(t *testing.T) {
			withStreamLimits(t, change)
			ended := make(chan struct{}, 100)
			addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
				go func() {
					<-r.Session.Done()
					ended <- struct{}{}
				}()
				w.Write(make([]byte, 4<<20))
			}))
			unread(t, addr, 10)
			receive(t, ended)
		})
	}
}

func TestMemoryForConnectionsDoesNotGrowWithDescriptors(t *testing.T) {
	addr := listen(t, nil, TCP, hello)
	for range 200 {
		f, err := os.Open("/dev/null")
		require.NoError(t, err)
		defer f.Close()
	}
	for _, proto := range []Protocol{TCP, UDP} {
		to := addr
		if proto == UDP {
			to = listen(t, nil, UDP, hello)
		}
		s := connect(t, nil, to, proto)
		_, err := s.Get(waitContext(t), "/")
		require.NoError(t, err)
		s.c.l.look()
		assert.Less(t, s.c.l.native.StreamBytes(), 1000)
		s.c.l.endLook()
	}
}
