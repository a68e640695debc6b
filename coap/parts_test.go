package coap

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A message that is larger than the buffers of a connection goes out in parts, and
// those that were sent after it wait for its end.
func TestMessagesThatGoOutInParts(t *testing.T) {
	large, small := randomBytes(7<<20), []byte("small")
	bodies := make(chan []byte, 2)
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		bodies <- r.Body
		w.Write(r.Body)
	}))
	s := connect(t, nil, addr, TCP)
	require.NoError(t, s.Ready(waitContext(t)))
	ctx := waitContext(t)
	first := start(ctx, s, &Request{Method: MethodPost, Body: large})
	second := start(ctx, s, &Request{Method: MethodPost, Body: small})
	sizes := map[int][]byte{len(large): large, len(small): small}
	for range 2 {
		body := receive(t, bodies)
		assert.True(t, bytes.Equal(sizes[len(body)], body), "%d bytes", len(body))
	}
	for want, outcome := range map[*[]byte]<-chan outcome{&large: first, &small: second} {
		got := receive(t, outcome)
		require.NoError(t, got.err)
		assert.True(t, bytes.Equal(*want, got.Body), "%d bytes", len(got.Body))
	}
}
