package coap

import (
	"bufio"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A wireBlock is a message of a block-wise transfer, in a test.
type wireBlock struct {
	code    Code
	options Options
	body    string
}

func (b wireBlock) with(id OptionID, value []byte) wireBlock {
	b.options = b.options.with(Option{id, value})
	return b
}

// one and two add a block option: its number, whether there is more, and the size.
func (b wireBlock) one(num uint32, more bool, size int) wireBlock {
	return b.with(OptionBlock1, testBlock(num, more, size))
}

func (b wireBlock) two(num uint32, more bool, size int) wireBlock {
	return b.with(OptionBlock2, testBlock(num, more, size))
}

func testBlock(num uint32, more bool, size int) []byte {
	szx := uint8(0)
	for 16<<szx < size {
		szx++
	}
	return blockValue{num: num, more: more, szx: szx}.encode()
}

// raw is what follows the token.
func (b wireBlock) raw() (rest []byte) {
	last := OptionID(0)
	for _, opt := range b.options {
		rest = append(rest, 0)
		head := len(rest) - 1
		nibble := func(v int) byte {
			switch {
			case v < 13:
				return byte(v)
			case v < 269:
				rest = append(rest, byte(v-13))
				return 13
			}
			rest = append(rest, byte((v-269)>>8), byte(v-269))
			return 14
		}
		delta := nibble(int(opt.ID - last))
		rest[head] = delta<<4 | nibble(len(opt.Value))
		rest = append(rest, opt.Value...)
		last = opt.ID
	}
	if b.body != "" {
		rest = append(append(rest, 0xff), b.body...)
	}
	return rest
}

func parseWireBlock(t testing.TB, m rawMessage) (b wireBlock) {
	b.code = Code(m.code)
	id := 0
	for rest := m.rest; len(rest) > 0; {
		if rest[0] == 0xff {
			b.body = string(rest[1:])
			break
		}
		head := rest[0]
		rest = rest[1:]
		number := func(v byte) int {
			switch v {
			case 13:
				v, rest = rest[0], rest[1:]
				return int(v) + 13
			case 14:
				n := int(rest[0])<<8 | int(rest[1])
				rest = rest[2:]
				return n + 269
			}
			require.Less(t, v, byte(13))
			return int(v)
		}
		id += number(head >> 4)
		n := number(head & 15)
		b.options = append(b.options, Option{OptionID(id), append([]byte(nil), rest[:n]...)})
		rest = rest[n:]
	}
	return b
}

// A rawClient sends requests one by one.
type rawClient struct {
	*rawPeer
	server netip.AddrPort
	id     uint16
}

func newRawClient(t testing.TB, server netip.AddrPort) *rawClient {
	return &rawClient{rawPeer: newRawPeer(t), server: server}
}

// ask sends a confirmable request and returns the piggybacked response.
func (c *rawClient) ask(t testing.TB, b wireBlock) wireBlock {
	t.Helper()
	c.id++
	m := rawMessage{wireCON, byte(b.code), c.id, []byte{byte(c.id >> 8), byte(c.id)}, b.raw(), c.server}
	c.send(t, m)
	got := c.next(t)
	require.Equal(t, byte(wireACK), got.typ)
	require.Equal(t, m.id, got.id)
	require.Equal(t, m.token, got.token)
	return parseWireBlock(t, got)
}

// serve takes a request and answers it.
func (p *rawPeer) serve(t testing.TB, answer wireBlock) wireBlock {
	t.Helper()
	m := p.next(t)
	p.send(t, rawMessage{wireACK, byte(answer.code), m.id, m.token, answer.raw(), m.from})
	return parseWireBlock(t, m)
}

// codeCSM is a capabilities and settings message (RFC 8323, section 5.3).
const codeCSM Code = 7<<5 | 1

// A rawStream is one end of a CoAP connection over TCP (RFC 8323, section 3), whose
// messages may have so many bytes.
type rawStream struct {
	net.Conn
	r *bufio.Reader
}

func newRawStream(t testing.TB, conn net.Conn, maxMessage uint64) *rawStream {
	t.Helper()
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
	s := &rawStream{conn, bufio.NewReader(conn)}
	const maxMessageSize, blockWise = 2, 4
	s.send(t, nil, wireBlock{code: codeCSM, options: Options{{maxMessageSize, encodeUint(maxMessage)}, {blockWise, nil}}})
	_, csm := s.next(t)
	require.Equal(t, codeCSM, csm.code)
	return s
}

func (s *rawStream) send(t testing.TB, token []byte, b wireBlock) {
	t.Helper()
	rest := b.raw()
	var head []byte
	switch n := len(rest); {
	case n < 13:
		head = []byte{byte(n) << 4}
	case n < 269:
		head = []byte{13 << 4, byte(n - 13)}
	case n < 65805:
		head = []byte{14 << 4, byte((n - 269) >> 8), byte(n - 269)}
	default:
		require.Fail(t, "message too long")
	}
	head[0] |= byte(len(token))
	_, err := s.Write(append(append(append(head, byte(b.code)), token...), rest...))
	require.NoError(t, err)
}

func (s *rawStream) next(t testing.TB) (token []byte, b wireBlock) {
	t.Helper()
	read := func(n int) []byte {
		p := make([]byte, n)
		_, err := io.ReadFull(s.r, p)
		require.NoError(t, err)
		return p
	}
	number := func(p []byte) int { return int(parseUint(p)) }
	first := read(1)[0]
	n := int(first >> 4)
	switch n {
	case 13:
		n = number(read(1)) + 13
	case 14:
		n = number(read(2)) + 269
	case 15:
		n = number(read(4)) + 65805
	}
	code := read(1)[0]
	token = read(int(first & 15))
	return token, parseWireBlock(t, rawMessage{code: code, rest: read(n)})
}

func (s *rawStream) ask(t testing.TB, b wireBlock) wireBlock {
	t.Helper()
	s.send(t, []byte{1}, b)
	_, answer := s.next(t)
	return answer
}

func (s *rawStream) serve(t testing.TB, answer wireBlock) wireBlock {
	t.Helper()
	token, request := s.next(t)
	s.send(t, token, answer)
	return request
}

// bertBlock is a block option that says that there are several blocks.
func bertBlock(num uint32, more bool) []byte { return blockValue{num, more, bert}.encode() }
