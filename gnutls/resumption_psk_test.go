package gnutls

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
)

// A session is resumed with a key exchange, unless Priority asks for something else.
func TestClientsResumeWithDiffieHellman(t *testing.T) {
	psk, _ := pskConfigs(VersionTLS13)
	for _, tc := range []struct {
		name   string
		change func(*Config)
		modes  []byte
	}{
		{"no Priority", func(*Config) {}, []byte{1}},
		{"a Priority", func(c *Config) { c.Priority = "NORMAL" }, []byte{1}},
		{"bounds on the version", func(c *Config) { c.MinVersion = VersionTLS13 }, []byte{1}},
		{"a pre-shared key", func(c *Config) { c.PSKIdentity, c.PSKKey = psk.PSKIdentity, psk.PSKKey },
			[]byte{1}},
		{"asked for", func(c *Config) { c.Priority = "NORMAL:+PSK" }, []byte{0}},
		{"both asked for", func(c *Config) { c.Priority = "NORMAL:+ECDHE-PSK:+PSK" }, []byte{1, 0}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := clientConfig(t)
			tc.change(client)
			hello := clientHello(t, client)
			const pskKeyExchangeModes = 45
			n := byte(len(tc.modes))
			want := append([]byte{0, pskKeyExchangeModes, 0, 1 + n, n}, tc.modes...)
			assert.True(t, bytes.Contains(hello, want), "% x in % x", want, hello)
		})
	}
}
