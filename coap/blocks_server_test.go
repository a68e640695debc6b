package coap

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func put(body string) wireBlock {
	return wireBlock{MethodPut, Options{{OptionURIPath, []byte("x")}}, body}
}

var kilobyte = strings.Repeat("0123456789abcdef", 64)

func TestServerRefusesBlocks(t *testing.T) {
	const code400, code408, code413 = CodeBadRequest, CodeRequestEntityIncomplete, CodeRequestEntityTooLarge
	short := kilobyte[:64]
	type step struct {
		request wireBlock
		code    Code
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"a transfer that starts in the middle", []step{
			{put(short).one(1, true, 64), code408},
		}},
		{"a last block without the others", []step{
			{put(short).one(7, false, 64), code408},
		}},
		{"a gap", []step{
			{put(short).one(0, true, 64), CodeContinue},
			{put(short).one(2, true, 64), code408},
		}},
		{"an old block, and goes on", []step{
			{put(short).one(0, true, 64), CodeContinue},
			{put(short).one(1, true, 64), CodeContinue},
			{put(short).one(2, true, 64), CodeContinue},
			{put(short).one(1, true, 64), code408},
			{put("end").one(3, false, 64), CodeChanged},
		}},
		{"a reserved block size", []step{
			{put(short).with(OptionBlock1, []byte{0x0f}), code400},
		}},
		{"a reserved block size of the response", []step{
			{put("").with(OptionBlock2, []byte{0x07}), code400},
		}},
		{"a block that is too short", []step{
			{put("short").one(0, true, 64), code400},
		}},
		{"a block that is too long", []step{
			{put(short+"1").one(0, true, 64), code400},
		}},
		{"a last block that is too long", []step{
			{put(short).one(0, true, 64), CodeContinue},
			{put(short+"1").one(1, false, 64), code400},
		}},
		{"a body that is announced as too large", []step{
			{put(short).one(0, true, 64).with(OptionSize1, []byte{0x10, 0x00}), code413},
			{put(short).one(1, true, 64), code408},
		}},
		{"a body that gets too large", []step{
			{put(kilobyte).one(0, true, 1024), CodeContinue},
			{put(kilobyte).one(1, true, 1024), CodeContinue},
			{put("1").one(2, false, 1024), code413},
			{put("1").one(1, false, 1024), code408},
		}},
		{"another transfer's block", []step{
			{put(short).one(0, true, 64), CodeContinue},
			{put(short).one(1, true, 64).with(OptionRequestTag, []byte{1}), code408},
			{put("end").one(1, false, 64), CodeChanged},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newRawClient(t, listen(t, &Config{MaxBody: 2048}, UDP, HandlerFunc(func(ResponseWriter, *Request) {})))
			for _, s := range test.steps {
				got := c.ask(t, s.request)
				require.Equal(t, s.code, got.code, got.body)
				one, ok := s.request.options.Get(OptionBlock1)
				if echo, has := got.options.Get(OptionBlock1); ok && one[len(one)-1]&7 != 7 {
					require.True(t, has, "the response has a Block1 option")
					sent, _ := parseBlock(one)
					echoed, err := parseBlock(echo)
					require.NoError(t, err)
					assert.Equal(t, sent.num, echoed.num)
					assert.Equal(t, s.code == CodeContinue, echoed.more)
				}
				if s.code == code413 {
					limit, _ := got.options.Get(OptionSize1)
					assert.Equal(t, []byte{0x08, 0x00}, limit)
				}
			}
		})
	}
}

func TestServerAsksForSmallerBlocks(t *testing.T) {
	body := kilobyte + "end"
	c := newRawClient(t, listen(t, &Config{BlockSize: 256}, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		assert.Equal(t, body, string(r.Body))
		w.SetCode(CodeCreated)
	})))
	got := c.ask(t, put(body[:1024]).one(0, true, 1024))
	assert.Equal(t, wireBlock{code: CodeContinue}.one(0, true, 256), got)
	got = c.ask(t, put(body[1024:]).one(4, false, 256))
	assert.Equal(t, wireBlock{code: CodeCreated}.one(4, false, 256), got)
}

func TestErrorsAcknowledgeTheLastBlock(t *testing.T) {
	c := newRawClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { w.SetCode(CodeNotFound) })))
	c.ask(t, put(kilobyte).one(0, true, 1024))
	got := c.ask(t, put("1").one(1, false, 1024))
	assert.Equal(t, wireBlock{code: CodeNotFound}.one(1, false, 1024), got)
}

