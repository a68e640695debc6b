package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// What our server sends is judged here by the RFCs, message by message.

func request(code coappeer.Code, id uint16, path string,
	options ...coappeer.Option) coappeer.Message {
	return coappeer.Message{Type: coappeer.CON, Code: code, ID: id, Token: []byte("token"),
		Options: append(coappeer.Path(path), options...)}
}

func block(number uint16, num uint32, more bool, szx byte) coappeer.Option {
	return coappeer.Block{Num: num, More: more, SZX: szx}.Option(number)
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
		method coappeer.Code
		final  coappeer.Code
	}{
		"large-update": {coappeer.PUT, coappeer.Changed},
		"large-create": {coappeer.POST, coappeer.Created},
		"large-post":   {coappeer.POST, coappeer.Changed},
	} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			addr := startForWire(t)
			p := coappeer.NewUDP(t)
			first := request(test.method, 1, path, block(coappeer.Block1, 0, true, 2))
			first.Payload = []byte(strings.Repeat("x", 64))
			p.Send(addr, first)
			got, ok := p.ExpectReply(t, coappeer.ACK, coappeer.Continue, 1).Block(coappeer.Block1)
			assert.True(t, ok)
			assert.Equal(t, coappeer.Block{Num: 0, More: true, SZX: 2}, got)

			last := request(test.method, 2, path, block(coappeer.Block1, 1, false, 2))
			last.Payload = []byte("y")
			p.Send(addr, last)
			got, ok = p.ExpectReply(t, coappeer.ACK, test.final, 2).Block(coappeer.Block1)
			assert.True(t, ok)
			assert.Equal(t, coappeer.Block{Num: 1, SZX: 2}, got)
		})
	}
}

func TestBadBlocks(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	for name, test := range map[string]struct {
		method  coappeer.Code
		path    string
		option  coappeer.Option
		payload int
		want    coappeer.Code
	}{
		"PUT that starts in the middle": {coappeer.PUT, "large-update",
			block(coappeer.Block1, 1, true, 2), 64, coappeer.RequestEntityIncomplete},
		"POST that starts at its end": {coappeer.POST, "large-create",
			block(coappeer.Block1, 5, false, 2), 10, coappeer.RequestEntityIncomplete},
		"block past the end": {coappeer.GET, "large", block(coappeer.Block2, 2, false, 6),
			0, coappeer.BadRequest},
		"block far past the end": {coappeer.GET, "large",
			block(coappeer.Block2, 1<<20-1, false, 6), 0, coappeer.BadRequest},
		"block past the end, small": {coappeer.GET, "test", block(coappeer.Block2, 1, false, 6),
			0, coappeer.BadRequest},
		"reserved size asked for": {coappeer.GET, "large", block(coappeer.Block2, 0, false, 7),
			0, coappeer.BadRequest},
		"reserved size of PUT": {coappeer.PUT, "large-update",
			block(coappeer.Block1, 0, true, 7), 64, coappeer.BadRequest},
		"block that is not full": {coappeer.PUT, "large-update",
			block(coappeer.Block1, 0, true, 2), 63, coappeer.BadRequest},
		"large block without those before": {coappeer.PUT, "large-update",
			block(coappeer.Block1, 3, true, 6), 1024, coappeer.RequestEntityIncomplete},
	} {
		t.Run(name, func(t *testing.T) {
			p := coappeer.NewUDP(t)
			m := request(test.method, 7, test.path, test.option)
			if test.payload > 0 {
				m.Payload = []byte(strings.Repeat("x", test.payload))
			}
			p.Send(addr, m)
			p.ExpectReply(t, coappeer.ACK, test.want, 7)
		})
	}
}

func TestLastBlock(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	p.Send(addr, request(coappeer.GET, 1, "large", block(coappeer.Block2, 1, false, 6)))
	response := p.ExpectReply(t, coappeer.ACK, coappeer.Content, 1)
	got, _ := response.Block(coappeer.Block2)
	assert.Equal(t, coappeer.Block{Num: 1, SZX: 6}, got)
	assert.Equal(t, large[1024:], string(response.Payload))
}

func TestPing(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	p.Send(addr, coappeer.Message{Type: coappeer.CON, ID: 31})
	p.ExpectReply(t, coappeer.RST, coappeer.Empty, 31)
}

func TestSeparateResponse(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	p.Send(addr, request(coappeer.GET, 9, "separate"))
	p.ExpectReply(t, coappeer.ACK, coappeer.Empty, 9)
	response := p.Expect(t, coappeer.CON, coappeer.Content)
	assert.Equal(t, "token", string(response.Token))
	p.Send(addr, response.Acknowledge())

	m := request(coappeer.GET, 10, "separate")
	m.Type = coappeer.NON
	p.Send(addr, m)
	p.Expect(t, coappeer.NON, coappeer.Content)
}

func TestEmptyToken(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	m := request(coappeer.GET, 12, "test")
	m.Token = nil
	p.Send(addr, m)
	assert.Empty(t, p.ExpectReply(t, coappeer.ACK, coappeer.Content, 12).Token)
}

// A lost acknowledgement makes the client send the request again.
func TestRequestThatComesTwiceIsHandledOnce(t *testing.T) {
	t.Parallel()
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	m := request(coappeer.PUT, 16, "create1", coappeer.Option{Number: coappeer.IfNoneMatch})
	m.Payload = []byte("once")
	for range 3 {
		p.Send(addr, m)
		p.ExpectReply(t, coappeer.ACK, coappeer.Created, 16)
	}
}

