package main

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// asProgram makes the test program be coap-server.
const asProgram = "COAP_SERVER_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

// endpoint returns the URI of the endpoint for a scheme.
func endpoint(t testing.TB, printed *toolstest.Printed, scheme string) string {
	t.Helper()
	names := map[string]string{"coap": "UDP", "coaps": "DTLS", "coap+tcp": "TCP", "coaps+tcp": "TLS"}
	return scheme + "://" + printed.Await(t, `created `+names[scheme]+` +endpoint (\S+)\n`)[1]
}

// start runs coap-server as a process of its own until the end of the test, and returns the
// URIs of its endpoints.
func start(t testing.TB, args ...string) func(scheme string) string {
	t.Helper()
	_, uri := startProcess(t, args...)
	return uri
}

func startProcess(t testing.TB, args ...string) (*os.Process, func(scheme string) string) {
	t.Helper()
	out := toolstest.NewPrinted()
	cmd := exec.Command(os.Args[0],
		append([]string{"-A", "127.0.0.1", "-p", "0", "-v", "7"}, args...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		assert.NoError(t, cmd.Wait(), out)
	})
	return cmd.Process, func(scheme string) string { return endpoint(t, out, scheme) }
}

func TestAnswersWhatLibcoapsServerAnswers(t *testing.T) {
	t.Parallel()
	for _, scheme := range toolstest.Schemes {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			client, args := toolstest.LibcoapClient(t, scheme), append(toolstest.Compat(t),
				toolstest.ServerArgs()...)
			theirs := toolstest.Run(t,
				toolstest.Options{Client: client, Scheme: scheme, URI: toolstest.LibcoapServer(t)(scheme)})
			ours := toolstest.Run(t,
				toolstest.Options{Client: client, Scheme: scheme, URI: start(t, args...)(scheme)})
			for i := range theirs {
				assert.Equal(t, theirs[i], ours[i])
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	toolstest.Version(t, "coap-server", func(args ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), asProgram+"=1")
		return cmd
	}, "libcoap "+coap.Version())
}
