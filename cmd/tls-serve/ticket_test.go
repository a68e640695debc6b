package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/flags"
	"github.com/gnucoap/gnucoap/gnutls"
)

func TestNumberOfTickets(t *testing.T) {
	for _, n := range []int{0, 1, 3, 255} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			s := start(t, append(pair("server"), "-tickets", fmt.Sprint(n))...)
			tickets := make(chan struct{}, 1000)
			config := clientConfig(t)
			config.MinVersion = gnutls.VersionTLS13
			config.OnSessionTicket = func(*gnutls.Conn, *gnutls.SessionData) { tickets <- struct{}{} }
			c := connect(t, s, config)
			echoes(t, c)
			ended := make(chan struct{})
			go func() {
				io.Copy(io.Discard, c)
				close(ended)
			}()
			for i := range n {
				select {
				case <-tickets:
				case <-ended:
					require.Failf(t, "a ticket is missing", "%d of %d came", i, n)
				}
			}
			require.NoError(t, c.CloseWrite())
			<-ended
			assert.Empty(t, tickets, "no more than asked for")
		})
	}
}

func TestTicketRequests(t *testing.T) {
	for _, tt := range []struct {
		name     string
		args     []string
		answered bool
		tickets  int
	}{
		{"as many as asked for", nil, true, 5},
		{"no more than the limit", []string{"-max-tickets", "3"}, true, 3},
		{"switched off", []string{"-no-ticket-request", "-tickets", "1"}, false, 1},
		{"no tickets at all", []string{"-tickets", "0"}, false, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, append(pair("server"), tt.args...)...)
			var tickets atomic.Int64
			config := clientConfig(t)
			config.TicketRequest = &gnutls.TicketRequest{New: 5}
			config.OnSessionTicket = func(*gnutls.Conn, *gnutls.SessionData) { tickets.Add(1) }
			c := connect(t, s, config)
			echoes(t, c) // tickets come before the echo
			assert.Equal(t, tt.answered, c.ConnectionState().TicketRequestAnswered)
			assert.EqualValues(t, tt.tickets, tickets.Load())
		})
	}
}

func TestEarlyData(t *testing.T) {
	s := start(t, append(pair("server"), "-early-data", "100")...)
	config := clientConfig(t)
	d := sessionData(t, connect(t, s, config))
	if gnutls.LibraryVersion() == "3.7.1" {
		assert.Zero(t, d.MaxEarlyData())
		t.Skip("GnuTLS's servers take none")
	}
	assert.EqualValues(t, 100, d.MaxEarlyData())
	raw, err := net.Dial("tcp", s.addr)
	require.NoError(t, err)
	c := gnutls.Client(raw, config)
	defer c.Close()
	require.NoError(t, c.Resume(d))
	_, err = c.WriteEarlyData([]byte("early"))
	require.NoError(t, err)
	require.NoError(t, c.Handshake())
	assert.True(t, c.ConnectionState().EarlyDataAccepted)
	s.log.Await(t, `msg=connection peer=\S+ early_data=5 version="TLS 1.3" cipher=\S+ resumed=true`)
	buf := make([]byte, 5)
	_, err = io.ReadFull(c, buf)
	require.NoError(t, err)
	assert.Equal(t, "early", string(buf))
}

func TestResumption(t *testing.T) {
	for _, version := range []uint16{gnutls.VersionTLS12, gnutls.VersionTLS13} {
		t.Run(gnutls.VersionName(version), func(t *testing.T) {
			s := start(t, pair("server")...)
			config := clientConfig(t)
			config.MinVersion, config.MaxVersion = version, version
			d := sessionData(t, connect(t, s, config))
			assert.True(t, resume(t, s, config, d))
			s.log.Await(t, `msg=connection peer=\S+ version="`+gnutls.VersionName(version)+
				`" cipher=\S+ resumed=true`)
		})
	}
}

func TestResumptionBySessionIDWithoutTickets(t *testing.T) {
	s := start(t, append(pair("server"), "-tickets", "0")...)
	config := clientConfig(t)
	config.MaxVersion = gnutls.VersionTLS12
	assert.True(t, resume(t, s, config, sessionData(t, connect(t, s, config))))
}

func TestTicketKeyIsMadeOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tickets.key")
	_, err := flags.TicketKeys(file)
	require.NoError(t, err)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Len(t, content, gnutls.TicketKeySize)
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())

	_, err = flags.TicketKeys(file)
	require.NoError(t, err)
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, content, again)
}

