package coap

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func newTestClient(t testing.TB, uri string, config *Config) *Client {
	t.Helper()
	c, err := NewClient(uri, config)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestEachMethod(t *testing.T) {
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		format, ok := r.Options.ContentFormat()
		fmt.Fprintf(w, "%v %s %v %d %v %s", r.Method, r.Options.Path(), r.Options.Queries(), format, ok,
			r.Body)
	}))
	s, c := connect(t, nil, addr, UDP), newTestClient(t, "coap://"+addr.String(), nil)
	type send = func(context.Context, string, ContentFormat, []byte) (*Response, error)
	for method, sends := range map[Code][]send{
		MethodPut: {s.Put, c.Put}, MethodPost: {s.Post, c.Post}, MethodFetch: {s.Fetch, c.Fetch},
		MethodPatch: {s.Patch, c.Patch}, MethodIPatch: {s.IPatch, c.IPatch},
	} {
		for _, send := range sends {
			r, err := send(waitContext(t), "/a%20b/c?d=e&f", TextPlain, []byte("the body"))
			require.NoError(t, err)
			assert.Equal(t, method.String()+" /a%20b/c [d=e f] 0 true the body", string(r.Body))
		}
	}
	for method, gets := range map[Code][]func(context.Context, string) (*Response, error){
		MethodGet: {s.Get, c.Get}, MethodDelete: {s.Delete, c.Delete},
	} {
		for _, get := range gets {
			r, err := get(waitContext(t), "a")
			require.NoError(t, err)
			assert.Equal(t, method.String()+" /a [] 0 false ", string(r.Body))
		}
	}
	_, err := c.Get(waitContext(t), "/%zz")
	assert.ErrorContains(t, err, "%zz")
}

func TestClientDialsAgain(t *testing.T) {
	server := newTestNode(t, nil)
	addr := listenOn(t, server, TCP, hello)
	c := newTestClient(t, "coap+tcp://"+addr.String(), nil)
	first, err := c.Session(waitContext(t))
	require.NoError(t, err)
	defer first.Release()
	r, err := c.Get(waitContext(t), "/")
	require.NoError(t, err)
	assert.Equal(t, "hello", string(r.Body))

	require.NoError(t, server.Close())
	receive(t, first.Done())
	_, err = c.Get(waitContext(t), "/")
	require.ErrorIs(t, err, ErrUnreachable)

	again := newTestNode(t, nil)
	again.Handle(hello)
	_, err = again.Listen(addr, TCP)
	require.NoError(t, err)
	_, err = c.Get(waitContext(t), "/")
	require.NoError(t, err)
	second, err := c.Session(waitContext(t))
	require.NoError(t, err)
	defer second.Release()
	assert.NotSame(t, first, second)
}

func TestClientLeavesASessionThatNobodyAcknowledges(t *testing.T) {
	t.Parallel()
	silent := coappeer.NewUDP(t)
	c := newTestClient(t, "coap://"+silent.Addr().String(),
		&Config{AckTimeout: time.Second, AckRandomFactor: 1.001, MaxRetransmit: 1})
	ports := map[uint16]bool{}
	for range 2 {
		_, err := c.Get(waitContext(t), "/")
		require.ErrorIs(t, err, ErrRetriesExhausted)
		ports[silent.Receive(t).From.Port()] = true
		silent.Receive(t)
	}
	assert.Len(t, ports, 2, "a new session each")
}

func TestClientOfManyGoroutinesHasOneSession(t *testing.T) {
	var mu sync.Mutex
	seen := map[netip.AddrPort]int{}
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		mu.Lock()
		seen[r.Session.RemoteAddr()]++
		mu.Unlock()
	}))
	c := newTestClient(t, "coap+tcp://"+addr.String(), nil)
	var group sync.WaitGroup
	for range 20 {
		group.Add(1)
		go func() {
			defer group.Done()
			_, err := c.Get(waitContext(t), "/")
			assert.NoError(t, err)
		}()
	}
	group.Wait()
	require.Len(t, seen, 1)
	for _, n := range seen {
		assert.Equal(t, 20, n)
	}
}

func TestClosedClient(t *testing.T) {
	c := newTestClient(t, "coap://127.0.0.1", nil)
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	_, err := c.Get(waitContext(t), "/")
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.ErrorContains(t, err, "coap: dial coap://127.0.0.1")
	for _, err := range c.Observe(waitContext(t), get()) {
		assert.ErrorIs(t, err, net.ErrClosed)
	}
	_, err = NewClient("http://example.org", nil)
	assert.ErrorContains(t, err, "http")
}

func TestClientWaitsNoLongerThanTheContext(t *testing.T) {
	server := coappeer.ListenTCP(t) // accepts, and says nothing
	c := newTestClient(t, "coap+tcp://"+server.Addr().String(), nil)
	var group sync.WaitGroup
	ctx := within(t, 50*time.Millisecond)
	for range 3 { // one dials, the others wait for it
		group.Add(1)
		go func() {
			defer group.Done()
			_, err := c.Get(ctx, "/")
			assert.ErrorIs(t, err, context.DeadlineExceeded)
		}()
	}
	group.Wait()
}
