package redisstore

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func inAnHour() time.Time { return time.Now().Add(time.Hour) }

func TestOptionsHaveDefaults(t *testing.T) {
	s, err := New(newClient(t, &redis.Options{}), Options{Key: newKey(t)})
	require.NoError(t, err)
	assert.Equal(t, 250*time.Millisecond, s.timeout)
	assert.Equal(t, "gnucoap:", s.prefix)
}

func TestNewRefusesWhatItCannotWorkWith(t *testing.T) {
	client := newClient(t, &redis.Options{})
	for _, c := range []struct {
		name   string
		client redis.UniversalClient
		opts   Options
		err    string
	}{
		{"no client", nil, Options{Key: newKey(t)}, "redisstore: no client"},
		{"no key", client, Options{}, "redisstore: Options.Key is not set"},
		{"negative timeout", client, Options{Key: newKey(t), Timeout: -1},
			"redisstore: Options.Timeout is -1ns"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := New(c.client, c.opts)
			assert.EqualError(t, err, c.err)
		})
	}
}

func TestStoresShareSessions(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	opts := Options{Key: newKey(t)}
	a, b := newStore(t, r.client(t, nil), opts), newStore(t, r.client(t, nil), opts)
	get := func(s *Store, id string) string {
		t.Helper()
		data, err := s.Get(ctx, []byte(id))
		require.NoError(t, err)
		return string(data)
	}

	assert.Empty(t, get(a, "one"))
	require.NoError(t, a.Put(ctx, []byte("one"), []byte("1"), inAnHour()))
	require.NoError(t, b.Put(ctx, []byte("two"), []byte("2"), inAnHour()))
	assert.Equal(t, "1", get(b, "one"))
	assert.Equal(t, "2", get(a, "two"))

	require.NoError(t, b.Put(ctx, []byte("one"), []byte("3"), inAnHour()))
	assert.Equal(t, "3", get(a, "one"))
	require.NoError(t, b.Delete(ctx, []byte("one")))
	require.NoError(t, b.Delete(ctx, []byte("one")))
	assert.Empty(t, get(a, "one"))
	assert.Equal(t, "2", get(a, "two"))

	data, err := a.Get(ctx, []byte("one"))
	require.NoError(t, err)
	assert.Nil(t, data)
}

func TestStoresWithOtherPrefixesAreApart(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	client, key := r.client(t, nil), newKey(t)
	byDefault, other := newStore(t, client, Options{Key: key}), newStore(t, client,
		Options{Key: key, Prefix: "other/"})
	require.NoError(t, byDefault.Put(ctx, []byte("a\n*"), []byte("1"), inAnHour()))
	require.NoError(t, other.Put(ctx, []byte("a\n*"), []byte("2"), inAnHour()))
	_, err := byDefault.Add(ctx, []byte("a\n*"), inAnHour())
	require.NoError(t, err)

	id := hex.EncodeToString([]byte("a\n*"))
	keys, err := client.Keys(ctx, "*").Result()
	require.NoError(t, err)
	assert.ElementsMatch(t,
		[]string{"gnucoap:session:" + id, "other/session:" + id, "gnucoap:early:" + id}, keys)
	for store, want := range map[*Store]string{byDefault: "1", other: "2"} {
		data, err := store.Get(ctx, []byte("a\n*"))
		require.NoError(t, err)
		assert.Equal(t, want, string(data))
	}
}

func TestEntriesExpire(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	client := r.client(t, nil)
	s := newStore(t, client, Options{Key: newKey(t)})
	id := []byte("id")

	require.NoError(t, s.Put(ctx, id, []byte("data"), inAnHour()))
	_, err := s.Add(ctx, id, inAnHour())
	require.NoError(t, err)
	for _, kind := range []string{"session:", "early:"} {
		ttl, err := client.PTTL(ctx, "gnucoap:"+kind+hex.EncodeToString(id)).Result()
		require.NoError(t, err)
		assert.InDelta(t, time.Hour, ttl, float64(wait), kind)
	}

	soon := []byte("soon")
	require.NoError(t, s.Put(ctx, soon, []byte("data"), time.Now().Add(200*time.Millisecond)))
	require.Eventually(t, func() bool {
		data, err := s.Get(ctx, soon)
		return assert.NoError(t, err) && data == nil
	}, wait, 10*time.Millisecond)
	data, err := s.Get(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, "data", string(data), "with an hour left")

	added, err := s.Add(ctx, soon, time.Now().Add(200*time.Millisecond))
	require.NoError(t, err)
	assert.True(t, added)
	require.Eventually(t, func() bool {
		added, err := s.Add(ctx, soon, inAnHour())
		return assert.NoError(t, err) && added
	}, wait, 10*time.Millisecond)
}

