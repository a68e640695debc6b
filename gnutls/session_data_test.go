package gnutls

import (
	"context"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// newSessionData connects and returns session data.
func newSessionData(t testing.TB, client, server *Config) *SessionData {
	t.Helper()
	c, s := connect(t, client, server)
	echo(t, c, s)
	d, err := c.SessionData(waitContext(t))
	require.NoError(t, err)
	return d
}

func withVersion(config *Config, version uint16) *Config {
	config.MaxVersion = version
	return config
}

func TestSessionDataTellWhatTheyAreFor(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := withVersion(clientConfig(t), version), serverConfig(t)
			client.NextProtos, server.NextProtos = []string{"spdy", "h9"}, []string{"h9"}
			before := time.Now().Round(0)
			d := newSessionData(t, client, server)
			assert.Equal(t, version, d.Version())
			assert.Equal(t, "localhost", d.ServerName())
			assert.Equal(t, "h9", d.NegotiatedProtocol())
			assert.Equal(t, LibraryVersion(), d.LibraryVersion())
			assert.Equal(t, 6*time.Hour, d.Lifetime(), "what GnuTLS servers say")
			assert.False(t, d.Arrived().Before(before))
			assert.False(t, d.Arrived().After(time.Now()))
			assert.Equal(t, d.Arrived().Add(d.Lifetime()), d.Expires())
			assert.Equal(t, version == VersionTLS13, d.SingleUse())
			assert.Zero(t, d.MaxEarlyData())
			for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
				text := fmt.Sprintf(format, d)
				assert.Contains(t, text, "localhost")
				assert.Less(t, len(text), 120, "no secret is in the text: %s", text)
			}
		})
	}
}

func TestSessionDataSurviveMarshalling(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := withVersion(clientConfig(t), version), serverConfig(t)
			d := newSessionData(t, client, server)
			file := filepath.Join(t.TempDir(), "session")
			b, err := d.MarshalBinary()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, b, 0o600))

			b, err = os.ReadFile(file)
			require.NoError(t, err)
			var loaded SessionData
			require.NoError(t, loaded.UnmarshalBinary(b))
			assert.Equal(t, d.String(), loaded.String())
			assert.Equal(t, d.data, loaded.data)
			assert.WithinDuration(t, d.Arrived(), loaded.Arrived(), time.Millisecond)
			assert.Equal(t, d.verified[1].Raw, loaded.verified[1].Raw)
			assert.True(t, resume(t, client, server, &loaded))
		})
	}
}

func TestDamagedSessionDataAreRefused(t *testing.T) {
	d := newSessionData(t, clientConfig(t), serverConfig(t))
	good, err := d.MarshalBinary()
	require.NoError(t, err)
	unmarshal := func(b []byte) error { return new(SessionData).UnmarshalBinary(b) }
	typed := func(err error) bool {
		var refused *SessionDataError
		return errors.As(err, &refused) && refused.Reason != nil && refused.Error() != ""
	}
	for n := range good {
		err := unmarshal(good[:n])
		require.True(t, typed(err), "cut off after %d bytes: %v", n, err)
		if n > 40 {
			require.ErrorIs(t, err, ErrSessionDamaged, "cut off after %d bytes", n)
		}
	}
	for i := range good {
		for bit := range 8 {
			bad := append([]byte(nil), good...)
			bad[i] ^= 1 << bit
			require.True(t, typed(unmarshal(bad)), "bit %d of byte %d is wrong", bit, i)
		}
	}
	assert.ErrorIs(t, unmarshal(append(append([]byte(nil), good...), 0)), ErrSessionDamaged,
		"bytes after the end")
	for name, foreign := range map[string][]byte{
		"nothing":                   nil,
		"text":                      []byte("-----BEGIN CERTIFICATE-----\n"),
		"a certificate":             testCertificate(t, "server").Certificate[0],
		"GnuTLS's own session data": d.data,
		"the dummy":                 {0, 0, 0, 0},
	} {
		assert.ErrorIs(t, unmarshal(foreign), ErrSessionForeign, name)
	}
}

