package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := gnutls.LiveObjects()
		return counts, counts.Total()
	})
}

func TestEachTicketIsShown(t *testing.T) {
	for _, tickets := range []int{1, 4} {
		t.Run(fmt.Sprint(tickets), func(t *testing.T) {
			var out bytes.Buffer
			require.NoError(t, run(&out, testenv.File("server.pem"), testenv.File("server.key"),
				testenv.File("ca.pem"), tickets))
			lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			require.Len(t, lines, tickets+2, out.String())
			for i, line := range lines[:tickets] {
				assert.Regexp(t,
					fmt.Sprintf(
						`^ticket %d of 127\.0\.0\.1:\d+: TLS 1\.3, lifetime [1-9]\S*, single use true, early data 0 bytes$`, i+1), line)
			}
			assert.Equal(t, []string{
				fmt.Sprintf(`%d tickets before the end of the data, "hello"`, tickets),
				"SessionData gives the last: true",
			}, lines[tickets:])
		})
	}
}
