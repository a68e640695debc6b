//go:build !race && !asan

package gnutls

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The race detector and the address sanitizer allocate by themselves, hence
// the build constraint.

func TestReadAndWriteDoNotAllocate(t *testing.T) {
	const runs = 500
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for _, tc := range []struct {
			name string
			size int
		}{
			{"small message", 64},
			{"full record", 16 << 10},
			{"more than one call into C", 40_000},
		} {
			t.Run(VersionName(version)+"/"+tc.name, func(t *testing.T) {
				client := clientConfig(t)
				client.MinVersion, client.MaxVersion = version, version
				c, s := connect(t, client, serverConfig(t))
				require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
				require.NoError(t, s.SetDeadline(time.Now().Add(wait)))
				echoed := make(chan error, 1)
				go func() { echoed <- echoUntilEOF(s, tc.size) }()
				buf := make([]byte, tc.size)
				var err error
				allocs := testing.AllocsPerRun(runs, func() {
					if err == nil {
						_, err = c.Write(buf)
					}
					if err == nil {
						_, err = io.ReadFull(c, buf)
					}
				})
				require.NoError(t, err)
				assert.Zero(t, allocs, "for a Write and a Read of each side")
				require.NoError(t, c.CloseWrite())
				require.NoError(t, <-echoed)
			})
		}
	}
}

// echoUntilEOF sends back what comes, in pieces of size bytes.
func echoUntilEOF(c net.Conn, size int) error {
	buf := make([]byte, size)
	for {
		if _, err := io.ReadFull(c, buf); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if _, err := c.Write(buf); err != nil {
			return err
		}
	}
}
