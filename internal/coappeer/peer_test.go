package coappeer

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

const welcome = "This is a test server made with libcoap"

// get returns a confirmable GET.
func get(id uint16, path string, options ...Option) Message {
	return Message{Type: CON, Code: GET, ID: id, Token: []byte{byte(id)},
		Options: append(options, Path(path)...)}
}

var large = bytes.Repeat([]byte("0123456789\x00\xff\n"), 400)

// block returns a part of large and the Block2 option for it.
func block(b Block) ([]byte, Option) {
	start := int(b.Num) * b.Size()
	end := min(start+b.Size(), len(large))
	b.More = end < len(large)
	return large[start:end], b.Option(Block2)
}

func TestUDPPeerIsAClientOfLibcoap(t *testing.T) {
	s := testenv.StartCoAPServer(t, "gnutls", "-d", "10")
	p := NewUDP(t)

	p.Send(s.Addr, get(1, ""))
	got := p.ExpectReply(t, ACK, Content, 1)
	assert.Equal(t, []byte{1}, got.Token)
	assert.Contains(t, string(got.Payload), welcome)
	assert.Equal(t, s.Addr, got.From)

	p.SendRaw(s.Addr, []byte("bad"))
	p.ExpectNothing(t, s.Addr, 2)

	p.Send(s.Addr, Message{Type: NON, Code: GET, ID: 3, Token: []byte("t"), Options: Path("nowhere")})
	assert.Equal(t, []byte("t"), p.Expect(t, NON, NotFound).Token)

	captured := p.Captured()
	require.Len(t, captured, 2)
	for i, r := range captured {
		assert.NotEmpty(t, r.Data)
		assert.False(t, i > 0 && r.Time.Before(captured[i-1].Time))
	}
}

func TestUDPPeerMovesBlocksWithLibcoap(t *testing.T) {
	s := testenv.StartCoAPServer(t, "gnutls", "-d", "10")
	p := NewUDP(t)
	id := uint16(0)
	for at := 0; at < len(large); at += 512 {
		id++
		end := min(at+512, len(large))
		more := end < len(large)
		b := Block{Num: uint32(at / 512), More: more, SZX: 5}
		p.Send(s.Addr, Message{
			Type: CON, Code: PUT, ID: id, Token: []byte("put"),
			Options: append(Path("large"), b.Option(Block1)), Payload: large[at:end],
		})
		want := Continue
		if !more && testenv.CoAPClientTakes(t, 'w') {
			want = Created
		} else if !more { // 4.2.1 has made it with the first block
			want = Changed
		}
		p.ExpectReply(t, ACK, want, id)
	}

	var body []byte
	for b := (Block{SZX: 6, More: true}); b.More; b.Num++ {
		id++
		p.Send(s.Addr, get(id, "large", Block{Num: b.Num, SZX: 6}.Option(Block2)))
		got := p.ExpectReply(t, ACK, Content, id)
		received, ok := got.Block(Block2)
		require.True(t, ok)
		require.Equal(t, b.Num, received.Num)
		b.More = received.More
		body = append(body, got.Payload...)
	}
	assert.Equal(t, large, body)
}

func TestUDPPeerObservesLibcoap(t *testing.T) {
	t.Parallel()
	if !testenv.CoAPClientTakes(t, 'w') {
		t.Skip("the server of 4.2.1 notifies when it has something else to do")
	}
	s := testenv.StartCoAPServer(t, "gnutls")
	p := NewUDP(t)
	p.Send(s.Addr, get(1, "time", Uint(Observe, 0)))
	last, ok := p.ExpectReply(t, ACK, Content, 1).Uint(Observe)
	require.True(t, ok)
	for range 2 {
		n := p.Expect(t, CON, Content)
		seq, ok := n.Uint(Observe)
		require.True(t, ok)
		assert.Greater(t, seq, last)
		last = seq
		p.Send(s.Addr, n.Acknowledge())
	}
	p.Send(s.Addr, p.Expect(t, CON, Content).Reset())
	p.Send(s.Addr, get(2, "time"))
	_, ok = p.ExpectReply(t, ACK, Content, 2).Option(Observe)
	assert.False(t, ok)
}

