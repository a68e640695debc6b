package coap

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestOptionProperties(t *testing.T) {
	for _, tc := range []struct {
		id               OptionID
		name             string
		critical, unsafe bool
	}{
		{OptionIfMatch, "If-Match", true, false},
		{OptionURIHost, "Uri-Host", true, true},
		{OptionETag, "ETag", false, false},
		{OptionObserve, "Observe", false, true},
		{OptionURIPath, "Uri-Path", true, true},
		{OptionContentFormat, "Content-Format", false, false},
		{OptionMaxAge, "Max-Age", false, true},
		{OptionHopLimit, "Hop-Limit", false, false},
		{OptionQBlock1, "Q-Block1", true, true},
		{OptionBlock2, "Block2", true, true},
		{OptionSize1, "Size1", false, false},
		{OptionNoResponse, "No-Response", false, true},
		{OptionRequestTag, "Request-Tag", false, false},
		{65000, "option 65000", false, false},
	} {
		assert.Equal(t, tc.name, tc.id.String())
		assert.Equal(t, tc.critical, tc.id.Critical(), tc.name)
		assert.Equal(t, tc.unsafe, tc.id.UnsafeToForward(), tc.name)
	}
}
