package coap

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// libcoap 4.3.1 and later write behind the end of the buffer of a 5.08 that had to be
// enlarged.
func TestHopLimitReachedStaysInLibcoapsBuffer(t *testing.T) {
	for name, body := range map[string]string{
		"fills the first buffer": strings.Repeat("x", 252),
		"is larger":              strings.Repeat("2001:db8::1 ", 40),
		"goes in blocks":         strings.Repeat("ä", 3000),
	} {
		t.Run(name, func(t *testing.T) {
			eachUnsecured(t, func(t *testing.T, proto Protocol) {
				s := serveTo(t, proto, nil, nil, func(w ResponseWriter, r *Request) {
					w.SetCode(CodeHopLimitReached)
					w.Options().Add(OptionMaxAge, []byte{7})
					w.Write([]byte(body))
				})
				r, err := s.Get(waitContext(t), "/")
				require.NoError(t, err)
				assert.Equal(t, CodeHopLimitReached, r.Code)
				text := string(r.Body)
				if first, rest, ok := strings.Cut(text, " "); ok && netip.MustParseAddr(first).IsLoopback() {
					text = rest // libcoap's
				}
				assert.True(t, strings.HasPrefix(body, text))
				assert.Greater(t, len(text), 200)
				assert.Less(t, len(text), 240)
			})
		})
	}
}
