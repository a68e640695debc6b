package gnutls

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// An antiReplayAt is an AntiReplay in memory whose clock a test sets.
type antiReplayAt struct {
	t     *testing.T
	start time.Time
	clock time.Duration // since start
	*memoryAntiReplay
}

func newAntiReplayAt(t *testing.T, capacity int) *antiReplayAt {
	a := &antiReplayAt{t: t, start: time.Now(),
		memoryAntiReplay: NewAntiReplay(capacity).(*memoryAntiReplay)}
	a.now = func() time.Time { return a.start.Add(a.clock) }
	return a
}

func (a *antiReplayAt) try(id string, expires time.Duration) (bool, error) {
	return a.Add(context.Background(), []byte(id), a.start.Add(expires))
}

func (a *antiReplayAt) add(id string, expires time.Duration) bool {
	a.t.Helper()
	added, err := a.try(id, expires)
	require.NoError(a.t, err)
	return added
}

func TestAntiReplayAddsAnIDOnceUntilItExpires(t *testing.T) {
	a := newAntiReplayAt(t, 0)
	assert.True(t, a.add("a", 10*time.Second))
	assert.False(t, a.add("a", 10*time.Second))
	assert.True(t, a.add("b", 10*time.Second))

	a.clock = 10*time.Second - 1
	assert.False(t, a.add("a", 20*time.Second))
	a.clock = 10 * time.Second
	assert.True(t, a.add("a", 20*time.Second), "it has expired")
	assert.False(t, a.add("a", 20*time.Second))
}

func TestAntiReplayKeepsItsOwnCopyOfAnID(t *testing.T) {
	a := NewAntiReplay(0)
	id := []byte("a")
	for _, c := range "ab" {
		id[0] = byte(c)
		added, err := a.Add(context.Background(), id, time.Now().Add(time.Hour))
		require.NoError(t, err)
		assert.True(t, added)
	}
}

func TestAntiReplayRefusesWhenFull(t *testing.T) {
	a := newAntiReplayAt(t, 2)
	assert.True(t, a.add("a", 20*time.Second))
	assert.True(t, a.add("b", 10*time.Second))
	added, err := a.try("c", 30*time.Second)
	assert.ErrorIs(t, err, ErrAntiReplayFull)
	assert.False(t, added)
	assert.False(t, a.add("a", 30*time.Second), "it still knows what it has seen")

	a.clock = 10 * time.Second
	assert.True(t, a.add("c", 30*time.Second), "b has made room")
	_, err = a.try("d", 30*time.Second)
	assert.ErrorIs(t, err, ErrAntiReplayFull)
}

func TestAntiReplayHoldsByDefault65536(t *testing.T) {
	a := newAntiReplayAt(t, 0)
	for i := range 65536 {
		require.True(t, a.add(strconv.Itoa(i), time.Second))
	}
	_, err := a.try("another", time.Second)
	assert.ErrorIs(t, err, ErrAntiReplayFull)
}

func TestAntiReplayDropsWhatHasExpiredInWhateverOrder(t *testing.T) {
	const ids = 1000
	a := newAntiReplayAt(t, ids)
	for _, i := range rand.Perm(ids) {
		require.True(t, a.add(strconv.Itoa(i), time.Duration(i+1)*time.Second))
	}
	for _, passed := range []int{1, 2, 500, 999} {
		a.clock = time.Duration(passed) * time.Second
		assert.False(t, a.add(strconv.Itoa(ids-1), 2*ids*time.Second))
		assert.Len(t, a.seen, ids-passed)
		assert.Len(t, a.queue, ids-passed)
	}
}

func TestAntiReplayRefusesWhatItCannotRemember(t *testing.T) {
	a := NewAntiReplay(0)
	for _, expires := range []time.Time{{}, time.Unix(0, 0), time.Now().Add(-time.Second)} {
		added, err := a.Add(context.Background(), []byte("a"), expires)
		assert.ErrorContains(t, err, "which has passed")
		assert.False(t, added)
	}
}

func TestAntiReplayIsNotFooledByAClockSetBack(t *testing.T) {
	const window = 10 * time.Second
	a := newAntiReplayAt(t, 0)
	assert.True(t, a.add("a", window))
	a.clock = window
	assert.True(t, a.add("b", a.clock+window), "which makes it forget a")

	a.clock = 0
	added, err := a.try("a", window)
	assert.ErrorContains(t, err, "which has passed")
	assert.False(t, added, "a replay")

	a.clock = 1
	assert.True(t, a.add("c", a.clock+window), "it remembers all that expire now")
	assert.False(t, a.add("b", a.clock+window))
}

func TestAntiReplayAddsAnIDForOneGoroutineOnly(t *testing.T) {
	const goroutines, ids = 32, 200
	a := NewAntiReplay(ids)
	var added [ids]atomic.Int32
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for _, i := range rand.Perm(ids) {
				ok, err := a.Add(context.Background(), []byte(strconv.Itoa(i)), time.Now().Add(time.Hour))
				if !assert.NoError(t, err) {
					return
				}
				if ok {
					added[i].Add(1)
				}
			}
		}()
	}
	all.Wait()
	for i := range added {
		assert.EqualValues(t, 1, added[i].Load())
	}
}

func BenchmarkAntiReplay(b *testing.B) {
	a := NewAntiReplay(0).(*memoryAntiReplay)
	var clock time.Time
	a.now = func() time.Time { return clock }
	for i := range b.N {
		clock = clock.Add(time.Millisecond)
		if ok, err := a.Add(context.Background(), []byte(strconv.Itoa(i)),
			clock.Add(10*time.Second)); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}
