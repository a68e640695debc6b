package gnutls_test

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

const earlyText = "this went early\n"

// earlyDial connects to a server, resumes d if there is one, and writes
// earlyText early.
func earlyDial(t *testing.T, addr string, d *gnutls.SessionData) *gnutls.Conn {
	t.Helper()
	raw, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	c := gnutls.Client(raw, &gnutls.Config{RootCAs: testPool(t), ServerName: "localhost"})
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(wait)))
	if d != nil {
		require.NoError(t, c.Resume(d))
	}
	_, err = c.WriteEarlyData([]byte(earlyText))
	require.NoError(t, err)
	require.NoError(t, c.Handshake())
	return c
}

func TestEarlyDataForPeers(t *testing.T) {
	set := settings{version: gnutls.VersionTLS13}
	t.Run("openssl s_server", func(t *testing.T) {
		peer := startSServer(t, set, "-early_data")
		c := earlyDial(t, peer.addr, nil)
		d := sessionData(t, c)
		peer.process.Expect(t, earlyText)
		require.NoError(t, c.Close())
		assert.EqualValues(t, 16384, d.MaxEarlyData())

		c = earlyDial(t, peer.addr, d)
		assert.True(t, c.ConnectionState().EarlyDataAccepted)
		peer.process.Expect(t, "End of early data")
		peer.process.Send(t, line)
		requireRead(t, c, line)
		require.NoError(t, c.Close())

		c = earlyDial(t, peer.addr, d)
		assert.False(t, c.ConnectionState().EarlyDataAccepted, "the ticket was used")
		require.NoError(t, c.Close())
		peer.process.Expect(t, earlyText)
		assert.Equal(t, 3, strings.Count(peer.process.Output(), earlyText))
	})
	t.Run("gnutls-serv", func(t *testing.T) {
		p, addr := testenv.StartServer(t, "listening on IPv4 0.0.0.0 port {port}...done", "gnutls-serv",
			"--echo", "-p", "{port}", "--earlydata", "--maxearlydata", "1000", "--disable-client-cert",
			"--x509certfile", testenv.File("server.pem"), "--x509keyfile", testenv.File("server.key"))
		c := earlyDial(t, addr, nil)
		requireRead(t, c, earlyText)
		d := sessionData(t, c)
		require.NoError(t, c.Close())
		assert.EqualValues(t, 1000, d.MaxEarlyData())

		c = earlyDial(t, addr, d)
		assert.True(t, c.ConnectionState().EarlyDataAccepted)
		p.Expect(t, earlyText)
		_, err := io.WriteString(c, line)
		require.NoError(t, err)
		echoed := bufio.NewReader(c)
		got, err := echoed.ReadString('\n')
		if got == earlyText { // some versions echo that, too
			got, err = echoed.ReadString('\n')
		}
		require.NoError(t, err)
		assert.Equal(t, line, got)
	})
}

func TestEarlyDataOfPeers(t *testing.T) {
	set := settings{version: gnutls.VersionTLS13}
	config := func(t *testing.T) *gnutls.Config {
		c := set.serverConfig(t)
		c.MaxEarlyData = 1000
		return c
	}
	file := filepath.Join(t.TempDir(), "early")
	require.NoError(t, os.WriteFile(file, []byte(earlyText), 0o600))

	t.Run("openssl s_client", func(t *testing.T) {
		s := serve(t, listen(t, config(t)), echoBack)
		session := filepath.Join(t.TempDir(), "session.pem")
		p := startSClient(t, s.addr, set, "-sess_out", session)
		p.Expect(t, opensslReady)
		p.Send(t, line)
		p.Expect(t, line)
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		assert.False(t, s.next(t).state.EarlyDataAccepted)
		if !cgnutls.AtLeast("3.7.2") { // its servers take none
			assert.Contains(t, p.Output(), "Max Early Data: 0")
			return
		}
		assert.Contains(t, p.Output(), "Max Early Data: 1000")

		p = startSClient(t, s.addr, set, "-sess_in", session, "-early_data", file)
		p.Expect(t, "Early data was accepted")
		p.Send(t, line)
		p.Expect(t, earlyText+line)
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		second := s.next(t).state
		assert.True(t, second.EarlyDataAccepted)
		assert.Equal(t, len(earlyText), second.EarlyData)
	})
	if !cgnutls.AtLeast("3.7.2") {
		return
	}
	t.Run("gnutls-cli", func(t *testing.T) {
		s := serve(t, listen(t, config(t)), echoBack)
		p := startGnutlsCli(t, s.addr, set, "--resume", "--waitresumption", "--earlydata", file)
		const refused, resumed = "error sending early data", "*** This is a resumed session"
		// some versions ask for the limit before they have the session
		if p.ExpectAny(t, refused, resumed) == refused {
			assert.False(t, s.next(t).state.EarlyDataAccepted)
			return
		}
		p.Expect(t, earlyText)
		p.CloseInput()
		require.Zero(t, p.Wait(t))
		assert.False(t, s.next(t).state.EarlyDataAccepted)
		second := s.next(t).state
		assert.True(t, second.EarlyDataAccepted)
		assert.Equal(t, len(earlyText), second.EarlyData)
	})
}
