package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	peer "github.com/gnucoap/gnucoap/internal/coappeer"
)

// What our server sends is judged here by the RFCs, message by message.

func request(code peer.Code, id uint16, path string, options ...peer.Option) peer.Message {
	return peer.Message{Type: peer.CON, Code: code, ID: id, Token: []byte("token"), Options: append(peer.Path(path), options...)}
}

func block(number uint16, num uint32, more bool, szx byte) peer.Option {
	return peer.Block{Num: num, More: more, SZX: szx}.Option(number)
}

// startForWire returns where a server is, over UDP.
func startForWire(t *testing.T) netip.AddrPort {
	t.Helper()
	u, err := coap.ParseURI(startServer(t)[0])
	require.NoError(t, err)
	return netip.MustParseAddrPort(u.Address())
}

func TestBlock1StandsInTheFinalResponse(t *testing.T) {
	t.Parallel()
	for path, test := range map[string]struct {
		method peer.Code
		final  peer.Code
	}{
		"large-update": {peer.PUT, peer.Changed},
		"large-create": {peer.POST, peer.Created},
		"large-post":   {peer.POST, peer.Changed},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			addr := startForWire(t)
			p := peer.NewUDP(t)
			first := request(test.method, 1, path, block(peer.Block1, 0, true, 2))
			first.Payload = []byte(strings.Repeat("x", 64))
			p.Send(addr, first)
			got, ok := p.ExpectReply(t, peer.ACK, peer.Continue, 1).Block(peer.Block1)
			assert.True(t, ok)
			assert.Equal(t, peer.Block{Num: 0, More: true, SZX: 2}, got)

			last := request(test.method, 2, path, block(peer.Block1, 1, false, 2))
			last.Payload = []byte("y")
			p.Send(addr, last)
			got, ok = p.ExpectReply(t, peer.ACK, test.final, 2).Block(peer.Block1)
			assert.True(t, ok)
			assert.Equal(t, peer.Block{Num: 1, SZX: 2}, got)
		})
	}
}

func TestBadBlocks(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	for name, test := range map[string]struct {
		method  peer.Code
		path    string
		option  peer.Option
		payload int
		want    peer.Code
	}{
		"PUT that starts in the middle":    {peer.PUT, "large-update", block(peer.Block1, 1, true, 2), 64, peer.RequestEntityIncomplete},
		"POST that starts at its end":      {peer.POST, "large-create", block(peer.Block1, 5, false, 2), 10, peer.RequestEntityIncomplete},
		"block past the end":               {peer.GET, "large", block(peer.Block2, 2, false, 6), 0, peer.BadRequest},
		"block far past the end":           {peer.GET, "large", block(peer.Block2, 1<<20-1, false, 6), 0, peer.BadRequest},
		"block past the end, small":        {peer.GET, "test", block(peer.Block2, 1, false, 6), 0, peer.BadRequest},
		"reserved size asked for":          {peer.GET, "large", block(peer.Block2, 0, false, 7), 0, peer.BadRequest},
		"reserved size of PUT":             {peer.PUT, "large-update", block(peer.Block1, 0, true, 7), 64, peer.BadRequest},
		"block that is not full":           {peer.PUT, "large-update", block(peer.Block1, 0, true, 2), 63, peer.BadRequest},
		"large block without those before": {peer.PUT, "large-update", block(peer.Block1, 3, true, 6), 1024, peer.RequestEntityIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			p := peer.NewUDP(t)
			m := request(test.method, 7, test.path, test.option)
			if test.payload > 0 {
				m.Payload = []byte(strings.Repeat("x", test.payload))
			}
			p.Send(addr, m)
			p.ExpectReply(t, peer.ACK, test.want, 7)
		})
	}
}

func TestLastBlock(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := peer.NewUDP(t)
	p.Send(addr, request(peer.GET, 1, "large", block(peer.Block2, 1, false, 6)))
	response := p.ExpectReply(t, peer.ACK, peer.Content, 1)
	got, _ := response.Block(peer.Block2)
	assert.Equal(t, peer.Block{Num: 1, SZX: 6}, got)
	assert.Equal(t, large[1024:], string(response.Payload))
}

func TestPing(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := peer.NewUDP(t)
	p.Send(addr, peer.Message{Type: peer.CON, ID: 31})
	p.ExpectReply(t, peer.RST, peer.Empty, 31)
}

func TestSeparateResponse(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := peer.NewUDP(t)
	p.Send(addr, request(peer.GET, 9, "separate"))
	p.ExpectReply(t, peer.ACK, peer.Empty, 9)
	response := p.Expect(t, peer.CON, peer.Content)
	assert.Equal(t, "token", string(response.Token))
	p.Send(addr, response.Acknowledge())

	m := request(peer.GET, 10, "separate")
	m.Type = peer.NON
	p.Send(addr, m)
	p.Expect(t, peer.NON, peer.Content)
}

func TestEmptyToken(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := peer.NewUDP(t)
	m := request(peer.GET, 12, "test")
	m.Token = nil
	p.Send(addr, m)
	assert.Empty(t, p.ExpectReply(t, peer.ACK, peer.Content, 12).Token)
}

// A lost acknowledgement makes the client send the request again.
func TestRequestThatComesTwiceIsHandledOnce(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := peer.NewUDP(t)
	m := request(peer.PUT, 16, "create1", peer.Option{Number: peer.IfNoneMatch})
	m.Payload = []byte("once")
	for range 3 {
		p.Send(addr, m)
		p.ExpectReply(t, peer.ACK, peer.Created, 16)
	}
}

