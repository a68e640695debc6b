package coap

import "time"

// A pollTimer has the loop polled at a time of our own: libcoap disarms its timer where the
// deadline has just passed.
type pollTimer struct {
	timer *time.Timer
	due   time.Time // zero: it is not armed
}

// init sets what the timer calls, on a goroutine of its own.
func (t *pollTimer) init(tick func()) {
	t.timer = time.AfterFunc(time.Hour, tick)
	t.timer.Stop()
}

// arm has the timer fire after a time, unless it fires earlier anyway: then the poll that
// follows arms it again. With 0 it does nothing.
func (t *pollTimer) arm(after time.Duration) {
	if after <= 0 {
		return
	}
	now := time.Now()
	due := now.Add(after)
	if t.due.After(now) && !due.Before(t.due) {
		return
	}
	t.due = due
	t.timer.Reset(after)
}

func (t *pollTimer) stop() { t.timer.Stop() }