func TestRepeatedBlocksGetTheSameAnswer(t *testing.T) {
	var calls atomic.Int32
	c := newRawClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		calls.Add(1)
		assert.Len(t, r.Body, 2048+3)
		w.Write([]byte("done"))
	})))
	for _, b := range []wireBlock{put(kilobyte).one(0, true, 1024), put(kilobyte).one(1, true, 1024), put("end").one(2, false, 1024)} {
		first := c.ask(t, b)
		assert.Equal(t, first, c.ask(t, b), "in another message")
		c.id-- // the same message
		assert.Equal(t, first, c.ask(t, b))
	}
	assert.EqualValues(t, 1, calls.Load())
}

func TestLastBlockThatComesAgainWaitsForTheResponse(t *testing.T) {
	go1, called := make(chan struct{}), make(chan struct{})
	c := newRawClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		close(called) // panics when it is called twice
		<-go1
	})))
	c.ask(t, put(kilobyte).one(0, true, 1024))
	last := put("end").one(1, false, 1024).raw()
	for id := range uint16(2) {
		c.send(t, rawMessage{wireNON, byte(MethodPut), 100 + id, []byte{byte(id)}, last, c.server})
	}
	receive(t, called)
	assert.Equal(t, CodeBadRequest, c.ask(t, put("").with(OptionBlock2, []byte{7})).code, "what was sent before is taken")
	close(go1)
	tokens := map[byte]bool{}
	for range 2 {
		m := c.next(t)
		assert.Equal(t, CodeChanged, Code(m.code))
		tokens[m.token[0]] = true
	}
	assert.Len(t, tokens, 2)
}

func TestTransfersOfTwoClientsDoNotMix(t *testing.T) {
	bodies := make(chan string, 2)
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { bodies <- string(r.Body) }))
	a, b := newRawClient(t, addr), newRawClient(t, addr)
	a.ask(t, put(strings.Repeat("a", 64)).one(0, true, 64))
	b.ask(t, put(strings.Repeat("b", 64)).one(0, true, 64))
	a.ask(t, put("A").one(1, false, 64))
	b.ask(t, put("B").one(1, false, 64))
	assert.Equal(t, strings.Repeat("a", 64)+"A", receive(t, bodies))
	assert.Equal(t, strings.Repeat("b", 64)+"B", receive(t, bodies))
}

func TestBlocksOfAResponseAreOfOneRepresentation(t *testing.T) {
	for _, method := range []Code{MethodGet, MethodPost} {
		t.Run(method.String(), func(t *testing.T) {
			var calls atomic.Int32
			body := randomBytes(2500)
			c := newRawClient(t, listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
				calls.Add(1)
				w.Write(body)
			})))
			ask := wireBlock{code: method, options: Options{{OptionURIPath, []byte("x")}}}
			first := c.ask(t, ask)
			etag, ok := first.options.Get(OptionETag)
			require.True(t, ok)
			size, _ := first.options.Get(OptionSize2)
			assert.EqualValues(t, len(body), parseUint(size))
			got := first.body
			for num := range uint32(2) {
				next := c.ask(t, ask.two(num+1, false, 1024))
				tag, _ := next.options.Get(OptionETag)
				assert.Equal(t, etag, tag)
				two, _ := next.options.Get(OptionBlock2)
				assert.Equal(t, testBlock(num+1, num == 0, 1024), two)
				_, again := next.options.Get(OptionSize2)
				assert.False(t, again)
				got += next.body
			}
			assert.True(t, bytes.Equal(body, []byte(got)))
			past := c.ask(t, ask.two(3, false, 1024))
			assert.Equal(t, CodeBadRequest, past.code)
			assert.EqualValues(t, 1, calls.Load())
		})
	}
}

func TestServerHonoursTheBlockSizeAskedFor(t *testing.T) {
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) { w.Write([]byte(kilobyte)) }))
	c := newRawClient(t, addr)
	got := c.ask(t, wireBlock{code: MethodGet}.two(0, false, 64))
	two, _ := got.options.Get(OptionBlock2)
	assert.Equal(t, testBlock(0, true, 64), two)
	assert.Equal(t, kilobyte[:64], got.body)
	got = c.ask(t, wireBlock{code: MethodGet}.two(15, false, 64))
	two, _ = got.options.Get(OptionBlock2)
	assert.Equal(t, testBlock(15, false, 64), two)
	assert.Equal(t, kilobyte[960:], got.body)
}

