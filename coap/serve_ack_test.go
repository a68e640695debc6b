package coap

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestAckQueueWaitsForTheOldest(t *testing.T) {
	old := time.Now().Add(-time.Hour)
	open, over := &conn{}, &conn{ended: net.ErrClosed}
	waits := &serverRequest{c: open, at: time.Now()}
	var q ackQueue
	assert.Zero(t, q.send())
	for _, in := range []*serverRequest{
		{c: over, at: old},
		{c: open, at: old, acked: true},
		{c: open, at: old, answered: true},
		waits,
	} {
		q.add(in)
	}
	wait := q.send()
	assert.Positive(t, wait)
	assert.LessOrEqual(t, wait, ackDelay)
	assert.Equal(t, []*serverRequest{waits}, q.waiting, "what needs none is gone")
	waits.answered = true
	assert.Zero(t, q.send())
	assert.Empty(t, q.waiting)
}
