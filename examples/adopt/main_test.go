//go:build !libcoap2

package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

// start runs the example. next makes a step and returns what was printed.
func start(t *testing.T) (uri string, next func() string) {
	t.Helper()
	in, steps := io.Pipe()
	printed, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(in, out)
		out.CloseWithError(err)
		ended <- err
	}()
	t.Cleanup(func() {
		steps.Close()
		require.NoError(t, <-ended)
	})
	lines := bufio.NewScanner(printed)
	line := func() string {
		require.True(t, lines.Scan(), "%v", lines.Err())
		return lines.Text()
	}
	uri, _, _ = strings.Cut(line(), " ")
	return uri, func() string {
		_, err := io.WriteString(steps, "\n")
		require.NoError(t, err)
		return line()
	}
}

func TestCoAPClientAtEachStep(t *testing.T) {
	uri, next := start(t)
	ask := func(method, path string, payload []byte, args ...string) string {
		t.Helper()
		r := testenv.RunCoAPClient(t, "gnutls",
			testenv.CoAPRequest{Method: method, URI: uri + path, Payload: payload, Args: args})
		return strings.TrimSpace(r.Code + " " + string(r.Body))
	}
	text := bytes.Repeat([]byte("0123456789"), 500)
	inC, inGo := 0, 0 // bytes that were logged
	check := func(hello, led, log, time string) {
		t.Helper()
		if hello == "" {
			assert.Equal(t, "4.04", ask("get", "/hello", nil))
		} else {
			assert.Equal(t, "2.05 Go: hello", ask("get", "/hello", nil))
		}
		assert.Equal(t, "2.05 "+led, ask("get", "/led", nil))
		logged := &inC
		if log == "Go" {
			logged = &inGo
		}
		*logged += len(text)
		assert.Equal(t, fmt.Sprintf("2.04 %s: %d bytes", log, *logged), ask("post", "/log", text))
		assert.Regexp(t, "^2.05 "+time+`: \d+$`, ask("get", "/time", nil))
		assert.Regexp(t, "(?s)("+time+`: \d+.*){2}`, ask("get", "/time", nil, "-s", "2"), "observed")
	}

	check("", "C: off", "C", "C")
	assert.Equal(t, "2.04", ask("put", "/led", []byte("on")))

	assert.Equal(t, "Go borrows the context: /hello is Go's", next())
	check("Go", "C: on", "C", "C")

	assert.Equal(t, "/led is Go's", next())
	check("Go", "Go: on", "C", "C")
	assert.Equal(t, "2.04", ask("put", "/led", []byte("off")))

	assert.Equal(t, "/log is Go's", next())
	check("Go", "Go: off", "Go", "C")

	assert.Equal(t, "Go runs the loop: /time is what is left in C", next())
	check("Go", "Go: off", "Go", "C")

	assert.Equal(t, "/time is Go's", next())
	check("Go", "Go: off", "Go", "Go")
}

func TestServerEndsAtEachStep(t *testing.T) {
	for n := range len(steps) + 1 {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			_, next := start(t)
			for i := range n {
				assert.Equal(t, steps[i].what, next())
			}
		})
	}
}
