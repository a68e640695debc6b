package redisstore

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestBreakerLetsOneOperationTryInEachPause(t *testing.T) {
	const pause = time.Second
	b := breaker{pause: pause}
	start := time.Now()
	at := func(pauses float64) time.Time { return start.Add(time.Duration(pauses * float64(pause))) }

	assert.True(t, b.allow(at(0)))
	assert.True(t, b.allow(at(0)))
	b.failed(at(0))
	assert.False(t, b.allow(at(0)))
	assert.False(t, b.allow(at(0.9)))

	assert.True(t, b.allow(at(1)))
	assert.False(t, b.allow(at(1.9)), "one is on its way")
	assert.True(t, b.allow(at(2)), "it was given up")
	b.failed(at(2.5))
	assert.False(t, b.allow(at(3.4)))

	assert.True(t, b.allow(at(3.5)))
	b.succeeded()
	assert.True(t, b.allow(at(3.5)))
	assert.True(t, b.allow(at(3.5)))
}
