package coap

import (
	"mime"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestContentFormatIsWrittenAsItsMediaType(t *testing.T) {
	for format, want := range map[ContentFormat]string{
		0:     "text/plain; charset=utf-8",
		18:    `application/cose; cose-type="cose-sign1"`,
		40:    "application/link-format",
		42:    "application/octet-stream",
		50:    "application/json",
		60:    "application/cbor",
		112:   "application/senml+cbor",
		310:   "application/senml+xml",
		322:   "application/senml-etch+cbor",
		1:     "1",
		65535: "65535",
	} {
		assert.Equal(t, want, format.String())
	}
}

func TestContentFormatsAreMediaTypes(t *testing.T) {
	seen := map[string]bool{}
	for format, name := range mediaTypes {
		_, _, err := mime.ParseMediaType(name)
		assert.NoError(t, err, format)
		assert.False(t, seen[name], name)
		seen[name] = true
	}
}
