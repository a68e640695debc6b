package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func TestEchoUntilCloseNotify(t *testing.T) {
	s := start(t, pair("server")...)
	c := connect(t, s, clientConfig(t))
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		c.Write(sent)
		c.CloseWrite()
	}()
	got, err := io.ReadAll(c) // which wants a close_notify
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got))
	assert.NotContains(t, s.log.String(), "broken")
}

func TestGnuTLSClientResumesAndEchoes(t *testing.T) {
	s := start(t, pair("server")...)
	p := testenv.Start(t, "gnutls-cli", "--resume", "--waitresumption",
		"--x509cafile", testenv.File("ca.pem"), "--port", s.port(), "localhost")
	p.Expect(t, "This is a resumed session")
	p.Send(t, "hello over GnuTLS\n")
	p.Expect(t, "\nhello over GnuTLS\n")
	p.CloseInput()
	assert.Zero(t, p.Wait(t))
	s.log.Await(t, `resumed=false`)
	s.log.Await(t, `resumed=true`)
}

func TestOpenSSLClientEchoes(t *testing.T) {
	s := start(t, pair("server")...)
	p := testenv.Start(t, "openssl", "s_client", "-connect", s.addr, "-quiet",
		"-verify_return_error", "-CAfile", testenv.File("ca.pem"))
	p.Send(t, "hello over OpenSSL\n")
	p.Expect(t, "hello over OpenSSL\n")
}

func curl(t *testing.T, s *server, args ...string) string {
	t.Helper()
	args = append([]string{"--silent", "--show-error", "--max-time", "20", "--cacert",
		testenv.File("ca.pem")}, args...)
	out, err := exec.Command(testenv.Peer(t, "curl"),
		append(args, "https://"+s.addr)...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return string(out)
}

func TestHTTPTellsTheState(t *testing.T) {
	s := start(t, append(pair("server"), "-mode", "http", "-client-ca", testenv.File("ca.pem"),
		"-alpn", "http/1.1")...)
	assert.Regexp(t,
		`^version: TLS 1\.3\ncipher: TLS_\w+\nresumed: false\nearly data: 0\nclient: none\n$`, curl(t, s))
	assert.Regexp(t,
		`^version: TLS 1\.2\ncipher: TLS_ECDHE_\w+\nresumed: false\nearly data: 0\nclient: CN=client one\n$`,
		curl(t, s, "--tls-max", "1.2", "--cert", testenv.File("client.pem"), "--key",
			testenv.File("client.key")))
}

func TestHTTPClientResumes(t *testing.T) {
	s := start(t, append(pair("server"), "-mode", "http")...)
	config := clientConfig(t)
	config.ClientSessionCache = gnutls.NewClientSessionCache(0)
	client := &http.Client{Transport: &http.Transport{
		DialTLSContext:    (&gnutls.Dialer{Config: config}).DialContext,
		DisableKeepAlives: true,
	}}
	for _, want := range []string{"resumed: false", "resumed: true"} {
		resp, err := client.Get("https://" + s.addr)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		require.NoError(t, err)
		assert.Contains(t, string(body), want)
	}
}

// limited runs the server with other limits.
func limited(t *testing.T, mode string, handshake, idle time.Duration) *server {
	t.Helper()
	opts, err := parse(withPort(append(pair("server"), "-mode", mode)), io.Discard)
	require.NoError(t, err)
	opts.handshakeLimit, opts.idleLimit, opts.grace = handshake, idle, 0
	ctx, cancel := context.WithCancel(context.Background())
	log := toolstest.NewPrinted()
	done := make(chan error, 1)
	go func() { done <- serve(ctx, opts, slog.New(slog.NewTextHandler(log, nil))) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done, log)
	})
	return &server{addr: log.Await(t, `msg=listening addr=(\S+)`)[1], log: log}
}

// hello is the beginning of a ClientHello of 512 bytes.
const hello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

