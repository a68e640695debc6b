package coappeer

import (
	"bytes"
	"encoding/hex"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// Bytes are in hexadecimal, and text is.
func text(s string) string { return hex.EncodeToString([]byte(s)) }

func repeat(s string, n int) []byte { return bytes.Repeat([]byte(s), n) }

func TestMessagesOnUDP(t *testing.T) {
	temperature := []Option{String(URIPath, "temperature")}
	for _, test := range []struct {
		name string
		wire string
		m    Message
	}{
		{
			"RFC 7252, figure 16: request", "40017d34bb" + text("temperature"),
			Message{Type: CON, Code: GET, ID: 0x7d34, Options: temperature},
		}, {
			"RFC 7252, figure 16: piggy-backed response", "60457d34ff" + text("22.3 C"),
			Message{Type: ACK, Code: Content, ID: 0x7d34, Payload: []byte("22.3 C")},
		}, {
			"RFC 7252, figure 17: request with a token", "41017d3520bb" + text("temperature"),
			Message{Type: CON, Code: GET, ID: 0x7d35, Token: []byte{0x20}, Options: temperature},
		}, {
			"RFC 7252, figure 17: response with a token", "61457d3520ff" + text("22.3 C"),
			Message{Type: ACK, Code: Content, ID: 0x7d35, Token: []byte{0x20}, Payload: []byte("22.3 C")},
		}, {
			"RFC 7252, figure 20: empty acknowledgement", "60007d38",
			Message{Type: ACK, ID: 0x7d38},
		}, {
			"RFC 7252, figure 20: separate response", "4145ad7b53ff" + text("22.3 C"),
			Message{Type: CON, Code: Content, ID: 0xad7b, Token: []byte{0x53}, Payload: []byte("22.3 C")},
		}, {
			"reset", "70007d39",
			Message{Type: RST, ID: 0x7d39},
		}, {
			"non-confirmable request", "51017d4075bb" + text("temperature"),
			Message{Type: NON, Code: GET, ID: 0x7d40, Token: []byte{0x75}, Options: temperature},
		}, {
			"options with the same number, and one that is empty",
			"40030001" + "50" + "5161" + "0162" + "2101",
			Message{Code: PUT, ID: 1,
				Options: []Option{{IfNoneMatch, []byte{}}, String(10, "a"), String(10, "b"), Uint(12, 1)}},
		}, {
			"extended deltas", "40010001" + "c0" + "d000" + "e0" + "000b" + "e0" + "fa66",
			Message{Code: GET, ID: 1,
				Options: []Option{{12, []byte{}}, {25, []byte{}}, {305, []byte{}}, {64676, []byte{}}}},
		}, {
			"extended lengths", "40010001" + "1c" + text("aaaaaaaaaaaa") + "0d00" + text("aaaaaaaaaaaaa") +
				"0e0000" + hex.EncodeToString(repeat("a", 269)),
			Message{Code: GET, ID: 1,
				Options: []Option{{1, repeat("a", 12)}, {1, repeat("a", 13)}, {1, repeat("a", 269)}}},
		}, {
			"RFC 8974: token of 13 bytes", "4d01000100" + text("aaaaaaaaaaaaa"),
			Message{Code: GET, ID: 1, Token: repeat("a", 13)},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.wire, hex.EncodeToString(test.m.AppendUDP(nil)))
			m, err := ParseUDP(unhex(t, test.wire))
			require.NoError(t, err)
			assert.Equal(t, test.m, m)
		})
	}
}

func TestMessagesOnTCP(t *testing.T) {
	for _, test := range []struct {
		name string
		head string
		rest []byte
		m    Message
	}{
		{"RFC 8323, 3.2: no options or payload", "01437f", nil,
			Message{Code: Valid, Token: []byte{0x7f}}},
		{"RFC 8323, 5.4: Ping", "00e2", nil, Message{Code: Ping}},
		{
			"RFC 8323, 5.3: CSM", "40e1" + "224000" + "20", nil,
			Message{Code: CSM,
				Options: []Option{Uint(MaxMessageSize, 0x4000), {BlockWiseTransfer, []byte{}}}},
		},
		{"the longest of 4 bits", "c045ff", repeat("a", 11),
			Message{Code: Content, Payload: repeat("a", 11)}},
		{"the shortest of 8 bits", "d00045ff", repeat("a", 12),
			Message{Code: Content, Payload: repeat("a", 12)}},
		{"the longest of 8 bits", "d0ff45ff", repeat("a", 267),
			Message{Code: Content, Payload: repeat("a", 267)}},
		{"the shortest of 16 bits", "e0000045ff", repeat("a", 268),
			Message{Code: Content, Payload: repeat("a", 268)}},
		{"the longest of 16 bits", "e0ffff45ff", repeat("a", 65803),
			Message{Code: Content, Payload: repeat("a", 65803)}},
		{"the shortest of 32 bits", "f00000000045ff", repeat("a", 65804),
			Message{Code: Content, Payload: repeat("a", 65804)}},
		{"RFC 8974: token of 14 bytes", "0d0101", repeat("a", 14),
			Message{Code: GET, Token: repeat("a", 14)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wire := append(unhex(t, test.head), test.rest...)
			assert.True(t, bytes.Equal(wire, test.m.AppendTCP(nil)))
			m, n, err := ParseTCP(append(wire[:len(wire):len(wire)], "next"...))
			require.NoError(t, err)
			assert.Equal(t, len(wire), n)
			assert.Equal(t, test.m, m)
			for i := range min(len(wire), 300) {
				_, n, err = ParseTCP(wire[:i])
				require.Equal(t, io.ErrUnexpectedEOF, err)
				require.Zero(t, n)
			}
		})
	}
}

