package coap

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/testenv"
)

type libcoapTransport struct {
	proto Protocol
	flags []string
}

// Flags of libcoap's client for each transport.
func libcoapTransports() []libcoapTransport {
	if oldTools {
		return []libcoapTransport{
			{UDP, []string{"-b", "1024"}},
			{UDP, []string{"-N", "-b", "1024"}},
			{UDP, []string{"-b", "256"}},
		} // over TCP it stops after the first block
	}
	return []libcoapTransport{
		{UDP, nil},
		{UDP, []string{"-N"}},
		{UDP, []string{"-b", "256"}},
		{TCP, []string{"-r"}},
		{TCP, []string{"-r", "-X", "2000"}},
	}
}

func TestLibcoapClientSendsAndFetchesABody(t *testing.T) {
	body := randomBytes(5000)
	for _, transport := range libcoapTransports() {
		t.Run(transport.proto.Scheme()+" "+filepath.Join(transport.flags...), func(t *testing.T) {
			bodies := make(chan []byte, 2)
			addr := listen(t, nil, transport.proto, HandlerFunc(func(w ResponseWriter, r *Request) {
				bodies <- r.Body
				if r.Method == MethodGet {
					w.Write(body)
				}
			}))
			dir := t.TempDir()
			sent, received := filepath.Join(dir, "sent"), filepath.Join(dir, "received")
			require.NoError(t, os.WriteFile(sent, body, 0o600))
			uri := transport.proto.Scheme() + "://" + addr.String() + "/x"
			run := func(args ...string) {
				client := testenv.Start(t, "coap-client-gnutls",
					append(append(args, transport.flags...), "-B", "10", uri)...)
				assert.Zero(t, client.Wait(t), client.Output())
			}
			run("-m", "put", "-f", sent)
			assert.True(t, bytes.Equal(body, receive(t, bodies)))
			run("-m", "get", "-o", received)
			receive(t, bodies)
			got, err := os.ReadFile(received)
			require.NoError(t, err)
			assert.True(t, bytes.Equal(body, got), "%d bytes", len(got))
			assert.Empty(t, bodies, "each request is handled once")
		})
	}
}

func TestLibcoapServerTakesAndGivesABody(t *testing.T) {
	addr := testenv.StartCoAPServer(t, "gnutls", "-d", "100").Addr
	for name, test := range map[string]struct {
		proto  Protocol
		config *Config
	}{
		"udp":              {UDP, nil},
		"udp small blocks": {UDP, &Config{BlockSize: 64}},
		"udp low MTU":      {UDP, &Config{MTU: 300}},
		"tcp":              {TCP, nil},
		"tcp low MTU":      {TCP, &Config{MTU: 2000}},
	} {
		t.Run(name, func(t *testing.T) {
			s := connect(t, test.config, addr, test.proto)
			for _, size := range []int{5000, 1024, 1025, 1} {
				body := randomBytes(size)
				r, err := s.Put(waitContext(t), name, TextPlain, body)
				require.NoError(t, err)
				assert.True(t, r.Code.IsSuccess(), r.Code)
				r, err = s.Get(waitContext(t), name)
				require.NoError(t, err)
				assert.Equal(t, CodeContent, r.Code)
				assert.True(t, bytes.Equal(body, r.Body), "%d bytes", len(r.Body))
			}
		})
	}
}