// observer is a client that observes a path.
func observer(t testing.TB, addr netip.AddrPort, path string) *peer.UDP {
	t.Helper()
	p := peer.NewUDP(t)
	p.Send(addr, request(peer.GET, 1, path, peer.Uint(peer.Observe, 0)))
	response := p.ExpectReply(t, peer.ACK, peer.Content, 1)
	_, ok := response.Option(peer.Observe)
	require.True(t, ok, response)
	return p
}

func TestNotifications(t *testing.T) {
	for path, typ := range map[string]peer.Type{"obs": peer.CON, "obs-non": peer.NON, "obs-large": peer.CON} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			addr := startForWire(t)
			p := observer(t, addr, path)
			notification := p.Expect(t, typ, peer.Content)
			assert.Equal(t, "token", string(notification.Token))
			_, ok := notification.Option(peer.Observe)
			assert.True(t, ok, notification)
			b, large := notification.Block(peer.Block2)
			assert.Equal(t, path == "obs-large", large)
			assert.Equal(t, large, b.More)
		})
	}
}

// ended has everything acknowledged until a notification ends the observation, and
// checks its code.
func ended(t testing.TB, p *peer.UDP, addr netip.AddrPort, code peer.Code) {
	t.Helper()
	for {
		m := p.Receive(t)
		if m.Type == peer.CON {
			p.Send(addr, m.Acknowledge())
		}
		if string(m.Token) == "token" && m.Code != peer.Content {
			assert.Equal(t, code, m.Code)
			_, ok := m.Option(peer.Observe)
			assert.False(t, ok, m)
			return
		}
	}
}

func TestEndOfObservation(t *testing.T) {
	for name, test := range map[string]struct {
		method  peer.Code
		options []peer.Option
		payload string
		answer  peer.Code
		end     peer.Code
	}{
		"DELETE":       {peer.DELETE, nil, "", peer.Deleted, peer.NotFound},
		"other format": {peer.PUT, []peer.Option{peer.Uint(peer.ContentFormat, 41)}, "<obs/>", peer.Changed, peer.NotAcceptable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := startForWire(t)
			p := observer(t, addr, "obs")
			other := peer.NewUDP(t)
			m := request(test.method, 2, "obs", test.options...)
			if test.payload != "" {
				m.Payload = []byte(test.payload)
			}
			other.Send(addr, m)
			other.ExpectReply(t, peer.ACK, test.answer, 2)
			ended(t, p, addr, test.end)
		})
	}
}

func TestAcceptIsObeyed(t *testing.T) {
	addr := startForWire(t)
	p := peer.NewUDP(t)
	for i, path := range []string{"test", "separate", "query", "seg1/seg2/seg3", "validate", "large", "large-update", "link1", "path", "obs", "obs-large"} {
		id := uint16(100 + i)
		p.Send(addr, request(peer.GET, id, path, peer.Uint(peer.Accept, 60)))
		if path == "separate" {
			p.ExpectReply(t, peer.ACK, peer.Empty, id)
			p.Send(addr, p.Expect(t, peer.CON, peer.NotAcceptable).Acknowledge())
			continue
		}
		p.ExpectReply(t, peer.ACK, peer.NotAcceptable, id)
	}
}

func TestOneOfManyCreatesWithIfNoneMatch(t *testing.T) {
	addr := startForWire(t)
	const clients = 20
	codes := make(chan peer.Code, clients)
	for range clients {
		p := peer.NewUDP(t)
		p.Answer(func(r peer.Received) []peer.Message {
			codes <- r.Code
			return nil
		})
		m := request(peer.PUT, 23, "create1", peer.Option{Number: peer.IfNoneMatch})
		m.Payload = []byte("made")
		p.Send(addr, m)
	}
	count := make(map[peer.Code]int)
	for range clients {
		select {
		case code := <-codes:
			count[code]++
		case <-time.After(wait):
			require.Fail(t, "no response")
		}
	}
	assert.Equal(t, map[peer.Code]int{peer.Created: 1, peer.PreconditionFailed: clients - 1}, count)
}

func TestETagTellsFormatsApart(t *testing.T) {
	addr := startForWire(t)
	p := peer.NewUDP(t)
	tags := make(map[string]bool)
	for i, format := range []uint32{0, 41} {
		put := request(peer.PUT, uint16(2*i+1), "validate", peer.Uint(peer.ContentFormat, format))
		put.Payload = []byte("same")
		p.Send(addr, put)
		p.ExpectReply(t, peer.ACK, peer.Changed, put.ID)
		p.Send(addr, request(peer.GET, uint16(2*i+2), "validate"))
		tag, _ := p.ExpectReply(t, peer.ACK, peer.Content, uint16(2*i+2)).Option(peer.ETag)
		tags[string(tag)] = true
	}
	assert.Len(t, tags, 2)
}

// The resource goes back to its own format by itself: who observes the other one
// must not be told that state.
func TestNoNotificationInAnotherFormat(t *testing.T) {
	addr := startForWire(t)
	other := peer.NewUDP(t)
	m := request(peer.PUT, 2, "obs", peer.Uint(peer.ContentFormat, 41))
	m.Payload = []byte("<obs/>")
	other.Send(addr, m)
	other.ExpectReply(t, peer.ACK, peer.Changed, 2)
	p := observer(t, addr, "obs")
	ended(t, p, addr, peer.NotAcceptable)
	for _, m := range p.Captured() {
		if m.Code == peer.Content {
			format, _ := m.Uint(peer.ContentFormat)
			assert.Equal(t, uint32(41), format, m)
		}
	}
}
