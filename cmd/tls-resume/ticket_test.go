package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
)

func TestRequest(t *testing.T) {
	addr := startEcho(t, always(serverConfig(t)))
	for request, want := range map[string]struct {
		counts          []int
		first, resuming int
	}{
		"5":   {[]int{5, 1}, 5, 1},
		"3,2": {[]int{3, 2}, 3, 2},
		"0":   {[]int{0, 1}, 0, 0},
	} {
		t.Run(request, func(t *testing.T) {
			got := try(t, "-json", "-request", request, addr)
			results := got.results(t)
			require.Len(t, results, 2)
			for i, r := range results {
				expected := want.first
				if i > 0 {
					expected = want.resuming
				}
				assert.Equal(t, want.counts, r.TicketRequest)
				require.NotNil(t, r.ExpectedTickets)
				assert.Equal(t, expected, *r.ExpectedTickets)
				assert.Equal(t, expected, r.Tickets)
			}
			assert.Equal(t, want.first > 0, results[1].Resumed)
			if want.first == 0 {
				assert.Equal(t, "the server announced that it sends no tickets", results[1].Error)
			}
		})
	}
	got := try(t, "-request", "3", addr)
	assert.Regexp(t, `(?m)^1 .* no +3 of 3 +`, got.stdout)

	silent := serverConfig(t)
	silent.TicketRequestsIgnored = true
	results := try(t, "-json", "-request", "5", startEcho(t, always(silent))).results(t)
	require.Len(t, results, 2)
	assert.Nil(t, results[0].ExpectedTickets)
	assert.Equal(t, 2, results[0].Tickets)
}

func TestPool(t *testing.T) {
	var config atomic.Pointer[gnutls.Config]
	config.Store(serverConfig(t))
	addr := startEcho(t, func(int) *gnutls.Config { return config.Load() })
	file := filepath.Join(t.TempDir(), "pool")

	results := try(t, "-json", "-pool", file, addr).results(t)
	require.Len(t, results, 2)
	assert.Empty(t, results[0].Error, "an empty pool is not a failure")
	assert.Equal(t, []int{4, 0}, results[0].TicketRequest)
	assert.Equal(t, []int{4, 1}, results[1].TicketRequest)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, info.Mode().Perm())

	got := try(t, "-json", "-n", "2", "-pool", file, addr)
	assert.Zero(t, got.status, got)
	for _, r := range got.results(t) {
		assert.True(t, r.Resumed, got)
	}

	config.Store(serverConfig(t)) // with another ticket key
	got = try(t, "-json", "-pool", file, addr)
	assert.Equal(t, 1, got.status)
	results = got.results(t)
	require.Len(t, results, 2)
	assert.Equal(t, "the server refused to resume and made a full handshake", results[0].Error)
	assert.True(t, results[1].Resumed, "the other tickets of that session were not tried")
}

func TestPoolSurvivesAFailure(t *testing.T) {
	addr := startEcho(t, always(serverConfig(t)))
	file := filepath.Join(t.TempDir(), "pool")
	require.Zero(t, try(t, "-pool", file, addr).status)
	got := try(t, "-pool", file, "localhost:1")
	require.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, "connection refused")
	assert.True(t, try(t, "-json", "-pool", file, addr).results(t)[0].Resumed)
}

func TestPoolsThatCannotBeUsed(t *testing.T) {
	addr := startEcho(t, always(serverConfig(t)))
	for name, prepare := range map[string]func(file string) error{
		"open to others": func(file string) error {
			require.Zero(t, try(t, "-pool", file, addr).status)
			return os.Chmod(file, 0o644)
		},
		"no pool": func(file string) error {
			return os.WriteFile(file, []byte("something else"), 0o600)
		},
		"no directory": func(file string) error { return os.Mkdir(file, 0o700) },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "pool")
			require.NoError(t, prepare(file))
			got := try(t, "-pool", file, addr)
			assert.Equal(t, 2, got.status)
			assert.Contains(t, got.stderr, file)
			assert.Equal(t, 1, strings.Count(got.stderr, "\n"))
		})
	}
}

func TestRace(t *testing.T) {
	addr := startEcho(t, always(serverConfig(t)))
	got := try(t, "-json", "-n", "2", "-race", addr)
	assert.Zero(t, got.status, got)
	results := got.results(t)
	require.Len(t, results, 3)
	assert.False(t, results[0].Resumed)
	for _, r := range results[1:] {
		assert.True(t, r.Resumed)
		assert.Positive(t, r.Tickets)
		assert.Equal(t, []int{4, r.Tickets}, r.TicketRequest)
	}

	got = try(t, "-race", "localhost:1")
	assert.Equal(t, 2, got.status)
	assert.Contains(t, got.stderr, "127.0.0.1:1")
}

func TestEarly(t *testing.T) {
	taken := gnutls.LibraryVersion() != "3.7.1" // whose servers take none
	config := serverConfig(t)
	config.MaxEarlyData = 1000
	addr := startEcho(t, always(config))
	got := try(t, "-json", "-n", "2", "-early", "hello", addr)
	assert.Zero(t, got.status, got)
	results := got.results(t)
	require.Len(t, results, 3)
	for i, r := range results {
		assert.Equal(t, taken && i > 0, r.EarlyData, got)
	}
	shown := map[bool]string{true: "yes", false: "no"}[taken]
	assert.Regexp(t, `(?m)^2 .* yes +\d+ +\w+ +\d+\.\d ms +`+shown,
		try(t, "-early", "hello", addr).stdout)

	got = try(t, "-json", "-early", "hello", startEcho(t, always(serverConfig(t))))
	assert.Zero(t, got.status, "the data go after the handshake: %v", got)
	for _, r := range got.results(t) {
		assert.False(t, r.EarlyData)
	}
}

func TestEarlyWithAServerThatCannotGoOnAfterIt(t *testing.T) {
	config := serverConfig(t)
	key, err := gnutls.NewTicketKey()
	require.NoError(t, err)
	config.TicketKey, config.MaxEarlyData = key, 1000
	older := config.Clone()
	older.MaxVersion = gnutls.VersionTLS12
	addr := startServer(t, func(number int, c net.Conn) {
		config := config
		if number > 1 {
			config = older
		}
		tls := gnutls.Server(c, config)
		defer tls.Close()
		io.Copy(tls, tls)
	})
	got := try(t, "-json", "-early", "hello", "-data", " there", addr)
	results := got.results(t)
	require.Len(t, results, 2, got)
	assert.Equal(t, "TLS 1.2", results[1].Version)
	assert.Contains(t, results[1].Error, "another version")
}

func TestEarlyWithoutAReply(t *testing.T) {
	addr := startServer(t, func(_ int, c net.Conn) {
		tls := gnutls.Server(c, serverConfig(t))
		defer tls.Close()
		tls.Read(make([]byte, 10))
	})
	got := try(t, "-early", "hello", addr)
	assert.Equal(t, 1, got.status)
	assert.Contains(t, got.stdout, "the server closed the connection without a reply to -early")
}
