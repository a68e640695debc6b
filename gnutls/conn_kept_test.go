package gnutls

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestKeptDataComeInOrder(t *testing.T) {
	var k keptData
	p := make([]byte, 4)
	assert.Zero(t, k.take(p))
	data := []byte("hello")
	k.add(data)
	data[0] = 'x'
	k.add([]byte(" w"))
	assert.Equal(t, 4, k.take(p))
	assert.Equal(t, "hell", string(p))
	assert.True(t, k.some.Load())
	assert.Equal(t, 3, k.take(p))
	assert.Equal(t, "o w", string(p[:3]))
	assert.False(t, k.some.Load())
	assert.Nil(t, k.data, "the memory is given back")
	k.add(nil)
	assert.False(t, k.some.Load())
}

func TestKeptDataAreBounded(t *testing.T) {
	var k keptData
	k.add(make([]byte, maxKept-1))
	assert.False(t, k.full())
	k.add(make([]byte, 1))
	assert.True(t, k.full())
}