// reencode changes the envelope and gives it a matching hash.
func reencode(t testing.TB, d *SessionData, change func(*sessionEnvelope)) []byte {
	t.Helper()
	b, err := d.MarshalBinary()
	require.NoError(t, err)
	var e sessionEnvelope
	_, err = asn1.Unmarshal(b, &e)
	require.NoError(t, err)
	change(&e)
	e.Sum, err = e.sum()
	require.NoError(t, err)
	b, err = asn1.Marshal(e)
	require.NoError(t, err)
	return b
}

func TestSessionDataOfAnotherFormatAreRefused(t *testing.T) {
	d := newSessionData(t, clientConfig(t), serverConfig(t))
	err := new(SessionData).UnmarshalBinary(reencode(t, d, func(e *sessionEnvelope) { e.Format = 3 }))
	assert.ErrorIs(t, err, ErrSessionFormat)
	for name, change := range map[string]func(*sessionEnvelope){
		"version":       func(e *sessionEnvelope) { e.Version = 1 << 20 },
		"lifetime":      func(e *sessionEnvelope) { e.LifetimeMs = -1 },
		"long lifetime": func(e *sessionEnvelope) { e.LifetimeMs = 8 * 24 * 3600 * 1000 },
		"early data":    func(e *sessionEnvelope) { e.MaxEarlyData = 1 << 40 },
		"trust":         func(e *sessionEnvelope) { e.Trust = nil },
		"identity":      func(e *sessionEnvelope) { e.Identity = []byte("x") },
		"no data":       func(e *sessionEnvelope) { e.Data = nil },
		"certificate":   func(e *sessionEnvelope) { e.Verified = [][]byte{[]byte("x")} },
	} {
		err := new(SessionData).UnmarshalBinary(reencode(t, d, change))
		assert.ErrorIs(t, err, ErrSessionDamaged, name)
	}
}

// Session data that cannot be used are refused with their reason, and the
// connection makes a full handshake.
func TestUnusableSessionDataLeadToAFullHandshake(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		server := serverConfig(t)
		made := newSessionData(t, withVersion(clientConfig(t), version), server)
		for name, test := range map[string]struct {
			change func(*sessionEnvelope)
			config func(*Config)
			reason error
		}{
			"another GnuTLS version": {
				change: func(e *sessionEnvelope) { e.Library = "3.5.0" }, reason: ErrSessionLibrary},
			"expired": {
				change: func(e *sessionEnvelope) { e.ArrivedMs -= 7 * 3600 * 1000 }, reason: ErrSessionExpired},
			"no lifetime": {
				change: func(e *sessionEnvelope) { e.LifetimeMs = 0 }, reason: ErrSessionExpired},
			"from the future": {
				change: func(e *sessionEnvelope) { e.ArrivedMs += 5 * 3600 * 1000 }, reason: ErrSessionDamaged},
			"another server name": {
				config: func(c *Config) { c.ServerName = "example.test" }, reason: ErrSessionServerName},
			"another trust": {
				config: func(c *Config) { c.RootCAs = testPool(t, "ca.pem", "other-ca.pem") },
				reason: ErrSessionConfig},
			"no trust": {
				config: func(c *Config) { c.InsecureSkipVerify = true }, reason: ErrSessionConfig},
			"another priority": {
				config: func(c *Config) { c.Priority = "SECURE128" }, reason: ErrSessionConfig},
			"a client certificate": {
				config: func(c *Config) { c.Certificates = []Certificate{testCertificate(t, "client")} },
				reason: ErrSessionConfig},
			"a pre-shared key": {
				config: func(c *Config) { c.PSKIdentity, c.PSKKey = "me", []byte("key") },
				reason: ErrSessionConfig},
			"an expired certificate": {
				change: func(e *sessionEnvelope) {
					e.Verified[0] = testCertificate(t, "expired").Certificate[0]
				}, reason: ErrSessionExpired},
			"GnuTLS's data replaced": {
				change: func(e *sessionEnvelope) { e.Data = []byte("these are no session data") },
				reason: ErrSessionDamaged},
		} {
			t.Run(VersionName(version)+"/"+name, func(t *testing.T) {
				d := new(SessionData)
				change := test.change
				if change == nil {
					change = func(*sessionEnvelope) {}
				}
				require.NoError(t, d.UnmarshalBinary(reencode(t, made, change)))
				client := withVersion(clientConfig(t), version)
				if test.config != nil {
					test.config(client)
				}
				cc, sc := tcpPipe(t)
				c, s := Client(cc, client), Server(sc, server)
				defer c.Close()
				defer s.Close()
				err := c.Resume(d)
				var refused *SessionDataError
				require.ErrorAs(t, err, &refused)
				require.ErrorIs(t, err, test.reason)
				clientErr, serverErr := shakeConns(t, c, s)
				require.NoError(t, clientErr)
				require.NoError(t, serverErr)
				assert.False(t, c.ConnectionState().DidResume)
				echo(t, c, s)
			})
		}
	}
}

