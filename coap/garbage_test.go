package coap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// A garbage makes messages that nobody should send, the same ones for the same seed.
type garbage struct {
	*rand.Rand
	valid [][]byte // to be changed a little, or cut off
	next  int      // of the lengths to cut them off at
}

func newGarbage(t *testing.T, seed uint64, valid ...[]byte) *garbage {
	t.Logf("seed %d", seed)
	return &garbage{Rand: rand.New(rand.NewPCG(seed, seed)), valid: valid}
}

func (g *garbage) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(g.Uint32())
	}
	return b
}

// message returns a datagram.
func (g *garbage) message() []byte {
	switch g.IntN(8) {
	case 0:
		return g.bytes(g.IntN(64))
	case 1: // cut off at each length in turn
		b := g.valid[g.next%len(g.valid)]
		g.next++
		return b[:g.next/len(g.valid)%len(b)]
	case 2: // an odd version, type or length of the token
		b := g.copy()
		b[0] = byte(g.Uint32())
		return b
	case 3: // a token of 9 to 15 bytes, which is there
		b := append([]byte{0x40 | byte(9+g.IntN(7)), 1}, g.bytes(2+15)...)
		return b
	case 4: // any code
		b := g.copy()
		b[1] = byte(g.Uint32())
		return b
	case 5: // odd options
		return append(g.head(), g.options()...)
	case 6: // the valid one, and more
		return append(g.copy(), g.bytes(g.IntN(20))...)
	}
	b := g.copy()
	for range 1 + g.IntN(4) {
		b[g.IntN(len(b))] = byte(g.Uint32())
	}
	return b
}

func (g *garbage) copy() []byte { return slices.Clone(g.valid[g.IntN(len(g.valid))]) }

// head is that of a request, with a token of one byte.
func (g *garbage) head() []byte {
	id := g.Uint32()
	return []byte{0x41 | byte(g.IntN(4))<<4, byte(g.IntN(8)), byte(id >> 8), byte(id), byte(id)}
}

// options are encoded well or badly, with deltas and lengths of all sizes, and values that
// may be missing.
func (g *garbage) options() (b []byte) {
	for range 1 + g.IntN(5) {
		delta, length := g.IntN(16), g.IntN(16)
		b = append(b, byte(delta<<4|length))
		b = append(b, g.bytes(g.IntN(5))...)
		if g.IntN(2) == 0 {
			b = append(b, 0xff, 0xff)
		}
		b = append(b, g.bytes(g.IntN(length+1))...)
	}
	return b
}

// datagrams are well-formed requests of all kinds.
func datagrams() (all [][]byte) {
	options := func(o ...coappeer.Option) []coappeer.Option {
		return append(coappeer.Path("a/b"), o...)
	}
	for _, m := range []coappeer.Message{
		{Code: coappeer.GET, ID: 1, Token: []byte{1, 2, 3},
			Options: options(coappeer.String(coappeer.URIQuery, "q=1"))},
		{Type: coappeer.NON, Code: coappeer.GET, ID: 2, Token: []byte("12345678"),
			Options: options(coappeer.Uint(coappeer.Observe, 0))},
		{Code: coappeer.PUT, ID: 3,
			Options: options(coappeer.Block{More: true, SZX: 1}.Option(coappeer.Block1)),
			Payload: randomBytes(32)},
		{Code: coappeer.PUT, ID: 4,
			Options: options(coappeer.Block{Num: 1, SZX: 1}.Option(coappeer.Block1)),
			Payload: randomBytes(20)},
		{Code: coappeer.GET, ID: 5,
			Options: options(coappeer.Block{Num: 7, SZX: 6}.Option(coappeer.Block2))},
		{Code: coappeer.GET, ID: 6,
			Options: options(coappeer.Option{Number: 65535, Value: randomBytes(300)})},
		{Code: coappeer.GET, ID: 7,
			Options: []coappeer.Option{coappeer.String(coappeer.ProxyURI, "coap://h/x")}},
		{Code: coappeer.GET, ID: 8, Options: coappeer.Path(".well-known/core")},
		{Code: coappeer.Content, ID: 9, Token: []byte("12345678"), Payload: []byte("x")},
		{Type: coappeer.ACK, ID: 10},
		{Type: coappeer.RST, ID: 11},
		{Type: coappeer.CON, ID: 12},
	} {
		all = append(all, m.AppendUDP(nil))
	}
	return all
}

