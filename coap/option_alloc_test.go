//go:build !race && !asan

package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The race detector and the address sanitizer allocate by themselves, hence
// the build constraint.

func TestReadingOptionsDoesNotAllocate(t *testing.T) {
	var o Options
	o.AddString(OptionURIPath, "sensors")
	o.AddString(OptionURIPath, "1")
	o.SetAccept(CBOR)
	o.AddUint(65000, 1)
	read := 0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for value := range o.All(OptionURIPath) {
			read += len(value)
		}
		if format, ok := o.Accept(); ok && format == CBOR && o.Validate() == nil {
			read++
		}
		if value, ok := o.Get(OptionURIPath); ok && !o.Has(OptionETag) {
			read += len(value)
		}
	}))
	assert.Equal(t, 101*(len("sensors1")+1+len("sensors")), read)
}

func TestMakingOptionsAllocatesLittle(t *testing.T) {
	path, body := []byte("sensors"), []byte{byte(CBOR)}
	n := 0
	// The slice grows three times: to 1, 2 and 4 options.
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		var o Options
		o.Add(OptionURIPath, path)
		o.Add(OptionContentFormat, body)
		o.Add(OptionAccept, body)
		n += len(o)
	}), 3.0)
	assert.Equal(t, 303, n)
}
