package coap

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPollTimerFiresAtTheEarliestTime(t *testing.T) {
	ticks := make(chan time.Time, 2)
	var timer pollTimer
	timer.init(func() { ticks <- time.Now() })
	defer timer.stop()
	begun := time.Now()
	timer.arm(0)
	assert.Zero(t, timer.due, "0 is never")
	timer.arm(time.Hour)
	due := timer.due
	assert.WithinDuration(t, begun.Add(time.Hour), due, time.Minute)
	timer.arm(2 * time.Hour)
	assert.Equal(t, due, timer.due, "it fires earlier anyway")
	timer.arm(10 * time.Millisecond)
	assert.GreaterOrEqual(t, (<-ticks).Sub(begun), 10*time.Millisecond)
	timer.arm(time.Hour)
	assert.True(t, timer.due.After(due), "it may be armed for later once it has fired")
}