func TestBodiesAreForgotten(t *testing.T) {
	ctx := newTestContext(t, &Config{MaxBody: 64})
	l := ctx.l
	var calls atomic.Int32
	ctx.Handle(HandlerFunc(func(w ResponseWriter, r *Request) {
		calls.Add(1)
		w.Write(randomBytes(64))
	}))
	addr, err := ctx.Listen(loopback, UDP)
	require.NoError(t, err)
	c := newRawClient(t, addr)
	get := wireBlock{code: MethodGet}
	post := wireBlock{code: MethodPost}
	first := c.ask(t, get.two(0, false, 16))
	require.Equal(t, CodeContent, first.code)
	c.ask(t, post.two(0, false, 16))
	c.ask(t, put(kilobyte[:16]).one(0, true, 16))
	age := func(d time.Duration) {
		l.mu.Lock()
		for e := l.store.used.Front(); e != nil; e = e.Next() {
			b := e.Value.(*stored)
			b.at = b.at.Add(-d)
		}
		l.mu.Unlock()
		l.poll(false)
	}
	age(exchangeLifetime / 2)
	assert.Equal(t, CodeContinue, c.ask(t, put(kilobyte[:16]).one(1, true, 16)).code)
	assert.EqualValues(t, 2, calls.Load())

	age(exchangeLifetime)
	assert.Equal(t, CodeRequestEntityIncomplete, c.ask(t, put("1").one(2, false, 16)).code)
	assert.Equal(t, CodeRequestEntityIncomplete, c.ask(t, post.two(1, false, 16)).code, "a POST is not handled twice")
	again := c.ask(t, get.two(1, false, 16))
	assert.Equal(t, CodeContent, again.code, "a GET may be")
	etag, _ := first.options.Get(OptionETag)
	tag, _ := again.options.Get(OptionETag)
	assert.Equal(t, etag, tag)
	assert.EqualValues(t, 3, calls.Load())

	for i := range byte(100) {
		c.ask(t, wireBlock{code: MethodGet, options: Options{{OptionURIPath, []byte{i}}}}.two(0, false, 16))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	assert.Equal(t, maxStoredTimes*64, l.store.bytes)
	assert.Equal(t, maxStoredTimes, l.store.used.Len())
}

func TestBodiesOfASessionThatEndsAreForgotten(t *testing.T) {
	ctx := newTestContext(t, nil)
	sessions := make(chan *Session, 1)
	ctx.Handle(HandlerFunc(func(w ResponseWriter, r *Request) {
		sessions <- r.Session
		w.Write(randomBytes(5000))
	}))
	addr, err := ctx.Listen(loopback, UDP)
	require.NoError(t, err)
	c := newRawClient(t, addr)
	c.ask(t, wireBlock{code: MethodGet})
	receive(t, sessions).Close()
	ctx.l.mu.Lock()
	defer ctx.l.mu.Unlock()
	assert.Zero(t, ctx.l.store.used.Len())
	assert.Zero(t, ctx.l.store.bytes)
}

func TestRequestThatGetsNoResponseIsForgotten(t *testing.T) {
	requests, goOn := make(chan *Request), make(chan struct{})
	ctx := newTestContext(t, nil)
	ctx.Handle(HandlerFunc(func(w ResponseWriter, r *Request) {
		requests <- r
		<-goOn
	}))
	addr, err := ctx.Listen(loopback, UDP)
	require.NoError(t, err)
	c := newRawClient(t, addr)
	nobody := []byte{2 | 8 | 16}
	c.ask(t, put(kilobyte).with(OptionNoResponse, nobody).one(0, true, 1024))
	last := put("end").with(OptionNoResponse, nobody).one(1, false, 1024)
	for id := range uint16(2) {
		c.send(t, rawMessage{wireCON, byte(MethodPut), 100 + id, []byte{byte(id)}, last.raw(), c.server})
	}
	r := receive(t, requests)
	assert.Equal(t, CodeBadRequest, c.ask(t, put("").with(OptionBlock2, []byte{7})).code, "what was sent before is taken")
	close(goOn)
	for range 2 {
		m := c.next(t)
		assert.Equal(t, rawMessage{typ: wireACK, id: m.id, token: []byte{}, rest: []byte{}, from: c.server}, m)
	}
	assert.Equal(t, CodeRequestEntityIncomplete, c.ask(t, last).code)
	ctx.l.mu.Lock()
	defer ctx.l.mu.Unlock()
	assert.Zero(t, r.Session.c.busy)
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

func TestUnansweredBodiesAreForgotten(t *testing.T) {
	for _, size := range []int{10, 5000} {
		sessions := make(chan *Session, 1)
		addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
			assert.Len(t, r.Body, size)
			sessions <- r.Session
		}))
		r := &Request{Method: MethodPost, Body: make([]byte, size)}
		r.Options.SetUint(OptionNoResponse, 2)
		ctx, cancel := context.WithCancel(waitContext(t))
		over := start(ctx, connect(t, nil, addr, UDP), r)
		c := receive(t, sessions).c
		assert.Eventually(t, func() bool {
			c.l.mu.Lock()
			defer c.l.mu.Unlock()
			kept := 0
			for _, in := range c.recent.ring {
				kept += len(in.m.Body)
			}
			return c.busy == 0 && kept == 0
		}, wait, time.Millisecond)
		cancel()
		receive(t, over)
	}
}
