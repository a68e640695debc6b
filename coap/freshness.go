package coap

import "time"

// A freshness tells new notifications from those that were overtaken. The zero
// value has seen none.
type freshness struct {
	seen     bool
	sequence uint32 // 24 bits
	at       time.Time
}

// isNew reports whether a notification with a sequence number, which comes now, is
// newer than the last one that was, and notes it if so (RFC 7641, section 3.4).
func (f *freshness) isNew(sequence uint32, now time.Time) bool {
	const half = 1 << 23
	v1, v2 := f.sequence, sequence
	if f.seen && !(v1 < v2 && v2-v1 < half || v1 > v2 && v1-v2 > half || now.After(f.at.Add(128*time.Second))) {
		return false
	}
	*f = freshness{true, sequence, now}
	return true
}