// Data of a version that the configuration does not allow are not offered.
func TestSessionDataOfAnotherVersion(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		d := newSessionData(t, withVersion(clientConfig(t), version), serverConfig(t))
		other := clientConfig(t)
		if version == VersionTLS12 {
			other.MinVersion = VersionTLS13
		} else {
			other.MaxVersion = VersionTLS12
		}
		cc, sc := tcpPipe(t)
		c, s := Client(cc, other), Server(sc, serverConfig(t))
		defer c.Close()
		defer s.Close()
		assert.ErrorIs(t, c.Resume(d), ErrSessionConfig)
		clientErr, serverErr := shakeConns(t, c, s)
		assert.NoError(t, clientErr)
		assert.NoError(t, serverErr)
	}
}

// A server that goes below TLS 1.3 cannot have the session that was offered,
// whatever session ID it sends.
func TestOldServerHelloWithTheSessionIDOfATLS13SessionIsRefused(t *testing.T) {
	client := clientConfig(t)
	d := newSessionData(t, client, serverConfig(t))
	cc, sc := tcpPipe(t)
	c := Client(cc, client)
	defer c.Close()
	require.NoError(t, c.Resume(d))
	done := make(chan error, 1)
	go func() { done <- c.Handshake() }()

	const idAt = 5 + 4 + 2 + 32 // record and message header, version, random
	hello := make([]byte, 4096)
	n, err := sc.Read(hello)
	require.NoError(t, err)
	require.Greater(t, n, idAt+1+32)
	id := hello[idAt : idAt+1+32]
	require.EqualValues(t, 32, id[0])

	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, id...)
	body = append(body, 0xc0, 0x2c, 0, 0, 0) // a suite of TLS 1.2, no compression, no extensions
	message := append([]byte{2, 0, 0, byte(len(body))}, body...)
	_, err = sc.Write(append([]byte{22, 3, 3, 0, byte(len(message))}, message...))
	require.NoError(t, err)

	alert := make([]byte, 7)
	_, err = io.ReadFull(sc, alert)
	require.NoError(t, err)
	assert.Equal(t, []byte{21, 3, 3, 0, 2, 2, byte(AlertIllegalParameter)}, alert)
	assert.Error(t, <-done)
	assert.False(t, c.ConnectionState().HandshakeComplete)
}

// What the server does not know it does not resume.
func TestSessionDataOfAServerWithAnotherKey(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		client := withVersion(clientConfig(t), version)
		d := newSessionData(t, client, serverConfig(t))
		assert.False(t, resume(t, client, serverConfig(t), d), VersionName(version))
	}
}

func TestServersWithOneTicketKeyResumeEachOthersSessions(t *testing.T) {
	key, err := NewTicketKey()
	require.NoError(t, err)
	copied, err := ParseTicketKey(key.Bytes())
	require.NoError(t, err)
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		client := withVersion(clientConfig(t), version)
		one, other := serverConfig(t), serverConfig(t)
		one.TicketKey, other.TicketKey = key, copied
		assert.True(t, resume(t, client, other, newSessionData(t, client, one)), VersionName(version))
	}
}

