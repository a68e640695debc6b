package gnutls

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestFollowUpIsWaitedFor(t *testing.T) {
	var f followUp
	assert.False(t, f.begin())
	f.wait(wait) // there is nothing to wait for

	ended := make(chan struct{})
	f = followUp{done: make(chan struct{})}
	f.send = func() { <-ended; close(f.done) }
	assert.True(t, f.begin())
	assert.False(t, f.begin(), "once")
	f.wait(time.Millisecond)
	select {
	case <-f.done:
		t.Error("it has not ended")
	default:
	}
	close(ended)
	f.wait(wait)
	<-f.done
}
