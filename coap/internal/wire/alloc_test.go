//go:build !race && !asan

package wire

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The race detector and the address sanitizer allocate by themselves, hence
// the build constraint.

func TestReadingDoesNotAllocate(t *testing.T) {
	o := encode(option{11, "sensors"}, option{11, "1"}, option{60, "\x01"})
	read := 0
	assert.Zero(t, testing.AllocsPerRun(100, func() {
		for number, value := range o.All() {
			read += int(number) + len(value)
		}
		value, _ := o.Find(60)
		read += o.Len() + o.Size() + int(ParseUint(value)) + int(ParseToken(value))
	}))
	assert.Equal(t, 101*(11+7+11+1+60+1+3+(8+2+3)+1+257), read)
}