func TestWhatHasExpiredIsNotKept(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	client := r.client(t, nil)
	s := newStore(t, client, Options{Key: newKey(t)})
	past := time.Now().Add(-time.Second)
	assert.NoError(t, s.Put(ctx, []byte("id"), []byte("data"), past))
	added, err := s.Add(ctx, []byte("id"), past)
	assert.ErrorContains(t, err, "redisstore: recording early data: they expire at")
	assert.False(t, added)
	assert.Zero(t, client.DBSize(ctx).Val())
}

func TestAbsurdSizesAreRefused(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	client := r.client(t, nil)
	s := newStore(t, client, Options{Key: newKey(t)})
	for _, id := range [][]byte{nil, make([]byte, maxID+1)} {
		want := fmt.Sprintf("its ID has %d bytes, not 1 to 128", len(id))
		assert.ErrorContains(t, s.Put(ctx, id, []byte("data"), inAnHour()), want)
		_, err := s.Get(ctx, id)
		assert.ErrorContains(t, err, want)
		assert.ErrorContains(t, s.Delete(ctx, id), want)
		_, err = s.Add(ctx, id, inAnHour())
		assert.ErrorContains(t, err, want)
	}
	assert.ErrorContains(t, s.Put(ctx, []byte("id"), make([]byte, maxSession+1), inAnHour()),
		"131073 bytes")
	assert.Zero(t, client.DBSize(ctx).Val())

	largest := bytes.Repeat([]byte("x"), maxSession)
	id := bytes.Repeat([]byte{0xff}, maxID)
	require.NoError(t, s.Put(ctx, id, largest, inAnHour()))
	data, err := s.Get(ctx, id)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(largest, data))

	key, err := s.key("session:", id)
	require.NoError(t, err)
	require.NoError(t, client.Set(ctx, key, make([]byte, 8<<20), 0).Err())
	_, err = s.Get(ctx, id)
	assert.ErrorContains(t, err, "redisstore: fetching a session: it has more than 131101 bytes")
}

func TestSessionsInRedisCannotBeReadOrChanged(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	client := r.client(t, nil)
	key := newKey(t)
	s := newStore(t, client, Options{Key: key})
	id, secret := []byte("id"), []byte("a secret of the session")
	inRedis, err := s.key("session:", id)
	require.NoError(t, err)
	require.NoError(t, s.Put(ctx, id, secret, inAnHour()))
	sealed := client.Get(ctx, inRedis).Val()
	require.Len(t, sealed, sealOverhead+len(secret))
	assert.NotContains(t, sealed, "secret")

	refused := func(s *Store, id []byte, what string) {
		t.Helper()
		data, err := s.Get(ctx, id)
		assert.ErrorContains(t, err,
			"redisstore: fetching a session: it was made with another key, or changed", what)
		assert.Nil(t, data, what)
	}
	refused(newStore(t, client, Options{Key: newKey(t)}), id, "another key")
	for i := range sealed {
		changed := []byte(sealed)
		changed[i] ^= 1
		require.NoError(t, client.Set(ctx, inRedis, changed, 0).Err())
		refused(s, id, fmt.Sprint("changed at ", i))
	}
	for n := 1; n < len(sealed); n++ {
		require.NoError(t, client.Set(ctx, inRedis, sealed[:n], 0).Err())
		refused(s, id, fmt.Sprint("cut at ", n))
	}
	require.NoError(t, client.Set(ctx, inRedis, sealed+"x", 0).Err())
	refused(s, id, "longer")
	other, err := s.key("session:", []byte("other"))
	require.NoError(t, err)
	require.NoError(t, client.Set(ctx, other, sealed, 0).Err())
	refused(s, []byte("other"), "of another ID")

	require.NoError(t, client.Set(ctx, inRedis, sealed, 0).Err())
	data, err := s.Get(ctx, id)
	require.NoError(t, err)
	assert.Equal(t, secret, data)

	require.NoError(t, s.Put(ctx, id, secret, inAnHour()))
	assert.NotEqual(t, sealed, client.Get(ctx, inRedis).Val(), "a fresh nonce")
}

func TestAnIDIsAddedByOneStoreOnly(t *testing.T) {
	const goroutines, ids = 64, 20
	r, ctx := newRedis(t), waitContext(t)
	opts := Options{Key: newKey(t)}
	stores := []*Store{newStore(t, r.client(t, nil), opts), newStore(t, r.client(t, nil), opts)}
	for i := range ids {
		id := fmt.Appendf(nil, "hello %d", i)
		var added atomic.Int32
		start := make(chan struct{})
		var all sync.WaitGroup
		for g := range goroutines {
			all.Add(1)
			go func() {
				defer all.Done()
				<-start
				ok, err := stores[g%len(stores)].Add(ctx, id, inAnHour())
				assert.NoError(t, err)
				if ok {
					added.Add(1)
				}
			}()
		}
		close(start)
		all.Wait()
		assert.EqualValues(t, 1, added.Load())
	}
}