func TestTicketKeysAreCheckedAndStaySecret(t *testing.T) {
	for _, n := range []int{0, 63, 65} {
		_, err := ParseTicketKey(make([]byte, n))
		assert.ErrorContains(t, err, fmt.Sprintf("not %d", n))
	}
	key, err := NewTicketKey()
	require.NoError(t, err)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		assert.NotContains(t, fmt.Sprintf(format, key), fmt.Sprintf("%x", key.Bytes()[:4]))
	}
	other, err := NewTicketKey()
	require.NoError(t, err)
	assert.NotEqual(t, key.Bytes(), other.Bytes())
}

func TestResumedConnectionsTellThePeersCertificates(t *testing.T) {
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		t.Run(VersionName(version), func(t *testing.T) {
			client, server := withVersion(clientConfig(t), version), serverConfig(t)
			client.Certificates = []Certificate{testCertificate(t, "client")}
			server.ClientAuth, server.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
			d := newSessionData(t, client, server)

			cc, sc := tcpPipe(t)
			c, s := Client(cc, client), Server(sc, server)
			defer c.Close()
			defer s.Close()
			require.NoError(t, c.Resume(d))
			clientErr, serverErr := shakeConns(t, c, s)
			require.NoError(t, clientErr)
			require.NoError(t, serverErr)
			for _, test := range []struct {
				conn *Conn
				leaf string
			}{{c, "server"}, {s, "client"}} {
				cs := test.conn.ConnectionState()
				assert.True(t, cs.DidResume)
				assert.False(t, cs.PSK)
				require.NotEmpty(t, cs.PeerCertificates)
				assert.Equal(t, testCertificate(t, test.leaf).Certificate[0], cs.PeerCertificates[0].Raw)
				require.Len(t, cs.VerifiedChains, 1)
				assert.Len(t, cs.VerifiedChains[0], 2)
			}
		})
	}
}

// A server that shares a ticket key with one that trusts others must not take
// that one's word for its clients.
func TestResumptionDoesNotCarryTrustToAnotherServer(t *testing.T) {
	key, err := NewTicketKey()
	require.NoError(t, err)
	for _, version := range []uint16{VersionTLS12, VersionTLS13} {
		for name, test := range map[string]struct {
			clientCert string
			change     func(*Config)
		}{
			"no certificate where one is needed": {"", func(c *Config) {
				c.ClientAuth, c.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
			}},
			"a pre-shared key of another server": {"psk", func(c *Config) {
				c.ClientAuth, c.ClientCAs = RequireAndVerifyClientCert, testPool(t, "ca.pem")
			}},
			"a certificate of an authority that is not trusted": {"client", func(c *Config) {
				c.ClientAuth, c.ClientCAs = RequireAndVerifyClientCert, testPool(t, "other-ca.pem")
			}},
		} {
			t.Run(VersionName(version)+"/"+name, func(t *testing.T) {
				client := withVersion(clientConfig(t), version)
				lax, strict := serverConfig(t), serverConfig(t)
				lax.TicketKey, strict.TicketKey = key, key
				lax.ClientAuth = RequestClientCert
				switch test.clientCert {
				case "psk":
					client.PSKIdentity, client.PSKKey = "me", []byte("0123456789abcdef")
					lax.GetPSK = func(context.Context, string) ([]byte, error) { return client.PSKKey, nil }
				case "client":
					client.Certificates = []Certificate{testCertificate(t, test.clientCert)}
				}
				test.change(strict)
				d := newSessionData(t, client, lax)

				cc, sc := tcpPipe(t)
				c, s := Client(cc, client), Server(sc, strict)
				defer c.Close()
				defer s.Close()
				require.NoError(t, c.Resume(d))
				_, serverErr := shakeConns(t, c, s)
				require.Error(t, serverErr)
				t.Log(serverErr)
				assert.False(t, s.ConnectionState().HandshakeComplete)
			})
		}
	}
}

