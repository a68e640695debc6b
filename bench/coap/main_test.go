package main

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/bench/coap/cpeer"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" {
		main()
		return
	}
	testenv.Main(m, func() (any, int64) {
		counts := coap.LiveObjects()
		return counts, counts.Total()
	})
}

func newBenchmark(t *testing.T) *benchmark {
	b := &benchmark{rounds: 1, length: 50 * time.Millisecond, sessions: 20}
	remove, err := b.configure()
	require.NoError(t, err)
	t.Cleanup(remove)
	return b
}

func TestEachWorkloadRuns(t *testing.T) {
	b := newBenchmark(t)
	for _, w := range workloads {
		t.Run(w.name, func(t *testing.T) {
			rows, err := b.run(w)
			require.NoError(t, err)
			table := strings.Join(rows, "\n")
			roles := []string{"client", "server"}
			if w.kind == "memory" {
				roles = roles[1:]
			}
			for _, role := range roles {
				for _, impl := range []string{"c", "ours", "go-coap"} {
					if name := impl + " " + role; name != w.without {
						assert.Contains(t, table, "| "+name+" |")
					}
				}
			}
		})
	}
}

func TestWrongAnswersAreErrors(t *testing.T) {
	b := newBenchmark(t)
	server, port, err := start(peer{role: "server", impl: "c", proto: "udp", priority: b.priority})
	require.NoError(t, err)
	defer func() { assert.NoError(t, server.stop()) }()
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	right := small
	small = []byte("another body")
	bodies.Small = small
	defer func() { small, bodies.Small = right, right }()
	for name, impl := range implementations {
		t.Run(name, func(t *testing.T) {
			c, err := impl.client("udp", n, 2)
			require.NoError(t, err)
			_, err = c.Run(cpeer.Small, time.Second)
			assert.ErrorContains(t, err, "a response is wrong")
			require.NoError(t, c.Close())
		})
	}
}

func TestDTLSHasTheSameCipherSuiteEverywhere(t *testing.T) {
	b := newBenchmark(t)
	for name := range implementations {
		t.Run(name, func(t *testing.T) {
			p, err := b.startPair("ours", name, workload{proto: "dtls", inFlight: 1}, nil)
			require.NoError(t, err)
			defer func() { assert.NoError(t, p.stop()) }()
			_, err = p.round("small", time.Millisecond)
			require.NoError(t, err)
			var suite string
			require.NoError(t, p.client.ask("suite", &suite))
			assert.Equal(t, "TLS_PSK_AES_128_GCM_SHA256", suite)
		})
	}
}
