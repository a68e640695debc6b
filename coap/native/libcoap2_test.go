//go:build libcoap2

package native_test

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/coap/native"
)

func TestContextsOfProgramsAreNotSupported(t *testing.T) {
	var something int
	p := unsafe.Pointer(&something)
	assert.False(t, coap.Supports(coap.FeatureAdoption))
	_, err := native.Adopt(p, nil)
	assert.ErrorIs(t, err, coap.ErrNotSupported)
	_, err = native.Borrow(p, nil)
	assert.ErrorIs(t, err, coap.ErrNotSupported)
	_, err = native.WrapSession(p)
	assert.ErrorIs(t, err, coap.ErrNotSupported)
}