func TestResumeBySessionIDWithTheStore(t *testing.T) {
	client, server := withVersion(clientConfig(t), VersionTLS12), serverConfig(t)
	server.SessionTicketsDisabled = true
	d := newSessionData(t, client, server)
	assert.Equal(t, 24*time.Hour, d.Lifetime(), "the server says nothing about it")
	assert.True(t, resume(t, client, server, d))
	assert.True(t, resume(t, client, server, d), "TLS 1.2 data may be used again")
	other := serverConfig(t)
	other.SessionTicketsDisabled = true
	assert.False(t, resume(t, client, other, d), "another store")

	shared := NewSessionStore(0)
	one, two := serverConfig(t), serverConfig(t)
	for _, config := range []*Config{one, two} {
		config.SessionTicketsDisabled, config.SessionStore = true, shared
	}
	assert.True(t, resume(t, client, two, newSessionData(t, client, one)), "a shared store")
}

// brokenStore fails in every way.
type brokenStore struct{ fail func() error }

func (b brokenStore) Put(context.Context, []byte, []byte, time.Time) error { return b.fail() }
func (b brokenStore) Get(context.Context, []byte) ([]byte, error)          { return nil, b.fail() }
func (b brokenStore) Delete(context.Context, []byte) error                 { return b.fail() }

func TestABrokenStoreCostsNoMoreThanResumption(t *testing.T) {
	client, server := withVersion(clientConfig(t), VersionTLS12), serverConfig(t)
	server.SessionTicketsDisabled = true
	server.SessionStore = brokenStore{func() error { return errors.New("the store is down") }}
	var log logBuffer
	server.Logger = log.logger()
	d := newSessionData(t, client, server)
	assert.False(t, resume(t, client, server, d))
	assert.Contains(t, log.String(), "the store is down")
}

func TestAPanicOfAStoreIsAnErrorOfTheHandshake(t *testing.T) {
	client, server := withVersion(clientConfig(t), VersionTLS12), serverConfig(t)
	server.SessionTicketsDisabled = true
	server.SessionStore = brokenStore{func() error { panic("store") }}
	_, _, _, serverErr := shake(t, client, server)
	var p *PanicError
	require.ErrorAs(t, serverErr, &p)
	assert.Equal(t, "store", p.Value)
	assert.Contains(t, string(p.Stack), "brokenStore")
}

// storeSpy records the calls that a server makes.
type storeSpy struct {
	SessionStore
	ctx     context.Context
	expires time.Time
}

func (s *storeSpy) Put(ctx context.Context, id, data []byte, expires time.Time) error {
	s.ctx, s.expires = ctx, expires
	return s.SessionStore.Put(ctx, id, data, expires)
}

func TestStoreGetsTheContextAndTheExpiry(t *testing.T) {
	client, server := withVersion(clientConfig(t), VersionTLS12), serverConfig(t)
	server.SessionTicketsDisabled = true
	spy := &storeSpy{SessionStore: NewSessionStore(1)}
	server.SessionStore = spy
	cc, sc := tcpPipe(t)
	c, s := Client(cc, client), Server(sc, server)
	defer c.Close()
	defer s.Close()
	type key struct{}
	ctx := context.WithValue(waitContext(t), key{}, "value")
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(ctx) }()
	require.NoError(t, c.Handshake())
	require.NoError(t, <-done)
	assert.Equal(t, "value", spy.ctx.Value(key{}))
	assert.WithinDuration(t, time.Now().Add(6*time.Hour), spy.expires, time.Minute)
}

func FuzzUnmarshalSessionData(f *testing.F) {
	d := newSessionData(f, clientConfig(f), serverConfig(f))
	good, err := d.MarshalBinary()
	require.NoError(f, err)
	f.Add(good)
	f.Add(good[:100])
	f.Add([]byte{0x30, 0x03, 0x0c, 0x01, 0x78})
	f.Fuzz(func(t *testing.T, b []byte) {
		var d SessionData
		if err := d.UnmarshalBinary(b); err != nil {
			var refused *SessionDataError
			require.ErrorAs(t, err, &refused)
			return
		}
		again, err := d.MarshalBinary()
		require.NoError(t, err)
		require.Equal(t, b, again)
	})
}
