//go:build libcoap2

package coap

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

func TestContextsOfProgramsAreNotSupported(t *testing.T) {
	var something int
	p := unsafe.Pointer(&something)
	assert.False(t, Supports(FeatureAdoption))
	_, err := AdoptContext(p, nil)
	assert.ErrorIs(t, err, ErrNotSupported)
	_, err = BorrowContext(p, nil)
	assert.ErrorIs(t, err, ErrNotSupported)
	_, err = WrapSession(p)
	assert.ErrorIs(t, err, ErrNotSupported)
}
