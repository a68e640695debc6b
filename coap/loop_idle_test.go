package coap

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestIdleSessionsAreInOrderOfTheirUse(t *testing.T) {
	l := makeLoop(Config{MaxSessions: 2})
	s := &l.idle
	session := func(proved bool) *conn {
		c := &conn{l: l, server: true, address: address{verified: proved}}
		s.add(c)
		return c
	}
	stranger, first, second := session(false), session(true), session(true)
	assert.Equal(t, 1, s.tooMany())
	assert.Equal(t, stranger, s.strangers.oldest)
	assert.Equal(t, first, s.proved.oldest)
	first.noteAlive()
	assert.Equal(t, []*conn{second, first}, []*conn{s.proved.oldest, s.proved.newest})
	assert.WithinDuration(t, time.Now(), first.usage.alive, time.Minute)

	stranger.verify()
	assert.Zero(t, s.strangers.n)
	assert.Equal(t, stranger, s.proved.newest)
	s.remove(stranger)
	stranger.ended = net.ErrClosed
	s.touch(stranger)
	assert.Equal(t, 2, s.n(), "one that is over does not come back")
	assert.Zero(t, s.tooMany())

	second.usage.references = 1
	assert.False(t, second.idle())
	assert.True(t, first.idle())
	first.usage.requests = 1
	assert.False(t, first.idle())
	first.finishRequest()
	assert.True(t, first.idle())
	assert.Positive(t, s.sweep(), "none has been idle for long")
	assert.Equal(t, 2, s.n())
}