func TestWhatIsNoMessageIsRefused(t *testing.T) {
	for _, test := range []struct{ name, wire, want string }{
		{"nothing", "", "a datagram of 0 bytes"},
		{"three bytes", "400100", "a datagram of 3 bytes"},
		{"another version", "80010001", "version 2"},
		{"token cut short", "4201000161", "a token of 2 bytes of which 1 are there"},
		{"reserved token length", "4f010001", "reserved"},
		{"marker without a payload", "40010001ff", "a payload marker with nothing behind it"},
		{"option cut short", "40010001b474", "option 11 of 4 bytes of which 1 are there"},
		{"reserved option delta", "40010001f1", "the option after 0: coappeer: a length or delta of 15"},
		{"reserved option length", "40010001bf", "the option after 0: coappeer: a length or delta of 15"},
		{"extended delta cut short", "40010001e000", "the option after 0: unexpected EOF"},
		{"option number over 65535", "40010001e0ffff", "option number 65804"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := ParseUDP(unhex(t, test.wire))
			require.ErrorContains(t, err, test.want)
			assert.NotErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	}
}

func TestBadMessageOnTCPTellsWhereTheNextBegins(t *testing.T) {
	_, n, err := ParseTCP(unhex(t, "1045ff"+"0001"))
	assert.ErrorContains(t, err, "a payload marker with nothing behind it")
	assert.Equal(t, 3, n)

	_, n, err = ParseTCP(unhex(t, "0f01"))
	assert.ErrorContains(t, err, "reserved")
	assert.Zero(t, n, "nobody can tell")
}

func TestWhatNoLibrarySendsCanBeSent(t *testing.T) {
	m := Message{Type: RST, Code: GET, Token: repeat("a", 12), Payload: []byte{},
		Options: []Option{String(Accept, "xyz"), String(URIPath, "a")}}
	assert.Equal(t, "7c010000"+text("aaaaaaaaaaaa")+"b161"+"63"+text("xyz")+"ff",
		hex.EncodeToString(m.AppendUDP(nil)))
	assert.Equal(t, uint16(Accept), m.Options[0].Number, "the message is as before")
	assert.Panics(t, func() { Message{Token: make([]byte, 65805)}.AppendUDP(nil) })
}

func TestOptions(t *testing.T) {
	assert.Equal(t, Option{MaxAge, []byte{}}, Uint(MaxAge, 0))
	assert.Equal(t, Option{Block2, []byte{0x0e}}, Block{Num: 0, More: true, SZX: 6}.Option(Block2))
	assert.Equal(t, Option{Block1, []byte{0x0f, 0xff, 0xf7}},
		Block{Num: 0xffff, SZX: 7}.Option(Block1))

	m := Message{Options: append(Path("a/b"), Block{Num: 5, More: true, SZX: 2}.Option(Block1),
		Uint(Size1, 5000))}
	assert.Equal(t, "a/b", m.Path())
	block, ok := m.Block(Block1)
	assert.True(t, ok)
	assert.Equal(t, Block{Num: 5, More: true, SZX: 2}, block)
	assert.Equal(t, 64, block.Size())
	size, ok := m.Uint(Size1)
	assert.True(t, ok)
	assert.Equal(t, uint32(5000), size)
	_, ok = m.Option(Block2)
	assert.False(t, ok)
}

func FuzzParseUDP(f *testing.F) {
	f.Add(unhex(f, "4145ad7b53ff"+text("22.3 C")))
	f.Add(unhex(f, "40010001"+"c0"+"d000"+"e0"+"000b"))
	f.Add(unhex(f, "4d01000100"+text("aaaaaaaaaaaaa")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseUDP(b)
		if err != nil {
			return
		}
		if got := m.AppendUDP(nil); !bytes.Equal(b, got) {
			t.Fatalf("%x became %x", b, got)
		}
	})
}

func FuzzParseTCP(f *testing.F) {
	f.Add(unhex(f, "40e1"+"224000"+"20"))
	f.Add(unhex(f, "d00045ff"+text("aaaaaaaaaaaa")))
	f.Add(unhex(f, "0d0101"+text("aaaaaaaaaaaaaa")))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, n, err := ParseTCP(b)
		if err != nil {
			return
		}
		if got := m.AppendTCP(nil); !bytes.Equal(b[:n], got) {
			t.Fatalf("%x became %x", b[:n], got)
		}
	})
}