// observer is a client that observes a path.
func observer(t testing.TB, addr netip.AddrPort, path string) *coappeer.UDP {
	t.Helper()
	p := coappeer.NewUDP(t)
	p.Send(addr, request(coappeer.GET, 1, path, coappeer.Uint(coappeer.Observe, 0)))
	response := p.ExpectReply(t, coappeer.ACK, coappeer.Content, 1)
	_, ok := response.Option(coappeer.Observe)
	require.True(t, ok, response)
	return p
}

func TestNotifications(t *testing.T) {
	for path, typ := range map[string]coappeer.Type{"obs": coappeer.CON, "obs-non": coappeer.NON,
		"obs-large": coappeer.CON} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			addr := startForWire(t)
			p := observer(t, addr, path)
			notification := p.Expect(t, typ, coappeer.Content)
			assert.Equal(t, "token", string(notification.Token))
			_, ok := notification.Option(coappeer.Observe)
			assert.True(t, ok, notification)
			b, large := notification.Block(coappeer.Block2)
			assert.Equal(t, path == "obs-large", large)
			assert.Equal(t, large, b.More)
		})
	}
}

// ended has everything acknowledged until a notification ends the observation, and
// checks its code.
func ended(t testing.TB, p *coappeer.UDP, addr netip.AddrPort, code coappeer.Code) {
	t.Helper()
	for {
		m := p.Receive(t)
		if m.Type == coappeer.CON {
			p.Send(addr, m.Acknowledge())
		}
		if string(m.Token) == "token" && m.Code != coappeer.Content {
			assert.Equal(t, code, m.Code)
			_, ok := m.Option(coappeer.Observe)
			assert.False(t, ok, m)
			return
		}
	}
}

func TestEndOfObservation(t *testing.T) {
	for name, test := range map[string]struct {
		method  coappeer.Code
		options []coappeer.Option
		payload string
		answer  coappeer.Code
		end     coappeer.Code
	}{
		"DELETE": {coappeer.DELETE, nil, "", coappeer.Deleted, coappeer.NotFound},
		"other format": {coappeer.PUT, []coappeer.Option{coappeer.Uint(coappeer.ContentFormat, 41)},
			"<obs/>", coappeer.Changed, coappeer.NotAcceptable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := startForWire(t)
			p := observer(t, addr, "obs")
			other := coappeer.NewUDP(t)
			m := request(test.method, 2, "obs", test.options...)
			if test.payload != "" {
				m.Payload = []byte(test.payload)
			}
			other.Send(addr, m)
			other.ExpectReply(t, coappeer.ACK, test.answer, 2)
			ended(t, p, addr, test.end)
		})
	}
}

func TestAcceptIsObeyed(t *testing.T) {
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	for i, path := range []string{"test", "separate", "query", "seg1/seg2/seg3", "validate", "large",
		"large-update", "link1", "path", "obs", "obs-large"} {
		id := uint16(100 + i)
		p.Send(addr, request(coappeer.GET, id, path, coappeer.Uint(coappeer.Accept, 60)))
		if path == "separate" {
			p.ExpectReply(t, coappeer.ACK, coappeer.Empty, id)
			p.Send(addr, p.Expect(t, coappeer.CON, coappeer.NotAcceptable).Acknowledge())
			continue
		}
		p.ExpectReply(t, coappeer.ACK, coappeer.NotAcceptable, id)
	}
}

func TestOneOfManyCreatesWithIfNoneMatch(t *testing.T) {
	addr := startForWire(t)
	const clients = 20
	codes := make(chan coappeer.Code, clients)
	for range clients {
		p := coappeer.NewUDP(t)
		p.Answer(func(r coappeer.Received) []coappeer.Message {
			codes <- r.Code
			return nil
		})
		m := request(coappeer.PUT, 23, "create1", coappeer.Option{Number: coappeer.IfNoneMatch})
		m.Payload = []byte("made")
		p.Send(addr, m)
	}
	count := make(map[coappeer.Code]int)
	for range clients {
		select {
		case code := <-codes:
			count[code]++
		case <-time.After(wait):
			require.Fail(t, "no response")
		}
	}
	assert.Equal(t,
		map[coappeer.Code]int{coappeer.Created: 1, coappeer.PreconditionFailed: clients - 1}, count)
}

func TestETagTellsFormatsApart(t *testing.T) {
	addr := startForWire(t)
	p := coappeer.NewUDP(t)
	tags := make(map[string]bool)
	for i, format := range []uint32{0, 41} {
		put := request(coappeer.PUT, uint16(2*i+1), "validate",
			coappeer.Uint(coappeer.ContentFormat, format))
		put.Payload = []byte("same")
		p.Send(addr, put)
		p.ExpectReply(t, coappeer.ACK, coappeer.Changed, put.ID)
		p.Send(addr, request(coappeer.GET, uint16(2*i+2), "validate"))
		tag, _ := p.ExpectReply(t, coappeer.ACK, coappeer.Content, uint16(2*i+2)).Option(coappeer.ETag)
		tags[string(tag)] = true
	}
	assert.Len(t, tags, 2)
}

// The resource goes back to its own format by itself: who observes the other one
// must not be told that state.
func TestNoNotificationInAnotherFormat(t *testing.T) {
	addr := startForWire(t)
	other := coappeer.NewUDP(t)
	m := request(coappeer.PUT, 2, "obs", coappeer.Uint(coappeer.ContentFormat, 41))
	m.Payload = []byte("<obs/>")
	other.Send(addr, m)
	other.ExpectReply(t, coappeer.ACK, coappeer.Changed, 2)
	p := observer(t, addr, "obs")
	ended(t, p, addr, coappeer.NotAcceptable)
	for _, m := range p.Captured() {
		if m.Code == coappeer.Content {
			format, _ := m.Uint(coappeer.ContentFormat)
			assert.Equal(t, uint32(41), format, m)
		}
	}
}
