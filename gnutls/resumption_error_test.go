package gnutls

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestResumeErrorTellsWhyASessionWasNotResumed(t *testing.T) {
	sameKey := func(t *testing.T, sc *Config) {
		var err error
		sc.TicketKey, err = NewTicketKey()
		require.NoError(t, err)
	}
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, sc *Config)
		data    func(*SessionData)
		client  func(*Config)
		server  func(*Config) // of the second connection
		reason  error
		refused bool // by this side
	}{
		"resumed": {prepare: sameKey},
		"expired": {data: func(d *SessionData) { d.lifetime = time.Nanosecond },
			reason: ErrSessionExpired, refused: true},
		"other name": {client: func(cc *Config) { cc.ServerName = "example.test" },
			reason: ErrSessionServerName, refused: true},
		"other configuration": {client: func(cc *Config) { cc.InsecureSkipVerify = true },
			reason: ErrSessionConfig, refused: true},
		"other key": {server: func(sc *Config) { sc.TicketKey = nil }, reason: ErrSessionDeclined},
		"server has none": {server: func(sc *Config) { sc.SessionTicketsDisabled = true },
			reason: ErrSessionDeclined},
		"other version": {prepare: sameKey, server: func(sc *Config) { sc.MaxVersion = VersionTLS12 },
			reason: ErrSessionVersion},
	} {
		t.Run(name, func(t *testing.T) {
			cc, sc := clientConfig(t), serverConfig(t)
			if tc.prepare != nil {
				tc.prepare(t, sc)
			}
			d := newSessionData(t, cc, sc)
			sc, cc = sc.Clone(), cc.Clone()
			if tc.data != nil {
				tc.data(d)
			}
			if tc.client != nil {
				tc.client(cc)
			}
			if tc.server != nil {
				tc.server(sc)
			}
			var seen error
			cc.VerifyConnection = func(cs ConnectionState) error {
				seen = cs.ResumeError
				return nil
			}
			a, b := tcpPipe(t)
			c, s := Client(a, cc), Server(b, sc)
			defer c.Close()
			defer s.Close()
			err := c.Resume(d)
			if tc.refused {
				assert.ErrorIs(t, err, tc.reason)
			} else {
				assert.NoError(t, err)
			}
			clientErr, serverErr := shakeConns(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			cs := c.ConnectionState()
			assert.Equal(t, tc.reason == nil, cs.DidResume)
			if tc.reason == nil {
				assert.NoError(t, cs.ResumeError)
				return
			}
			assert.ErrorIs(t, cs.ResumeError, tc.reason)
			assert.IsType(t, &SessionDataError{}, cs.ResumeError)
			assert.Error(t, seen, "VerifyConnection knows it, too")
			assert.NoError(t, s.ConnectionState().ResumeError)
			echo(t, c, s)
		})
	}
}

// A GnuTLS server fails the handshake where it accepts a ticket and has no
// cipher suite that goes with it, and below TLS 1.3 it resumes in spite of its
// priorities. Others make a full handshake.
func TestResumeErrorOfACipherSuiteThatDoesNotGoWithTheSession(t *testing.T) {
	const aes128, aes256, chacha, ecdsa128 = 0x1301, 0x1302, 0x1303, 0xc02b
	for _, tc := range []struct {
		version      uint16
		session, now uint16
		reason       error
	}{
		{VersionTLS13, aes128, aes128, ErrSessionDeclined},
		{VersionTLS13, aes128, chacha, ErrSessionDeclined}, // the same hash
		{VersionTLS13, aes128, aes256, ErrSessionCipher},
		{VersionTLS13, aes256, chacha, ErrSessionCipher},
		{VersionTLS12, ecdsa128, ecdsa128, ErrSessionDeclined},
		{VersionTLS12, ecdsa128, 0xc02c, ErrSessionCipher},
		{VersionTLS12, ecdsa128, 0, ErrSessionDeclined}, // not known yet
	} {
		d := &SessionData{version: tc.version, cipherSuite: tc.session}
		err := d.declined(&ConnectionState{Version: tc.version, CipherSuite: tc.now})
		assert.ErrorIs(t, err, tc.reason, "%+v", tc)
	}
}

func TestResumeErrorWithACache(t *testing.T) {
	cc, sc := clientConfig(t), serverConfig(t)
	c, _ := connect(t, cc, sc)
	assert.NoError(t, c.ConnectionState().ResumeError, "nobody wanted to resume")
	cc = clientConfig(t)
	cc.ClientSessionCache = NewClientSessionCache(0)
	c, _ = connect(t, cc, sc)
	assert.ErrorIs(t, c.ConnectionState().ResumeError, ErrNoSession)
	assert.ErrorContains(t, c.ConnectionState().ResumeError, c.cacheKey)
}

func TestSessionDataOfAServerThatAnnouncesNoTickets(t *testing.T) {
	cc, sc := clientConfig(t), serverConfig(t)
	cc.TicketRequest = &TicketRequest{}
	c, s := connect(t, cc, sc)
	_, err := c.SessionData(waitContext(t))
	assert.ErrorIs(t, err, ErrNoTicket)
	assert.ErrorContains(t, err, "announced")

	require.NoError(t, s.SendTickets(1))
	echo(t, s, c)
	_, err = c.SessionData(waitContext(t))
	assert.NoError(t, err, "it may send some later")
}