func TestServerSurvivesBadDatagrams(t *testing.T) {
	var m Mux
	m.Handle("/a/b", NewResource(echo))
	m.Handle("/good", hello)
	addr := listen(t, nil, UDP, &m)
	peer := coappeer.NewUDP(t)
	g := newGarbage(t, 1, datagrams()...)
	const n, each = 30000, 50
	for i := range n {
		peer.SendRaw(addr, g.message())
		if i%each > 0 {
			continue
		}
		// All that came before is dealt with when this is answered.
		token := binary.BigEndian.AppendUint64(nil, uint64(i)|1<<63)
		peer.Send(addr, coappeer.Message{Type: coappeer.NON, Code: coappeer.GET, ID: uint16(i),
			Token: token, Options: coappeer.Path("good")})
		m := peer.Receive(t)
		for !bytes.Equal(m.Token, token) {
			m = peer.Receive(t)
		}
		require.Equal(t, "hello", string(m.Payload))
	}
	r, err := connect(t, nil, addr, UDP).Get(waitContext(t), "/good")
	require.NoError(t, err)
	assert.Equal(t, "hello", string(r.Body))
}

// Between each request and its response a client gets garbage, of which some may pass for
// the response.
func TestClientSurvivesBadDatagrams(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	g := newGarbage(t, 2)
	var over atomic.Bool
	id := uint16(0)
	peer.Answer(func(m coappeer.Received) []coappeer.Message {
		if m.Type != coappeer.CON || m.Code != coappeer.GET {
			return nil // what it thinks of the garbage
		}
		good := m.Respond(coappeer.Content, []byte("good"))
		if _, goesOn := m.Block(coappeer.Block2); goesOn || over.Load() {
			return []coappeer.Message{good}
		}
		g.valid = datagrams()
		for _, typ := range []coappeer.Type{coappeer.ACK, coappeer.CON, coappeer.NON} {
			id := m.ID
			if typ != coappeer.ACK {
				id += 0x8000
			}
			for _, response := range []coappeer.Message{
				m.Separate(typ, id, coappeer.Content, []byte("0123456789abcdef"),
					coappeer.Uint(coappeer.ETag, 1),
					coappeer.Uint(coappeer.Observe, 42), coappeer.Block{More: true}.Option(coappeer.Block2)),
				m.Separate(typ, id, coappeer.Content, []byte("x")),
			} {
				g.valid = append(g.valid, response.AppendUDP(nil))
			}
		}
		for range 50 {
			b := g.message()
			if len(b) >= 4 && b[0]>>4 == 4|byte(coappeer.ACK) &&
				binary.BigEndian.Uint16(b[2:])-m.ID-1 < 1<<15 {
				continue // libcoap takes the true acknowledgement for a duplicate of it
			}
			peer.SendRaw(m.From, b)
		}
		good.Type, good.ID = coappeer.NON, m.ID+0x8000+id
		id++
		return []coappeer.Message{good}
	})
	outcomes := map[bool]int{}
	for range 400 {
		_, err := s.Do(waitContext(t), get())
		outcomes[err == nil]++
		if err != nil {
			known := errors.Is(err, ErrReset) || errors.Is(err, ErrBadBlock) || errors.Is(err, ErrOption) ||
				errors.Is(err, errBadMessage)
			require.True(t, known, err)
		}
	}
	assert.NotZero(t, outcomes[true])
	over.Store(true)
	r, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	assert.Equal(t, "good", string(r.Body))
	for _, m := range peer.Captured() {
		assert.NoError(t, m.Err)
	}
}

// Reserved codes (RFC 7252, section 3) with the ID of a request neither answer it nor count: the
// next one is sent.
func TestReservedCodesCountForNothing(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, &Config{NSTART: 1}, peer.Addr(), UDP)
	for _, code := range []coappeer.Code{1 << 5, 1<<5 | 31, 6 << 5, 6<<5 | 31} {
		for _, typ := range []coappeer.Type{coappeer.CON, coappeer.NON, coappeer.ACK, coappeer.RST} {
			c := start(waitContext(t), s, get())
			m := peer.Receive(t)
			for ; m.Code != coappeer.GET; m = peer.Receive(t) { // some versions reset them all
				require.Equal(t, coappeer.RST, m.Type)
			}
			peer.Send(m.From,
				coappeer.Message{Type: typ, Code: code, ID: m.ID, Token: m.Token, Payload: []byte("x")})
			if typ == coappeer.CON {
				assert.Equal(t, m.ID, peer.Expect(t, coappeer.RST, coappeer.Empty).ID, "%v", code)
			}
			peer.Send(m.From, m.Respond(coappeer.Content, []byte("good")))
			if r := receive(t, c); r.err != nil {
				assert.Contains(t, []error{ErrReset, errBadMessage}, errors.Unwrap(r.err), "%v %v", typ, code)
			}
		}
	}
}