func TestTicketKeyIsOneForAllThatStartTogether(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "tickets.key")
	keys := make([][]byte, 16)
	begin := make(chan struct{})
	var all sync.WaitGroup
	for i := range keys {
		all.Add(1)
		go func() {
			defer all.Done()
			<-begin
			_, err := flags.TicketKeys(file)
			assert.NoError(t, err)
			keys[i], err = os.ReadFile(file)
			assert.NoError(t, err)
		}()
	}
	close(begin)
	all.Wait()
	for _, key := range keys {
		assert.Len(t, key, gnutls.TicketKeySize)
		assert.Equal(t, keys[0], key)
	}
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	assert.Len(t, entries, 1, "no temporary file is left")
}

func TestTicketKeyThatOthersMayRead(t *testing.T) {
	for _, tt := range []struct {
		mode os.FileMode
		ok   bool
	}{
		{0o600, true}, {0o400, true}, {0o604, false}, {0o640, false}, {0o660, false}, {0o644, false},
	} {
		t.Run(tt.mode.String(), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tickets.key")
			require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte{7}, gnutls.TicketKeySize), 0o600))
			require.NoError(t, os.Chmod(file, tt.mode))
			if tt.ok {
				_, err := flags.TicketKeys(file)
				assert.NoError(t, err)
				return
			}
			var stderr bytes.Buffer
			args := append(pair("server"), "-ticket-key", file)
			assert.Equal(t, 2, run(context.Background(), args, io.Discard, &stderr))
			for _, part := range []string{"-ticket-key", file, fmt.Sprintf("%04o", tt.mode), "0600"} {
				assert.Contains(t, stderr.String(), part)
			}
		})
	}
}

func TestProcessesWithOneTicketKeyResumeEachOther(t *testing.T) {
	args := append(pair("server"), "-ticket-key", filepath.Join(t.TempDir(), "tickets.key"))
	var servers [2]*server
	var both sync.WaitGroup
	for i := range servers {
		both.Add(1)
		go func() {
			defer both.Done()
			servers[i], _ = startProcess(t, args...)
		}()
	}
	both.Wait()
	require.False(t, t.Failed())
	a, b := servers[0], servers[1]
	for _, version := range []uint16{gnutls.VersionTLS12, gnutls.VersionTLS13} {
		config := clientConfig(t)
		config.MinVersion, config.MaxVersion = version, version
		assert.True(t, resume(t, b, config, sessionData(t, connect(t, a, config))), "made by the first")
		assert.True(t, resume(t, a, config, sessionData(t, connect(t, b, config))), "made by the second")
	}

	other, _ := startProcess(t, pair("server")...)
	config := clientConfig(t)
	assert.False(t, resume(t, other, config, sessionData(t, connect(t, a, config))),
		"with another key")
}

func TestServerFollowsItsTicketKeyFile(t *testing.T) {
	for _, version := range []uint16{gnutls.VersionTLS12, gnutls.VersionTLS13} {
		t.Run(gnutls.VersionName(version), func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tickets.key")
			args := append(pair("server"), "-ticket-key", file)
			s := start(t, args...)
			config := clientConfig(t)
			config.MinVersion, config.MaxVersion = version, version
			old, err := os.ReadFile(file)
			require.NoError(t, err)
			oldKey, err := gnutls.ParseTicketKey(old)
			require.NoError(t, err)
			newKey, err := gnutls.NewTicketKey()
			require.NoError(t, err)
			established := connect(t, s, config)
			tickets := make([]*gnutls.SessionData, 2)
			for i := range tickets {
				tickets[i] = sessionData(t, connect(t, s, config))
			}

			require.NoError(t, gnutls.WriteTicketKeyFile(file, newKey))
			require.Eventually(t, func() bool {
				echoes(t, connect(t, s, config))
				return strings.Contains(s.log.String(), `msg="ticket keys reloaded"`)
			}, wait, 10*time.Millisecond)
			assert.True(t, resume(t, s, config, tickets[0]), "made with the key before")
			assert.False(t, resume(t, start(t, args...), config, tickets[1]),
				"a replica that starts with the new key only")
			require.NoError(t, gnutls.WriteTicketKeyFile(file, newKey, oldKey))
			assert.True(t, resume(t, start(t, args...), config, tickets[1]),
				"a replica that starts with both")
			assert.True(t, resume(t, start(t, args...), config, sessionData(t, connect(t, s, config))),
				"made with the new key")
			echoes(t, established)
		})
	}
}
