package wire

import "time"

// A Freshness tells new notifications from those that were overtaken (RFC 7641, section 3.4).
// The zero value has seen none.
type Freshness struct {
	seen     bool
	sequence uint32 // 24 bits
	at       time.Time
}

const (
	halfOfSequence = 1 << 23
	sequencePeriod = 128 * time.Second // after it any number is newer
)

// Advance reports whether a notification with a sequence number, which comes now, is newer
// than the newest one so far. If so it is the newest one from now on.
func (f *Freshness) Advance(sequence uint32, now time.Time) bool {
	if f.seen && !f.isBefore(sequence) && !now.After(f.at.Add(sequencePeriod)) {
		return false
	}
	*f = Freshness{true, sequence, now}
	return true
}

// isBefore compares numbers that begin again at 0.
func (f *Freshness) isBefore(sequence uint32) bool {
	v1, v2 := f.sequence, sequence
	return v1 < v2 && v2-v1 < halfOfSequence || v1 > v2 && v1-v2 > halfOfSequence
}