// streams are well-formed beginnings of connections.
func streams() (all [][]byte) {
	csm := coappeer.Message{Code: coappeer.CSM,
		Options: []coappeer.Option{coappeer.Uint(coappeer.MaxMessageSize, 1<<20),
			{Number: coappeer.BlockWiseTransfer}}}.AppendTCP(nil)
	for _, m := range []coappeer.Message{
		{Code: coappeer.GET, Token: []byte{1}, Options: coappeer.Path("a/b")},
		{Code: coappeer.PUT, Token: []byte("12345678"), Options: coappeer.Path("a/b"),
			Payload: randomBytes(400)},
		{Code: coappeer.PUT, Options: append(coappeer.Path("a/b"),
			coappeer.Block{More: true, SZX: 7}.Option(coappeer.Block1)), Payload: randomBytes(2048)},
		{Code: coappeer.Ping, Token: []byte{2}},
		{Code: coappeer.Pong},
		{Code: coappeer.Release,
			Options: []coappeer.Option{coappeer.String(2, "coap://elsewhere"), coappeer.Uint(4, 10)}},
		{Code: coappeer.Abort, Options: []coappeer.Option{coappeer.Uint(2, 1)}, Payload: []byte("no")},
		{Code: 7<<5 | 30, Token: []byte{3}},
		{Code: coappeer.CSM, Options: []coappeer.Option{coappeer.Uint(coappeer.MaxMessageSize, 0)}},
		{Code: coappeer.CSM, Options: []coappeer.Option{coappeer.Uint(coappeer.MaxMessageSize, 1)}},
		{Code: coappeer.CSM, Options: []coappeer.Option{{Number: 2, Value: randomBytes(9)}}},
		{Code: coappeer.CSM,
			Options: []coappeer.Option{{Number: 3}, {Number: 65535, Value: randomBytes(500)}}},
		{Code: coappeer.Content, Token: []byte("12345678"), Payload: []byte("x")},
		{Code: coappeer.Empty},
	} {
		all = append(all, m.AppendTCP(slices.Clone(csm)))
	}
	return all
}

// stream returns what to send over a connection.
func (g *garbage) stream() []byte {
	switch g.IntN(7) {
	case 0:
		return g.bytes(g.IntN(200))
	case 1: // cut off at each length in turn
		b := g.valid[g.next%len(g.valid)]
		g.next++
		return b[:g.next/len(g.valid)%len(b)]
	case 2: // a length that never comes
		return append(g.copy(), 0xf0|byte(g.IntN(16)), 0xff, 0xff, byte(g.Uint32()), byte(g.Uint32()), 1)
	case 3: // options in place of a message's
		o := g.options()
		return append(g.copy(), append([]byte{0xd0, byte(len(o) - 13), byte(g.Uint32())}, o...)...)
	case 4: // a signalling message that nobody knows
		return append(g.copy(), 0x10, 7<<5|byte(g.IntN(32)), byte(g.Uint32()))
	case 5:
		return slices.Concat(g.copy(), g.copy(), g.copy())
	}
	b := g.copy()
	for range 1 + g.IntN(4) {
		b[g.IntN(len(b))] = byte(g.Uint32())
	}
	return b
}

// abuse sends a stream and closes the connection: at once, with a reset, or for writing. It
// reports whether the other side closed its half within the time.
func (g *garbage) abuse(conn *net.TCPConn) bool {
	defer conn.Close()
	_, err := conn.Write(g.stream())
	switch {
	case err != nil: // the other side was faster
	case g.IntN(3) == 0:
		_ = conn.SetLinger(0)
	case g.IntN(2) == 0:
		_ = conn.CloseWrite()
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		_, err = io.Copy(io.Discard, conn)
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}
	return true
}

