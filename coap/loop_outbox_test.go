package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOutboxHasOneThatFlushes(t *testing.T) {
	var o outbox
	first, second := &call{}, &call{}
	assert.False(t, o.put(first), "whoever is first flushes")
	assert.True(t, o.put(second))
	taken := o.take()
	assert.Equal(t, []sender{first, second}, taken)
	assert.Empty(t, o.take())
	o.reuse(taken)
	o.add(second) // is sent by whoever leaves the loop next
	assert.False(t, o.put(first))
	assert.Equal(t, []sender{second, first}, o.take())
}

func TestCorkWaitsForTheLastOfSeveral(t *testing.T) {
	k := cork{queued: 2}
	k.queued--
	assert.True(t, k.push())
	assert.False(t, k.isStuck(), "one more comes")
	k.queued--
	assert.True(t, k.isStuck(), "the last one did not send")
	assert.False(t, k.push())
	assert.False(t, k.isStuck())
}
