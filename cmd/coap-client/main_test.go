package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// asProgram makes the test program be coap-client.
const asProgram = "COAP_CLIENT_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

// client returns coap-client as a process of its own.
func client(args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	return cmd
}

func TestPrintsWhatLibcoapsClientPrints(t *testing.T) {
	t.Parallel()
	compatible := func(args ...string) *exec.Cmd {
		return client(append(toolstest.Compat(t), args...)...)
	}
	for _, scheme := range toolstest.Schemes {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			theirs := toolstest.Run(t, toolstest.Options{
				Client: toolstest.LibcoapClient(t, scheme), Scheme: scheme,
				URI: toolstest.LibcoapServer(t)(scheme),
			})
			ours := toolstest.Run(t, toolstest.Options{
				Client: compatible, Scheme: scheme, URI: toolstest.LibcoapServer(t)(scheme),
			})
			for i := range theirs {
				assert.Equal(t, theirs[i], ours[i])
			}
		})
	}
}

func TestSignalsEndTheClient(t *testing.T) {
	t.Parallel()
	toolstest.Interrupted(t, "udp", func(addr string) *exec.Cmd { return client("coap://" + addr) })
}

func TestVersion(t *testing.T) {
	t.Parallel()
	toolstest.Version(t, "coap-client", client, "libcoap "+coap.Version())
}
