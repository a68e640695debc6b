package coap

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

func heapBytes() int {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

func TestLogOfRequestsKeepsNoBodies(t *testing.T) {
	const peers, each, size = 20, 100, 1000
	c := newTestNode(t, nil)
	handled := make(chan struct{}, peers*each)
	addr := listenOn(t, c, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { handled <- struct{}{} }))
	crowd := coappeer.NewCrowd(t)
	body := randomBytes(size)
	before := heapBytes()
	for i := range peers * each {
		m := from(i, "/")
		m.Code, m.Payload = coappeer.POST, body
		crowd.Send(i%peers, addr, m)
		receive(t, handled)
	}
	await(t, func() bool { return idle(c) })
	assert.Less(t, heapBytes()-before, peers*each*size, "less than the bodies alone")
	assert.Less(t, logged(c), peers*each*(entryBytes+64))
	assert.GreaterOrEqual(t, logged(c), peers*each*entryBytes)
}

// idle reports whether a context handles no request.
func idle(c *Node) bool {
	c.l.look()
	defer c.l.endLook()
	return c.l.service.handling == 0
}

func logged(c *Node) int {
	c.l.look()
	defer c.l.endLook()
	return c.l.requests.bytes
}

func TestLogOfASessionIsBounded(t *testing.T) {
	c := newTestNode(t, &Config{AddressValidation: ValidateNever})
	addr := listenOn(t, c, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { w.Write(make([]byte, 1000)) }))
	peer := coappeer.NewUDP(t)
	for i := range recentRequests {
		peer.Send(addr, coappeer.Message{Code: coappeer.GET, ID: uint16(i)})
		peer.Receive(t)
	}
	assert.LessOrEqual(t, logged(c), recentBytes)
	assert.Greater(t, logged(c), recentBytes/2)
	last := coappeer.Message{Code: coappeer.GET, ID: recentRequests - 1}
	peer.Send(addr, last)
	assert.Equal(t, coappeer.Content, peer.Receive(t).Code)
}

func TestLogOfAllSessionsIsBounded(t *testing.T) {
	const most = 100_000
	c := newTestNode(t, nil)
	c.l.requests.most = most
	handled := make(chan struct{}, 1)
	addr := listenOn(t, c, UDP,
		HandlerFunc(func(w ResponseWriter, r *Request) { handled <- struct{}{} }))
	crowd := coappeer.NewCrowd(t)
	for i := range 1000 {
		crowd.Send(i, addr, from(i, "/"))
		receive(t, handled)
	}
	await(t, func() bool { return idle(c) })
	assert.LessOrEqual(t, logged(c), most)
	assert.Greater(t, logged(c), most/2)
	c.l.look()
	defer c.l.endLook()
	entries, bytes := 0, 0
	for _, s := range c.l.conns {
		entries += len(s.recent.queue)
		bytes += s.recent.bytes
		require.Len(t, s.recent.byID, len(s.recent.queue))
	}
	assert.Equal(t, c.l.requests.bytes, bytes)
	assert.Positive(t, entries)
}