func TestStoreIsSafeForManyGoroutines(t *testing.T) {
	const goroutines, rounds, ids = 32, 20, 10
	r, ctx := newRedis(t), waitContext(t)
	s := newStore(t, r.client(t, nil), Options{Key: newKey(t)})
	var found atomic.Int32
	var all sync.WaitGroup
	for range goroutines {
		all.Add(1)
		go func() {
			defer all.Done()
			for range rounds {
				id := fmt.Appendf(nil, "%d", rand.N(ids))
				assert.NoError(t, s.Put(ctx, id, append([]byte("session "), id...), inAnHour()))
				data, err := s.Get(ctx, id)
				assert.NoError(t, err)
				if data != nil {
					found.Add(1)
					assert.Equal(t, "session "+string(id), string(data))
				}
				assert.NoError(t, s.Delete(ctx, id))
			}
		}()
	}
	all.Wait()
	assert.NotZero(t, found.Load())
}

// operations are the methods of a Store.
var operations = map[string]func(context.Context, *Store) error{
	"Put": func(ctx context.Context, s *Store) error {
		return s.Put(ctx, []byte("id"), []byte("data"), inAnHour())
	},
	"Get": func(ctx context.Context, s *Store) error {
		_, err := s.Get(ctx, []byte("id"))
		return err
	},
	"Delete": func(ctx context.Context, s *Store) error { return s.Delete(ctx, []byte("id")) },
	"Add": func(ctx context.Context, s *Store) error {
		added, err := s.Add(ctx, []byte("id"), inAnHour())
		if err != nil && added {
			return errors.New("added in spite of an error")
		}
		return err
	},
}

func TestRedisThatHangsCostsOneTimeout(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for name, operation := range operations {
		for _, honours := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/client that honours contexts=%t", name, honours), func(t *testing.T) {
				client := newClient(t,
					&redis.Options{Addr: silentServer(t), ContextTimeoutEnabled: honours, ReadTimeout: wait})
				s := newStore(t, client, Options{Key: newKey(t), Timeout: timeout})
				ctx := waitContext(t)
				start := time.Now()
				assert.ErrorContains(t, operation(ctx, s), "redis did not answer within 50ms")
				assert.GreaterOrEqual(t, time.Since(start), timeout)
				for range 100 {
					if err := operation(ctx, s); !assert.ErrorIs(t, err, ErrDown) {
						return
					}
				}
				assert.Less(t, time.Since(start), s.breaker.pause, "all of them")
			})
		}
	}
}

func TestStoreTriesAgainAfterAPause(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	s := newStore(t, r.client(t, nil), Options{Key: newKey(t), Timeout: time.Second})
	for _, operation := range operations {
		require.NoError(t, operation(ctx, s))
	}
	r.stop(t)
	require.Error(t, operations["Get"](ctx, s))
	for name, operation := range operations {
		assert.ErrorIs(t, operation(ctx, s), ErrDown, name)
	}
	r.start(t)
	require.Eventually(t, func() bool { return operations["Get"](ctx, s) == nil }, wait,
		10*time.Millisecond)
	for name, operation := range operations {
		assert.NoError(t, operation(ctx, s), name)
	}
}

func TestCallerThatGivesUpDoesNotMakeRedisDown(t *testing.T) {
	client := newClient(t, &redis.Options{Addr: silentServer(t)})
	s := newStore(t, client, Options{Key: newKey(t), Timeout: wait})
	for name, operation := range operations {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		assert.ErrorIs(t, operation(ctx, s), context.DeadlineExceeded, name)
		cancel()
		assert.ErrorIs(t, operation(ctx, s), context.DeadlineExceeded, name)
		assert.True(t, s.breaker.allow(time.Now()), name)
	}
}

func TestFullRedisCanStillBeRead(t *testing.T) {
	r, ctx := newRedis(t), waitContext(t)
	client := r.client(t, nil)
	s := newStore(t, client, Options{Key: newKey(t)})
	require.NoError(t, s.Put(ctx, []byte("id"), []byte("data"), inAnHour()))
	require.NoError(t, client.ConfigSet(ctx, "maxmemory", "1").Err())

	assert.ErrorContains(t, s.Put(ctx, []byte("another"), []byte("data"), inAnHour()), "OOM")
	_, err := s.Add(ctx, []byte("another"), inAnHour())
	assert.ErrorContains(t, err, "OOM")
	data, err := s.Get(ctx, []byte("id"))
	require.NoError(t, err)
	assert.Equal(t, "data", string(data))
}
