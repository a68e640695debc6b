package gnutls

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestClientAndServerOfEachVersion(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		t.Run(VersionName(version), func(t *testing.T) {
			client := clientConfig(t)
			client.MinVersion, client.MaxVersion = version, version
			c, s := connect(t, client, serverConfig(t))
			echo(t, c, s)
			cs := c.ConnectionState()
			assert.Equal(t, version, cs.Version)
			assert.True(t, cs.HandshakeComplete)
			assert.False(t, cs.DidResume)
			assert.NotZero(t, cs.CipherSuite)
			t.Logf("%+v", cs.CipherSuiteName)
			require.Len(t, cs.VerifiedChains, 1)
			assert.Len(t, cs.VerifiedChains[0], 2)
			d, err := c.SessionData(waitContext(t))
			require.NoError(t, err)
			t.Log(d, d.Lifetime(), len(d.data))

			cc, sc := tcpPipe(t)
			c2, s2 := Client(cc, client), Server(sc, s.config)
			require.NoError(t, c2.Resume(d))
			e1, e2 := shakeConns(t, c2, s2)
			require.NoError(t, e1)
			require.NoError(t, e2)
			assert.True(t, c2.ConnectionState().DidResume)
			t.Logf("%+v", c2.ConnectionState())
			t.Logf("%+v", s2.ConnectionState())
			echo(t, c2, s2)
			c2.Close()
			s2.Close()
		})
	}
}