func TestServerSurvivesBadStreams(t *testing.T) {
	var m Mux
	m.Handle("/a/b", NewResource(echo))
	m.Handle("/good", hello)
	addr := listen(t, nil, TCP, &m)
	s := connect(t, nil, addr, TCP)
	g := newGarbage(t, 3, streams()...)
	for i := range 3000 {
		conn, err := net.DialTCP("tcp", nil, net.TCPAddrFromAddrPort(addr))
		require.NoError(t, err)
		require.True(t, g.abuse(conn), "connection %d is left half open", i)
		if i%50 == 0 {
			r, err := s.Get(waitContext(t), "/good")
			require.NoError(t, err)
			assert.Equal(t, "hello", string(r.Body))
		}
	}
	r, err := connect(t, nil, addr, TCP).Get(waitContext(t), "/good")
	require.NoError(t, err)
	assert.Equal(t, "hello", string(r.Body))
}

func TestClientSurvivesBadStreams(t *testing.T) {
	ln := coappeer.ListenTCP(t)
	g := newGarbage(t, 4, streams()...)
	var conns, open atomic.Int32
	go func() {
		for {
			conn, err := ln.AcceptTCP()
			if err != nil {
				return
			}
			conns.Add(1)
			if !g.abuse(conn) {
				open.Add(1)
			}
		}
	}()
	c := newTestNode(t, nil)
	good, err := c.NewClientSession(netip.AddrPort{}, listen(t, nil, TCP, hello), TCP)
	require.NoError(t, err)
	for range 1000 {
		s, err := c.NewClientSession(netip.AddrPort{}, ln.Addr(), TCP)
		require.NoError(t, err)
		_, err = s.Do(waitContext(t), get())
		known := errors.Is(err, ErrDisconnected) || errors.Is(err, ErrOption) ||
			errors.Is(err, ErrTooLarge) || errors.Is(err, ErrUnreachable)
		require.True(t, known, err)
		s.Close()
		r, err := good.Get(waitContext(t), "/")
		require.NoError(t, err)
		assert.Equal(t, "hello", string(r.Body))
	}
	assert.GreaterOrEqual(t, conns.Load(), int32(1000))
	assert.Zero(t, open.Load(), "left half open")
}

// libcoap would obey them over UDP: answer Ping with a confirmable Pong, take the limit
// of a CSM, and end the session with Release and Abort.
func TestSignallingOverUDPIsRejected(t *testing.T) {
	signals := func(to netip.AddrPort, peer *coappeer.UDP) {
		for i, code := range []coappeer.Code{coappeer.Ping, coappeer.CSM, coappeer.Release,
			coappeer.Abort, coappeer.Pong, 7 << 5} {
			for typ := coappeer.CON; typ <= coappeer.RST; typ++ {
				m := coappeer.Message{Type: typ, Code: code, ID: uint16(i), Token: []byte{1}}
				if code == coappeer.CSM {
					m.Options = []coappeer.Option{coappeer.Uint(coappeer.MaxMessageSize, 64)}
				}
				peer.Send(to, m)
			}
		}
	}
	// next returns the next message that is no reset.
	next := func(peer *coappeer.UDP, code coappeer.Code) coappeer.Received {
		m := peer.Receive(t)
		for m.Type == coappeer.RST {
			m = peer.Receive(t)
		}
		require.Equal(t, code, m.Code)
		return m
	}
	large := HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(randomBytes(1000)) })
	t.Run("server", func(t *testing.T) {
		addr := listen(t, nil, UDP, large)
		peer := coappeer.NewUDP(t)
		signals(addr, peer)
		peer.Send(addr, coappeer.Message{Code: coappeer.GET, ID: 100})
		assert.Equal(t, randomBytes(1000), next(peer, coappeer.Content).Payload)
	})
	t.Run("client", func(t *testing.T) {
		peer := coappeer.NewUDP(t)
		s := connect(t, nil, peer.Addr(), UDP)
		c := start(waitContext(t), s, get())
		m := peer.Receive(t)
		signals(m.From, peer)
		peer.Send(m.From, m.Respond(coappeer.Content, []byte("good")))
		got := receive(t, c)
		require.NoError(t, got.err)
		assert.Equal(t, "good", string(got.Body))

		c = start(waitContext(t), s, &Request{Method: MethodPut, Body: randomBytes(1000)})
		m = next(peer, coappeer.PUT)
		assert.Equal(t, randomBytes(1000), m.Payload)
		peer.Send(m.From, m.Respond(coappeer.Changed, nil))
		assert.NoError(t, receive(t, c).err)
	})
}