func TestUDPPeerIsAServerForLibcoap(t *testing.T) {
	p := NewUDP(t)
	p.Answer(func(r Received) []Message {
		switch r.Path() {
		case "separate":
			return []Message{r.Acknowledge(), r.Separate(CON, 77, Content, []byte("later"))}
		case "large":
			b, ok := r.Block(Block2)
			if !ok {
				b.SZX = 4
			}
			payload, option := block(b)
			return []Message{r.Respond(Content, payload, option)}
		}
		if r.Code == Empty {
			return nil
		}
		return []Message{r.Respond(NotFound, []byte("none of ours"))}
	})
	uri := "coap://" + p.Addr().String()

	got := testenv.RunCoAPClient(t, "gnutls", testenv.CoAPRequest{URI: uri + "/separate"})
	assert.Equal(t, "2.05", got.Code, got.Output)
	assert.Equal(t, "later", string(got.Body))
	var captured []Received
	require.Eventually(t, func() bool {
		captured = p.Captured()
		return len(captured) == 2
	}, 20*time.Second, time.Millisecond)
	assert.Equal(t, Message{Type: ACK, ID: 77}, captured[1].Message)

	got = testenv.RunCoAPClient(t, "gnutls", testenv.CoAPRequest{URI: uri + "/large"})
	assert.Equal(t, "2.05", got.Code, got.Output)
	assert.Equal(t, large, got.Body)
	assert.Equal(t, 2+(len(large)+255)/256, len(p.Captured()))

	got = testenv.RunCoAPClient(t, "gnutls", testenv.CoAPRequest{URI: uri + "/x"})
	assert.Equal(t, "4.04", got.Code, got.Output)
}

func TestUDPPeerNotifiesLibcoap(t *testing.T) {
	needNewlines(t)
	p := NewUDP(t)
	client := testenv.Start(t, "coap-client-gnutls", "-w", "-s", "20",
		"coap://"+p.Addr().String()+"/obs")
	r := p.Expect(t, CON, GET)
	register, ok := r.Uint(Observe)
	require.True(t, ok)
	require.Zero(t, register)
	p.Send(r.From, r.Respond(Content, []byte("one"), Uint(Observe, 1)))
	client.Expect(t, "one\n")
	p.Send(r.From, r.Separate(CON, 1000, Content, []byte("two"), Uint(Observe, 2)))
	p.ExpectReply(t, ACK, Empty, 1000)
	client.Expect(t, "two\n")
	p.Send(r.From, r.Separate(CON, 1001, NotFound, nil))
	p.ExpectReply(t, ACK, Empty, 1001)
	client.Expect(t, "4.04\n")
}

// A failing replaces a testing.TB in tests of what must fail.
type failing struct {
	testing.TB
	said chan string
}

