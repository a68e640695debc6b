package coap

import (
	"bytes"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

var kilobyte = strings.Repeat("0123456789abcdef", 64)

func TestServerRefusesBlocks(t *testing.T) {
	const code400, code408, code413 = coappeer.BadRequest, coappeer.RequestEntityIncomplete,
		coappeer.RequestEntityTooLarge
	short := kilobyte[:64]
	type step struct {
		request coappeer.Message
		code    coappeer.Code
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a transfer that starts in the middle", []step{
			{put(short, block1(1, true, 64)), code408},
		}},
		{"a last block without the others", []step{
			{put(short, block1(7, false, 64)), code408},
		}},
		{"a gap", []step{
			{put(short, block1(0, true, 64)), coappeer.Continue},
			{put(short, block1(2, true, 64)), code408},
		}},
		{"an old block, and goes on", []step{
			{put(short, block1(0, true, 64)), coappeer.Continue},
			{put(short, block1(1, true, 64)), coappeer.Continue},
			{put(short, block1(2, true, 64)), coappeer.Continue},
			{put(short, block1(1, true, 64)), coappeer.Continue},
			{put("end", block1(3, false, 64)), coappeer.Changed},
			{put(short, block1(2, true, 64)), coappeer.Continue},
			{put("end", block1(3, false, 64)), coappeer.Changed},
		}},
		{"an old block that is another one, and goes on", []step{
			{put(short, block1(0, true, 64)), coappeer.Continue},
			{put(short, block1(1, true, 64)), coappeer.Continue},
			{put(short, block1(2, true, 64)), coappeer.Continue},
			{put(kilobyte[1:65], block1(1, true, 64)), code408},
			{put("end", block1(3, false, 64)), coappeer.Changed},
		}},
		{"a reserved block size", []step{
			{put(short, coappeer.Uint(coappeer.Block1, 0x0f)), code400},
		}},
		{"a reserved block size of the response", []step{
			{put("", coappeer.Uint(coappeer.Block2, 0x07)), code400},
		}},
		{"a block that is too short", []step{
			{put("short", block1(0, true, 64)), code400},
		}},
		{"a block that is too long", []step{
			{put(short+"1", block1(0, true, 64)), code400},
		}},
		{"a last block that is too long", []step{
			{put(short, block1(0, true, 64)), coappeer.Continue},
			{put(short+"1", block1(1, false, 64)), code400},
		}},
		{"a body that is announced as too large", []step{
			{put(short, block1(0, true, 64), coappeer.Uint(coappeer.Size1, 4096)), code413},
			{put(short, block1(1, true, 64)), code408},
		}},
		{"a body that gets too large", []step{
			{put(kilobyte, block1(0, true, 1024)), coappeer.Continue},
			{put(kilobyte, block1(1, true, 1024)), coappeer.Continue},
			{put("1", block1(2, false, 1024)), code413},
			{put("1", block1(1, false, 1024)), code408},
		}},
		{"another transfer's block", []step{
			{put(short, block1(0, true, 64)), coappeer.Continue},
			{put(short, block1(1, true, 64), coappeer.String(coappeer.RequestTag, "\x01")), code408},
			{put("end", block1(1, false, 64)), coappeer.Changed},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newScriptedClient(t,
				listen(t, &Config{MaxBody: 2048}, UDP, HandlerFunc(func(ResponseWriter, *Request) {})))
			for _, s := range test.steps {
				got := c.ask(t, s.request)
				require.Equal(t, s.code, got.Code, got)
				sent, ok := s.request.Block(coappeer.Block1)
				if echoed, has := got.Block(coappeer.Block1); ok && sent.SZX != 7 {
					require.True(t, has, "the response has a Block1 option")
					assert.NotEqual(t, byte(7), echoed.SZX)
					assert.Equal(t, sent.Num, echoed.Num)
					assert.Equal(t, s.code == coappeer.Continue, echoed.More)
				}
				if s.code == code413 {
					limit, _ := got.Option(coappeer.Size1)
					assert.Equal(t, []byte{0x08, 0x00}, limit)
				}
			}
		})
	}
}

func TestServerAsksForSmallerBlocks(t *testing.T) {
	body := kilobyte + "end"
	c := newScriptedClient(t,
		listen(t, &Config{BlockSize: 256}, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
			assert.Equal(t, body, string(r.Body))
			w.SetCode(CodeCreated)
		})))
	got := c.ask(t, put(body[:1024], block1(0, true, 1024)))
	assert.Equal(t, message(coappeer.Continue, "", block1(0, true, 256)), got)
	got = c.ask(t, put(body[1024:], block1(4, false, 256)))
	assert.Equal(t, message(coappeer.Created, "", block1(4, false, 256)), got)
}

func TestErrorsAcknowledgeTheLastBlock(t *testing.T) {
	c := newScriptedClient(t,
		listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { w.SetCode(CodeNotFound) })))
	c.ask(t, put(kilobyte, block1(0, true, 1024)))
	got := c.ask(t, put("1", block1(1, false, 1024)))
	assert.Equal(t, message(coappeer.NotFound, "", block1(1, false, 1024)), got)
}

