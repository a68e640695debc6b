package redisstore

import (
	"sync"
	"time"
)

// A breaker keeps operations away from a redis that has failed, except for one after
// each pause, which finds out whether it works again.
type breaker struct {
	pause time.Duration

	mu    sync.Mutex // guards what follows
	down  bool
	retry time.Time // when the next operation may try, where down
}

// allow reports whether an operation may be tried.
func (b *breaker) allow(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.down {
		return true
	}
	if now.Before(b.retry) {
		return false
	}
	b.retry = now.Add(b.pause)
	return true
}

func (b *breaker) succeeded() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down = false
}

func (b *breaker) failed(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.down, b.retry = true, now.Add(b.pause)
}