func (f failing) Fatalf(format string, args ...any) {
	f.said <- fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// failure returns what a test that must fail says.
func failure(t *testing.T, test func(testing.TB)) string {
	said := make(chan string, 1)
	go func() {
		defer close(said)
		test(failing{t, said})
	}()
	return <-said
}

func TestExpectationsFail(t *testing.T) {
	p, other := NewUDP(t), NewUDP(t)
	other.Answer(func(r Received) []Message {
		if r.Code == Empty {
			return []Message{r.Reset()}
		}
		return []Message{{Type: NON, Code: Content, ID: 5, Token: r.Token}}
	})
	ask := func() { p.Send(other.Addr(), get(1, "")) }

	ask()
	assert.Equal(t, "waiting for NON 4.04: NON 2.05 id=5 token=01 came",
		failure(t, func(t testing.TB) { p.Expect(t, NON, NotFound) }))
	ask()
	assert.Equal(t, "waiting for NON 2.05 id=6 token=: NON 2.05 id=5 token=01 came",
		failure(t, func(t testing.TB) { p.ExpectReply(t, NON, Content, 6) }))
	ask()
	assert.Equal(t, "waiting for nothing: NON 2.05 id=5 token=01 came",
		failure(t, func(t testing.TB) { p.ExpectNothing(t, other.Addr(), 100) }))
	p.ExpectNothing(t, other.Addr(), 101)
	other.SendRaw(p.Addr(), []byte("bad"))
	assert.Equal(t, "coappeer: a datagram of 3 bytes: 626164",
		failure(t, func(t testing.TB) { p.Receive(t) }))

	ln := ListenTCP(t)
	client := DialTCP(t, ln.Addr())
	server := ln.Accept(t)
	client.Send(Message{Code: Ping}, Message{Code: Ping})
	assert.Contains(t, failure(t, func(t testing.TB) { server.Expect(t, CSM) }), "waiting for 7.01: ")
	assert.Contains(t, failure(t, func(t testing.TB) { server.ExpectClosed(t) }),
		"waiting for the end: ")
}

func TestTCPPeerIsAClientOfLibcoap(t *testing.T) {
	s := testenv.StartCoAPServer(t, "gnutls")
	p := DialTCP(t, s.Addr)
	csm := p.ExchangeCSM(t, Uint(MaxMessageSize, 1152))
	size, ok := csm.Uint(MaxMessageSize)
	assert.True(t, ok)
	assert.Greater(t, size, uint32(1152))
	p.Send(Message{Code: GET, Token: []byte("a")},
		Message{Code: GET, Token: []byte("b"), Options: Path("nowhere")})
	got := p.Expect(t, Content)
	assert.Equal(t, []byte("a"), got.Token)
	assert.Contains(t, string(got.Payload), welcome)
	assert.Equal(t, []byte("b"), p.Expect(t, NotFound).Token)
	p.ExpectNothing(t)
	assert.Len(t, p.Captured(), 4)
}

// needNewlines skips a test with a client that does not say where a payload ends.
func needNewlines(t *testing.T) {
	if !testenv.CoAPClientTakes(t, 'w') {
		t.Skip("the client does not have -w")
	}
}

func TestTCPPeerIsAServerForLibcoap(t *testing.T) {
	needNewlines(t)
	ln := ListenTCP(t)
	client := testenv.Start(t, "coap-client-gnutls", "-w", "coap+tcp://"+ln.Addr().String()+"/a/b")
	p := ln.Accept(t)
	p.ExchangeCSM(t)
	r := p.Expect(t, GET)
	assert.Equal(t, "a/b", r.Path())
	p.Send(r.Respond(Content, []byte("over TCP")))
	client.Expect(t, "over TCP\n")
	client.Wait(t)
	assert.Equal(t, io.EOF, p.ExpectClosed(t))
}

func TestTCPPeersTalkToEachOther(t *testing.T) {
	ln := ListenTCP(t)
	client := DialTCP(t, ln.Addr())
	server := ln.Accept(t)

	// A message in two parts, one that is bad, and one that is good.
	wire := Message{Code: PUT, Token: []byte("t"), Payload: large}.AppendTCP(nil)
	require.NoError(t, client.SendRaw(wire[:3]))
	require.NoError(t, client.SendRaw(wire[3:]))
	assert.Equal(t, large, server.Expect(t, PUT).Payload)
	require.NoError(t, client.SendRaw([]byte{0x10, byte(GET), 0xff}))
	assert.ErrorContains(t, server.ReceiveRaw(t).Err, "marker")
	client.Send(Message{Code: GET})
	assert.Equal(t, client.Addr(), server.Expect(t, GET).From)

	// Past a message of unknown length there is only garbage.
	require.NoError(t, client.SendRaw([]byte{0x0f, 1}))
	assert.ErrorContains(t, server.ReceiveRaw(t).Err, "reserved")
	client.Send(Message{Code: GET})
	assert.Error(t, server.ReceiveRaw(t).Err)

	server.Answer(func(Received) []Message { return nil })
	client.CloseWrite()
	server.Close()
	assert.Equal(t, io.EOF, client.ExpectClosed(t))
}

func TestAbandonedConnectionIsReset(t *testing.T) {
	ln := ListenTCP(t)
	client := DialTCP(t, ln.Addr())
	server := ln.Accept(t)
	client.Abandon()
	assert.ErrorIs(t, server.ExpectClosed(t), syscall.ECONNRESET)
}

// number is a message that carries its number.
func number(i int) Message { return Message{Type: NON, Code: POST, ID: uint16(i)} }

// pair returns a client and a server with a relay in between.
func pair(t *testing.T) (client, server *UDP, relay *Relay) {
	client, server = NewUDP(t), NewUDP(t)
	return client, server, NewRelay(t, server.Addr())
}

func TestRelayDoesWhatItsRuleSays(t *testing.T) {
	for _, test := range []struct {
		name string
		rule func(Datagram) Verdict
		want []uint16
	}{
		{"nothing", func(Datagram) Verdict { return Forward }, []uint16{0, 1, 2, 3, 4}},
		{"loses", func(d Datagram) Verdict {
			if d.N%2 == 1 {
				return Drop
			}
			return Forward
		}, []uint16{0, 2, 4}},
		{"doubles", func(d Datagram) Verdict {
			if d.ID == 1 {
				return Duplicate
			}
			return Forward
		}, []uint16{0, 1, 1, 2, 3, 4}},
		{"swaps", func(d Datagram) Verdict {
			if d.N == 0 || d.N == 3 {
				return Swap
			}
			return Forward
		}, []uint16{1, 0, 2, 4, 3}},
		{"swaps past what is lost", func(d Datagram) Verdict {
			return []Verdict{Swap, Drop, Swap, Forward, Forward}[d.N]
		}, []uint16{3, 0, 2, 4}},
		{"repeats", func(d Datagram) Verdict {
			return []Verdict{Repeat, Repeat, Forward, Repeat, Forward}[d.N]
		}, []uint16{0, 1, 0, 2, 1, 3, 4, 3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, server, relay := pair(t)
			relay.Rule(test.rule)
			for i := range 5 {
				client.Send(relay.Addr(), number(i))
			}
			var from netip.AddrPort
			for _, id := range test.want {
				r := server.Expect(t, NON, POST)
				assert.Equal(t, id, r.ID)
				from = r.From
			}
			// What comes back has a count of its own.
			relay.Rule(func(d Datagram) Verdict {
				assert.Equal(t, ToClient, d.Direction)
				assert.Zero(t, d.N)
				return Forward
			})
			server.Send(from, number(9))
			r := client.Expect(t, NON, POST)
			assert.Equal(t, relay.Addr(), r.From)
			assert.Equal(t, uint16(9), r.ID)
			assert.Len(t, server.Captured(), len(test.want))

			captured := relay.Captured()
			require.Len(t, captured, 6)
			for i, d := range captured[:5] {
				assert.Equal(t, uint16(i), d.ID)
				assert.Equal(t, client.Addr(), d.From)
				assert.Equal(t, test.rule(d), d.Verdict)
			}
		})
	}
}

func TestRelayHoldsUntilItIsToldToDeliver(t *testing.T) {
	client, server, relay := pair(t)
	relay.Rule(func(d Datagram) Verdict {
		if d.ID < 3 {
			return Hold
		}
		return Forward
	})
	for i := range 4 {
		client.Send(relay.Addr(), number(i))
	}
	assert.Equal(t, uint16(3), server.Receive(t).ID)
	relay.AwaitHeld(t, 3)
	relay.Deliver()
	for want := range uint16(3) {
		assert.Equal(t, want, server.Receive(t).ID)
	}
	for i := range 2 {
		client.Send(relay.Addr(), number(i))
	}
	relay.AwaitHeld(t, 2)
	relay.DeliverReversed()
	assert.Equal(t, uint16(1), server.Receive(t).ID)
	assert.Equal(t, uint16(0), server.Receive(t).ID)
}

func TestRelayKeepsClientsApart(t *testing.T) {
	server := NewUDP(t)
	relay := NewRelay(t, server.Addr())
	server.Answer(func(r Received) []Message { return []Message{r.Respond(Content, r.Payload)} })
	for _, name := range []string{"a", "b"} {
		client := NewUDP(t)
		m := get(1, "")
		m.Payload = []byte(name)
		client.Send(relay.Addr(), m)
		assert.Equal(t, name, string(client.ExpectReply(t, ACK, Content, 1).Payload))
	}
	captured := server.Captured()
	require.Len(t, captured, 2)
	assert.NotEqual(t, captured[0].From, captured[1].From)
}

func TestLibcoapGetsThroughALossyRelay(t *testing.T) {
	t.Parallel()
	s := testenv.StartCoAPServer(t, "gnutls", testenv.CoAPServerPSK("secret")...)
	t.Run("request lost once", func(t *testing.T) {
		relay := NewRelay(t, s.Addr)
		relay.Rule(func(d Datagram) Verdict {
			if d.Direction == ToServer && d.N == 0 {
				return Drop
			}
			return Forward
		})
		got := testenv.RunCoAPClient(t, "gnutls",
			testenv.CoAPRequest{URI: "coap://" + relay.Addr().String() + "/"})
		assert.Equal(t, "2.05", got.Code, got.Output)
		captured := relay.Captured()
		require.GreaterOrEqual(t, len(captured), 3)
		assert.Equal(t, captured[0].Data, captured[1].Data, "sent again")
	})
	t.Run("DTLS handshake doubled", func(t *testing.T) {
		relay := NewRelay(t, s.SecureAddr)
		relay.Rule(func(d Datagram) Verdict { return Duplicate })
		got := testenv.RunCoAPClient(t, "gnutls", testenv.CoAPRequest{
			URI: "coaps://" + relay.Addr().String() + "/", Args: testenv.CoAPClientPSK("client1", "secret"),
		})
		assert.Equal(t, "2.05", got.Code, got.Output)
		assert.True(t, strings.HasPrefix(string(got.Body), welcome))
		for _, d := range relay.Captured() {
			assert.Error(t, d.Err, "is not CoAP")
		}
	})
}