func TestRepeatedBlocksGetTheSameAnswer(t *testing.T) {
	var calls atomic.Int32
	c := newScriptedClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		calls.Add(1)
		assert.Len(t, r.Body, 2048+3)
		w.Write([]byte("done"))
	})))
	for _, b := range []coappeer.Message{put(kilobyte, block1(0, true, 1024)),
		put(kilobyte, block1(1, true, 1024)), put("end", block1(2, false, 1024))} {
		first := c.ask(t, b)
		assert.Equal(t, first, c.ask(t, b), "in another message")
		c.id-- // the same message
		assert.Equal(t, first, c.ask(t, b))
	}
	assert.EqualValues(t, 1, calls.Load())
}

func TestLastBlockThatComesAgainWaitsForTheResponse(t *testing.T) {
	go1, called := make(chan struct{}), make(chan struct{})
	c := newScriptedClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		close(called) // panics when it is called twice
		<-go1
	})))
	c.ask(t, put(kilobyte, block1(0, true, 1024)))
	last := put("end", block1(1, false, 1024))
	last.Type = coappeer.NON
	for id := range uint16(2) {
		last.ID, last.Token = 100+id, []byte{byte(id)}
		c.Send(c.server, last)
	}
	receive(t, called)
	assert.Equal(t, coappeer.BadRequest, c.ask(t, put("", coappeer.Uint(coappeer.Block2, 7))).Code,
		"what was sent before is taken")
	close(go1)
	tokens := map[byte]bool{}
	for range 2 {
		m := c.Receive(t)
		assert.Equal(t, coappeer.Changed, m.Code)
		tokens[m.Token[0]] = true
	}
	assert.Len(t, tokens, 2)
}

func TestTransfersOfTwoClientsDoNotMix(t *testing.T) {
	bodies := make(chan string, 2)
	addr := listen(t, nil, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { bodies <- string(r.Body) }))
	a, b := newScriptedClient(t, addr), newScriptedClient(t, addr)
	a.ask(t, put(strings.Repeat("a", 64), block1(0, true, 64)))
	b.ask(t, put(strings.Repeat("b", 64), block1(0, true, 64)))
	a.ask(t, put("A", block1(1, false, 64)))
	b.ask(t, put("B", block1(1, false, 64)))
	assert.Equal(t, strings.Repeat("a", 64)+"A", receive(t, bodies))
	assert.Equal(t, strings.Repeat("b", 64)+"B", receive(t, bodies))
}

func TestBlocksOfAResponseAreOfOneRepresentation(t *testing.T) {
	for _, method := range []coappeer.Code{coappeer.GET, coappeer.POST} {
		t.Run(method.String(), func(t *testing.T) {
			var calls atomic.Int32
			body := randomBytes(2500)
			c := newScriptedClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
				calls.Add(1)
				w.Write(body)
			})))
			first := c.ask(t, message(method, "", coappeer.Path("x")...))
			etag, ok := first.Option(coappeer.ETag)
			require.True(t, ok)
			size, _ := first.Uint(coappeer.Size2)
			assert.EqualValues(t, len(body), size)
			got := first.Payload
			ask := func(num uint32) coappeer.Message {
				return c.ask(t, message(method, "", append(coappeer.Path("x"), block2(num, false, 1024))...))
			}
			for num := range uint32(2) {
				next := ask(num + 1)
				tag, _ := next.Option(coappeer.ETag)
				assert.Equal(t, etag, tag)
				two, _ := next.Option(coappeer.Block2)
				assert.Equal(t, block2(num+1, num == 0, 1024).Value, two)
				_, again := next.Option(coappeer.Size2)
				assert.False(t, again)
				got = append(got, next.Payload...)
			}
			assert.True(t, bytes.Equal(body, got))
			past := ask(3)
			assert.Equal(t, coappeer.BadRequest, past.Code)
			assert.EqualValues(t, 1, calls.Load())
		})
	}
}

func TestServerHonoursTheBlockSizeAskedFor(t *testing.T) {
	addr := listen(t, nil, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte(kilobyte)) }))
	c := newScriptedClient(t, addr)
	got := c.ask(t, message(coappeer.GET, "", block2(0, false, 64)))
	two, _ := got.Option(coappeer.Block2)
	assert.Equal(t, block2(0, true, 64).Value, two)
	assert.Equal(t, kilobyte[:64], string(got.Payload))
	got = c.ask(t, message(coappeer.GET, "", block2(15, false, 64)))
	two, _ = got.Option(coappeer.Block2)
	assert.Equal(t, block2(15, false, 64).Value, two)
	assert.Equal(t, kilobyte[960:], string(got.Payload))
}

func TestSizeThatTheHandlerGivesIsToldOnce(t *testing.T) {
	body := randomBytes(3000)
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		w.Options().SetUint(OptionSize2, 3000)
		w.Write(body)
	}))
	s := connect(t, nil, addr, UDP)
	r, err := s.Do(waitContext(t), get())
	require.NoError(t, err)
	assert.Equal(t, body, r.Body)
	assert.Len(t, slices.Collect(r.Options.All(OptionSize2)), 1)
}
