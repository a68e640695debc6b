package coap

import (
	"slices"
	"time"
)

// ackDelay is how long a confirmable request may wait for a piggybacked response.
// Then an empty acknowledgement goes out, well before the client sends the request
// again after 2 s, and the response follows as a message of its own (RFC 7252,
// section 5.2.2). Tests change it.
var ackDelay = 300 * time.Millisecond

// An ackQueue holds confirmable requests that may need an empty acknowledgement, the oldest
// first; some are answered.
type ackQueue struct{ waiting []*serverRequest }

func (q *ackQueue) add(in *serverRequest) { q.waiting = append(q.waiting, in) }

// send sends empty acknowledgements for the requests that have waited for their response for
// long enough, and returns when to call it again; 0: it need not.
func (q *ackQueue) send() time.Duration {
	for i, in := range q.waiting {
		if in.c.ended != nil || in.acked || in.answered {
			continue
		}
		if wait := ackDelay - time.Since(in.at); wait > 0 {
			q.waiting = slices.Delete(q.waiting, 0, i)
			return wait
		}
		in.acked = true
		in.sendEmpty()
	}
	q.waiting = slices.Delete(q.waiting, 0, len(q.waiting))
	return 0
}
