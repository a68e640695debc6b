package gnutls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// silentListener accepts connections, and says nothing on them while silent is
// set. It counts those that their clients have closed.
type silentListener struct {
	net.Listener
	silent atomic.Bool
	closed chan struct{}
}

func listenSilently(t *testing.T) *silentListener {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { inner.Close() })
	l := &silentListener{Listener: inner, closed: make(chan struct{}, 100)}
	l.silent.Store(true)
	return l
}

func (l *silentListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil || !l.silent.Load() {
			return conn, err
		}
		go func() {
			io.Copy(io.Discard, conn)
			conn.Close()
			l.closed <- struct{}{}
		}()
	}
}

// serveSilently accepts connections without an answer.
func (l *silentListener) serveSilently() {
	go func() {
		for {
			if _, err := l.Accept(); err != nil {
				return
			}
		}
	}()
}

func TestDialerBoundsTheHandshake(t *testing.T) {
	const limit = 50 * time.Millisecond
	for name, c := range map[string]struct {
		dialer Dialer
		text   string
	}{
		"NetDialer.Timeout": {Dialer{NetDialer: &net.Dialer{Timeout: limit}}, ""},
		"NetDialer.Deadline": {Dialer{NetDialer: &net.Dialer{Deadline: time.Now().Add(limit)}},
			""},
		"HandshakeTimeout":            {Dialer{HandshakeTimeout: limit}, "is not complete after 50ms"},
		"NetDialer.Timeout in a race": {Dialer{NetDialer: &net.Dialer{Timeout: limit}, Race: true}, ""},
		"HandshakeTimeout in a race": {Dialer{HandshakeTimeout: limit, Race: true},
			"is not complete after 50ms"},
		"none but NetDialer.Timeout": {Dialer{NetDialer: &net.Dialer{Timeout: limit},
			HandshakeTimeout: -1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := listenSilently(t)
			l.serveSilently()
			c.dialer.Config = clientConfig(t)
			conn, err := c.dialer.DialContext(waitContext(t), "tcp", l.Addr().String())
			require.Nil(t, conn)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, c.text)
			var timeout net.Error
			require.True(t, errors.As(err, &timeout))
			assert.True(t, timeout.Timeout())
		})
	}
}

func TestDialerHasADefaultBoundWhereNothingElseHas(t *testing.T) {
	bounded, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	assert.Equal(t, DefaultHandshakeTimeout, new(Dialer).handshakeLimit(context.Background()))
	assert.Zero(t, new(Dialer).handshakeLimit(bounded))
	assert.Equal(t, time.Minute, (&Dialer{HandshakeTimeout: time.Minute}).handshakeLimit(bounded))
	assert.Negative(t, (&Dialer{HandshakeTimeout: -1}).handshakeLimit(context.Background()))
}

// TestHTTPClientRecoversFromASilentServer has a server that is silent at first, and
// a client of net/http with few connections, which takes the deadline of a request
// away from the context of Dialer.DialContext.
func TestHTTPClientRecoversFromASilentServer(t *testing.T) {
	const conns, limit = 2, 100 * time.Millisecond
	for name, dialer := range map[string]*Dialer{
		"HandshakeTimeout":  {HandshakeTimeout: limit},
		"NetDialer.Timeout": {NetDialer: &net.Dialer{Timeout: limit}},
	} {
		t.Run(name, func(t *testing.T) {
			l := listenSilently(t)
			server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, "here")
			})}
			go server.Serve(NewListener(l, serverConfig(t)))
			defer server.Close()
			dialer.Config = clientConfig(t)
			transport := &http.Transport{DialTLSContext: dialer.DialContext, MaxConnsPerHost: conns}
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			for range conns {
				ctx, cancel := context.WithTimeout(context.Background(), limit/10)
				request, err := http.NewRequestWithContext(ctx, "GET", "https://"+l.Addr().String(), nil)
				require.NoError(t, err)
				_, err = client.Do(request)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				cancel()
			}
			for range conns {
				select {
				case <-l.closed:
				case <-time.After(wait):
					require.Fail(t, "the client keeps its connections to the silent server")
				}
			}
			l.silent.Store(false)
			response, err := client.Get("https://" + l.Addr().String())
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Equal(t, http.StatusOK, response.StatusCode)
		})
	}
}
