package gnutls

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// A Write that waits for the handshake of a Read must not wait for what that Read waits for.
func TestWriteGoesOnWhenTheHandshakeOfAReadIsOver(t *testing.T) {
	_, s := connect(t, clientConfig(t), serverConfig(t))
	go s.Read(make([]byte, 1))
	assert.Eventually(t, func() bool { return len(s.reading.turn) == 1 }, 10*time.Second,
		time.Millisecond)
	// As a Write does that began before the handshake was over.
	assert.NoError(t, s.handshakeAlone(waitContext(t)))
}
