package coap

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestObserversMakeRoom(t *testing.T) {
	l := makeLoop(Config{MaxObservers: 3, AddressValidation: ValidateNever})
	res := NewResource(nil)
	session := func(addr string) *conn {
		c := &conn{l: l, remote: netip.MustParseAddrPort(addr)}
		c.address.c, c.observers.c = c, c
		return c
	}
	a, b := session("192.0.2.1:1"), session("192.0.2.2:1")
	observe := func(c *conn, token string) *observer {
		o := &observer{res: res, c: c, token: token}
		l.observers.add(o)
		return o
	}
	oldest := observe(a, "1")
	assert.False(t, l.observers.pressed())
	observe(a, "2")
	assert.True(t, l.observers.pressed())
	observe(a, "3")
	assert.False(t, l.observers.makeRoom(a), "it has most itself")
	assert.True(t, l.observers.makeRoom(b))
	assert.True(t, oldest.ended)
	assert.Len(t, a.observers.byToken, 2)
	observe(b, "1")
	assert.Equal(t, 3, l.observers.n)

	a.observers.end()
	assert.Empty(t, a.observers.byToken)
	assert.Equal(t, 1, l.observers.n)
	assert.True(t, l.observers.makeRoom(a))
}
