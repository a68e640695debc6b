package gnutls

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

func newTLSSession(t *testing.T) (*tlsSession, *Conn) {
	t.Helper()
	a, _ := tcpPipe(t)
	c := Client(a, nil)
	native, code := cgnutls.NewSession(cgnutls.Options{})
	require.GreaterOrEqual(t, code, cgnutls.OK)
	c.tls.replace(&session{s: native}, c)
	return &c.tls, c
}

func TestNativeSessionIsFreedByWhoUsesItLast(t *testing.T) {
	s, _ := newTLSSession(t)
	require.True(t, s.lock())
	s.closed.Store(true)
	s.release()
	assert.NotNil(t, s.session, "it is in use")
	s.unlock()
	assert.Nil(t, s.session)
	assert.False(t, s.lock())
	s.release()
}

func TestNativeSessionIsFreedByClose(t *testing.T) {
	s, c := newTLSSession(t)
	require.NoError(t, c.Close())
	assert.Nil(t, s.session)
	assert.False(t, s.lock())
}

func TestNativeSessionIsNotReplacedAfterClose(t *testing.T) {
	s, c := newTLSSession(t)
	s.closed.Store(true)
	native, code := cgnutls.NewSession(cgnutls.Options{})
	require.GreaterOrEqual(t, code, cgnutls.OK)
	s.replace(&session{s: native}, c)
	assert.Nil(t, s.session, "both are freed")
}
