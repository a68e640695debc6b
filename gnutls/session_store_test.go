package gnutls

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestStoreKeepsTheSessionsUsedLast(t *testing.T) {
	ctx := context.Background()
	store := NewSessionStore(2)
	later := time.Now().Add(time.Hour)
	get := func(id string) string {
		data, err := store.Get(ctx, []byte(id))
		require.NoError(t, err)
		return string(data)
	}
	require.NoError(t, store.Put(ctx, []byte("a"), []byte("1"), later))
	require.NoError(t, store.Put(ctx, []byte("b"), []byte("2"), later))
	assert.Equal(t, "1", get("a"))
	require.NoError(t, store.Put(ctx, []byte("c"), []byte("3"), later))
	assert.Equal(t, "1", get("a"))
	assert.Empty(t, get("b"), "the one used least has gone")
	assert.Equal(t, "3", get("c"))

	require.NoError(t, store.Put(ctx, []byte("a"), []byte("4"), later))
	assert.Equal(t, "4", get("a"))
	require.NoError(t, store.Delete(ctx, []byte("a")))
	require.NoError(t, store.Delete(ctx, []byte("a")))
	assert.Empty(t, get("a"))

	require.NoError(t, store.Put(ctx, []byte("old"), []byte("5"), time.Now().Add(-time.Second)))
	assert.Empty(t, get("old"))
}

func TestStoreCopiesWhatItIsGiven(t *testing.T) {
	ctx := context.Background()
	store := NewSessionStore(0)
	data := []byte("data")
	require.NoError(t, store.Put(ctx, []byte("id"), data, time.Now().Add(time.Hour)))
	data[0] = 'X'
	got, err := store.Get(ctx, []byte("id"))
	require.NoError(t, err)
	assert.Equal(t, "data", string(got))
}