func TestBadPeersHoldNobodyUp(t *testing.T) {
	tests := []struct {
		name string
		act  func(t *testing.T, c *net.TCPConn)
		want string // in the log
	}{
		{"garbage", func(t *testing.T, c *net.TCPConn) {
			_, err := c.Write(bytes.Repeat([]byte("garbage\r\n"), 1000))
			require.NoError(t, err)
		}, `error=`},
		{"plain HTTP", func(t *testing.T, c *net.TCPConn) {
			_, err := io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
		}, `error=`},
		{"silence", func(t *testing.T, c *net.TCPConn) {}, `no handshake within 1s`},
		{"half a hello", func(t *testing.T, c *net.TCPConn) {
			_, err := io.WriteString(c, hello)
			require.NoError(t, err)
		}, `no handshake within 1s`},
		{"half a hello and end of stream", func(t *testing.T, c *net.TCPConn) {
			_, err := io.WriteString(c, hello)
			require.NoError(t, err)
			require.NoError(t, c.CloseWrite())
		}, `error=`},
		{"reset", func(t *testing.T, c *net.TCPConn) {
			require.NoError(t, c.SetLinger(0))
			require.NoError(t, c.Close())
		}, `error=`},
	}
	for _, mode := range []string{"echo", "http"} {
		for _, tt := range tests {
			t.Run(mode+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				s := limited(t, mode, time.Second, wait)
				c := dialRaw(t, s)
				tt.act(t, c)
				good := connect(t, s, clientConfig(t))
				_, err := io.WriteString(good, "GET / HTTP/1.0\r\n\r\n")
				require.NoError(t, err)
				_, err = good.Read(make([]byte, 1))
				require.NoError(t, err)
				s.log.Await(t, `level=WARN msg=connection peer=127.0.0.1:\d+ error=.*`+
					strings.TrimPrefix(tt.want, "error="))
			})
		}
	}
}

func TestPeersThatBreakOffAfterTheHandshake(t *testing.T) {
	tests := []struct {
		name string
		act  func(t *testing.T, c *gnutls.Conn)
	}{
		{"end of stream without close_notify", func(t *testing.T, c *gnutls.Conn) {
			require.NoError(t, c.NetConn().(*net.TCPConn).CloseWrite())
		}},
		{"garbage in place of a record", func(t *testing.T, c *gnutls.Conn) {
			_, err := c.NetConn().Write(make([]byte, 100))
			require.NoError(t, err)
		}},
		{"reset", func(t *testing.T, c *gnutls.Conn) {
			require.NoError(t, c.NetConn().(*net.TCPConn).SetLinger(0))
			require.NoError(t, c.NetConn().Close())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, pair("server")...)
			c := connect(t, s, clientConfig(t))
			echoes(t, c)
			tt.act(t, c)
			s.log.Await(t, `level=WARN msg=broken peer=127.0.0.1:\d+ error=`)
			echoes(t, connect(t, s, clientConfig(t)))
		})
	}
}

func TestIdleConnectionIsClosed(t *testing.T) {
	for _, mode := range []string{"echo", "http"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			s := limited(t, mode, wait, 500*time.Millisecond)
			c := connect(t, s, clientConfig(t))
			_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
			require.NoError(t, err)
			answer, err := io.ReadAll(c) // until the close_notify
			require.NoError(t, err)
			assert.NotEmpty(t, answer)
		})
	}
}

// stuck connects a client that sends and never reads, until the server cannot
// write either.
func stuck(t *testing.T, s *server) {
	t.Helper()
	c := connect(t, s, clientConfig(t))
	require.NoError(t, c.NetConn().(*net.TCPConn).SetReadBuffer(4096))
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(500*time.Millisecond)))
	_, err := c.Write(make([]byte, 64<<20))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

