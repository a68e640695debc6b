package wire

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// RFC 7641, section 3.4: V1 came at T1, V2 at T2.
func TestFreshnessOfNotifications(t *testing.T) {
	const half, last = 1 << 23, 1<<24 - 1
	for _, tc := range []struct {
		name   string
		v1, v2 uint32
		after  time.Duration
		isNew  bool
	}{
		{"next", 5, 6, 0, true},
		{"one was lost", 5, 7, time.Second, true},
		{"same", 5, 5, time.Second, false},
		{"overtaken", 6, 5, time.Second, false},
		{"just below half ahead", 0, half - 1, 0, true},
		{"half ahead", 0, half, 0, false},
		{"just above half ahead is behind", 0, half + 1, 0, false},
		{"just below half behind", half - 1, 0, 0, false},
		{"half behind", half, 0, 0, false},
		{"just above half behind is ahead", half + 1, 0, 0, true},
		{"wraps", last, 0, 0, true},
		{"wraps and skips", last - 2, 3, 0, true},
		{"overtaken at the wrap", 0, last, 0, false},
		{"overtaken, after 128 s", 6, 5, 128 * time.Second, false},
		{"overtaken, after more", 6, 5, 128*time.Second + 1, true},
		{"same, after more", 6, 6, 129 * time.Second, true},
		{"half ahead, after more", 0, half, 129 * time.Second, true},
		{"the clock went back", 6, 5, -time.Hour, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f Freshness
			now := time.Unix(1e9, 0)
			assert.True(t, f.Advance(tc.v1, now), "the first always is")
			assert.Equal(t, tc.isNew, f.Advance(tc.v2, now.Add(tc.after)))
		})
	}
}

func TestStaleNotificationLeavesNoTrace(t *testing.T) {
	var f Freshness
	now := time.Unix(1e9, 0)
	assert.True(t, f.Advance(10, now))
	assert.False(t, f.Advance(9, now.Add(100*time.Second)))
	assert.False(t, f.Advance(10, now.Add(128*time.Second)))
	assert.True(t, f.Advance(9, now.Add(129*time.Second)), "129 s after the last that was new")
	assert.False(t, f.Advance(9, now.Add(130*time.Second)))
}
