package coap

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func TestBodiesAreForgotten(t *testing.T) {
	ctx := newTestNode(t, &Config{MaxBody: 64})
	l := ctx.l
	var calls atomic.Int32
	addr := listenOn(t, ctx, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		calls.Add(1)
		w.Write(randomBytes(64))
	}))
	c := newScriptedClient(t, addr)
	first := c.ask(t, message(coappeer.GET, "", block2(0, false, 16)))
	require.Equal(t, coappeer.Content, first.Code)
	c.ask(t, message(coappeer.POST, "", block2(0, false, 16)))
	c.ask(t, put(kilobyte[:16], block1(0, true, 16)))
	age := func(d time.Duration) {
		l.look()
		for e := l.store.used.Front(); e != nil; e = e.Next() {
			b := e.Value.(*storedBody)
			b.at = b.at.Add(-d)
		}
		l.endLook()
		l.driver.poll(false)
	}
	age(exchangeLifetime / 2)
	assert.Equal(t, coappeer.Continue, c.ask(t, put(kilobyte[:16], block1(1, true, 16))).Code)
	assert.EqualValues(t, 2, calls.Load())

	age(exchangeLifetime)
	assert.Equal(t, coappeer.RequestEntityIncomplete, c.ask(t, put("1", block1(2, false, 16))).Code)
	assert.Equal(t, coappeer.RequestEntityIncomplete,
		c.ask(t, message(coappeer.POST, "", block2(1, false, 16))).Code, "a POST is not handled twice")
	again := c.ask(t, message(coappeer.GET, "", block2(1, false, 16)))
	assert.Equal(t, coappeer.Content, again.Code, "a GET may be")
	etag, _ := first.Option(coappeer.ETag)
	tag, _ := again.Option(coappeer.ETag)
	assert.Equal(t, etag, tag)
	assert.EqualValues(t, 3, calls.Load())

	for i := range byte(100) {
		c.ask(t, message(coappeer.GET, "", coappeer.Option{Number: coappeer.URIPath, Value: []byte{i}},
			block2(0, false, 16)))
	}
	l.look()
	defer l.endLook()
	assert.Equal(t, maxStoredTimes*64, l.store.bytes)
	assert.Equal(t, maxStoredTimes, l.store.used.Len())
}

func TestBodiesOfASessionThatEndsAreForgotten(t *testing.T) {
	ctx := newTestNode(t, nil)
	sessions := make(chan *Session, 1)
	addr := listenOn(t, ctx, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		sessions <- r.Session
		w.Write(randomBytes(5000))
	}))
	c := newScriptedClient(t, addr)
	c.ask(t, message(coappeer.GET, ""))
	receive(t, sessions).Close()
	ctx.l.look()
	defer ctx.l.endLook()
	assert.Zero(t, ctx.l.store.used.Len())
	assert.Zero(t, ctx.l.store.bytes)
}

func TestRequestThatGetsNoResponseIsForgotten(t *testing.T) {
	requests, goOn := make(chan *Request), make(chan struct{})
	ctx := newTestNode(t, nil)
	addr := listenOn(t, ctx, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		requests <- r
		<-goOn
	}))
	c := newScriptedClient(t, addr)
	noResponse := coappeer.Uint(coappeer.NoResponse, 2|8|16)
	c.ask(t, put(kilobyte, noResponse, block1(0, true, 1024)))
	last := put("end", noResponse, block1(1, false, 1024))
	for id := range uint16(2) {
		last.ID, last.Token = 100+id, []byte{byte(id)}
		c.Send(c.server, last)
	}
	r := receive(t, requests)
	assert.Equal(t, coappeer.BadRequest, c.ask(t, put("", coappeer.Uint(coappeer.Block2, 7))).Code,
		"what was sent before is taken")
	close(goOn)
	for range 2 {
		m := c.Receive(t)
		assert.Equal(t, m.Acknowledge(), m.Message)
		assert.Equal(t, c.server, m.From)
	}
	assert.Equal(t, coappeer.RequestEntityIncomplete, c.ask(t, last).Code)
	ctx.l.look()
	defer ctx.l.endLook()
	assert.Zero(t, r.Session.c.usage.requests)
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
			c.l.look()
			defer c.l.endLook()
			kept := 0
			for _, in := range c.recent.queue {
				kept += len(in.m.Body)
			}
			return c.usage.requests == 0 && kept == 0
		}, wait, time.Millisecond)
		cancel()
		receive(t, over)
	}
}