func TestSignalsEndTheServer(t *testing.T) {
	for _, tt := range []struct {
		mode   string
		signal syscall.Signal
	}{
		{"echo", syscall.SIGTERM}, {"echo", syscall.SIGINT}, {"http", syscall.SIGTERM},
	} {
		t.Run(tt.mode+" "+tt.signal.String(), func(t *testing.T) {
			t.Parallel()
			s, cmd := startProcess(t, append(pair("server"), "-mode", tt.mode)...)
			idle := connect(t, s, clientConfig(t))
			if tt.mode == "echo" {
				echoes(t, idle)
				stuck(t, s)
			}
			silent := dialRaw(t, s)
			require.NoError(t, cmd.Process.Signal(tt.signal))
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			_, err := idle.Read(make([]byte, 1))
			assert.ErrorIs(t, err, io.EOF, "the server says close_notify")
			_, err = silent.Read(make([]byte, 1))
			assert.Error(t, err)
			select {
			case err := <-ended:
				assert.NoError(t, err, s.log)
			case <-time.After(wait):
				assert.Fail(t, "the server is still there", s.log)
			}
			_, err = net.Dial("tcp", s.addr)
			assert.ErrorIs(t, err, syscall.ECONNREFUSED)
		})
	}
}

func TestConnectionsGoOnForAGracePeriod(t *testing.T) {
	s, cmd := startProcess(t, pair("server")...)
	c := connect(t, s, clientConfig(t))
	echoes(t, c)
	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
	require.Eventually(t, func() bool {
		probe, err := net.Dial("tcp", s.addr)
		if err == nil {
			probe.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	}, wait, time.Millisecond)
	echoes(t, c)
	begin := time.Now()
	require.NoError(t, c.Close())
	require.NoError(t, cmd.Wait(), s.log)
	assert.Less(t, time.Since(begin), shutdownGrace, "the last connection ends the wait")
}

func TestSecondSignalEndsTheServerAtOnce(t *testing.T) {
	s, cmd := startProcess(t, pair("server")...)
	echoes(t, connect(t, s, clientConfig(t)))
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for deadline := time.After(wait); ; {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err := <-ended:
			var exit *exec.ExitError
			require.ErrorAs(t, err, &exit)
			assert.Equal(t, syscall.SIGTERM, exit.Sys().(syscall.WaitStatus).Signal())
			return
		case <-time.After(10 * time.Millisecond):
		case <-deadline:
			require.Fail(t, "the server is still there")
		}
	}
}

// flaky is a listener whose first Accept fails.
type flaky struct {
	net.Listener
	failed bool
}

func (l *flaky) Accept() (net.Conn, error) {
	if !l.failed {
		l.failed = true
		return nil,
			&net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return l.Listener.Accept()
}

func TestServerOutlivesAFailedAccept(t *testing.T) {
	for _, mode := range []string{"echo", "http"} {
		t.Run(mode, func(t *testing.T) {
			opts, err := parse(append(pair("server"), "-mode", mode), io.Discard)
			require.NoError(t, err)
			opts.grace = 0
			config, err := opts.config()
			require.NoError(t, err)
			inner, err := gnutls.Listen("tcp", "127.0.0.1:0", config)
			require.NoError(t, err)
			out := toolstest.NewPrinted()
			log := slog.New(slog.NewTextHandler(out, nil))
			ln := &listener{Listener: &flaky{Listener: inner}, limit: wait, log: log}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() {
				if mode == "http" {
					done <- serveHTTP(ctx, ln, opts, log)
				} else {
					serveEcho(ctx, ln, opts, log)
					done <- nil
				}
			}()
			c := connect(t, &server{addr: inner.Addr().String()}, clientConfig(t))
			_, err = io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
			require.NoError(t, err)
			_, err = c.Read(make([]byte, 1))
			assert.NoError(t, err)
			assert.Contains(t, out.String(), "too many open files")
			cancel()
			assert.NoError(t, <-done)
		})
	}
}
