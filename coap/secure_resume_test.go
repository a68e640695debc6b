package coap

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/coappeer"
	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

// resumption reports whether sessions can resume, and otherwise checks that all that asks
// for it says so.
func resumption(t *testing.T) bool {
	if Supports(FeatureSessionResumption) {
		return true
	}
	key, err := gnutls.NewTicketKey()
	require.NoError(t, err)
	for _, config := range []Config{
		{ClientSessionCache: gnutls.NewClientSessionCache(0)},
		{TicketRequest: &gnutls.TicketRequest{New: 1}},
		{TicketKey: key},
		{SessionTickets: 1},
	} {
		_, err := NewNode(&config)
		assert.ErrorIs(t, err, ErrNotSupported)
	}
	return false
}

// eachResuming runs a test over DTLS and TLS.
func eachResuming(t *testing.T, f func(t *testing.T, proto Protocol)) {
	if resumption(t) {
		eachSecure(t, f)
	}
}

func ticketKey(t testing.TB) *gnutls.TicketKey {
	t.Helper()
	key, err := gnutls.NewTicketKey()
	require.NoError(t, err)
	return key
}

// A seen is what a handler sees of a session.
type seen struct {
	state    gnutls.ConnectionState
	identity string
	subject  string
}

func watching(sessions chan<- seen) Handler {
	return HandlerFunc(func(w ResponseWriter, r *Request) {
		state, _ := r.Session.TLS()
		s := seen{state: state, identity: r.Session.PeerIdentity()}
		if certs := r.Session.PeerCertificates(); len(certs) > 0 {
			s.subject = certs[0].Subject.CommonName
		}
		sessions <- s
	})
}

func TestResumption(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		for _, tc := range []struct {
			name   string
			server Config
			client Config
		}{
			{"certificate", Config{PKI: PKI{Certificates: pairs(t, "server")}},
				Config{PKI: PKI{RootCAs: pool(t, "ca")}}},
			{"client certificate", Config{PKI: PKI{
				Certificates: pairs(t, "server"), ClientAuth: gnutls.RequireAndVerifyClientCert,
				ClientCAs: pool(t, "ca"),
			}}, Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client")}}},
			{"pre-shared key", Config{ServerPSK: pskServer},
				Config{PSK: PSK{Identity: "client1", Key: testKey}}},
		} {
			t.Run(tc.name, func(t *testing.T) {
				sessions := make(chan seen, 1)
				tc.server.TicketKey = ticketKey(t)
				addr := listen(t, &tc.server, proto, watching(sessions))
				tc.client.ClientSessionCache = gnutls.NewClientSessionCache(0)
				var first seen
				for i := range 3 {
					s, err := Dial(waitContext(t), uri(proto, addr, ""), &tc.client)
					require.NoError(t, err)
					_, err = s.Get(waitContext(t), "/")
					require.NoError(t, err)
					server := receive(t, sessions)
					state, ok := s.TLS()
					require.True(t, ok)
					_, err = s.SessionData(waitContext(t))
					require.NoError(t, err)
					s.Close()
					assert.Equal(t, i > 0, state.DidResume, "client")
					assert.Equal(t, i > 0, server.state.DidResume, "server")
					assert.True(t, state.HandshakeComplete)
					if i == 0 {
						first = server
						assert.ErrorIs(t, state.ResumeError, gnutls.ErrNoSession)
						continue
					}
					assert.NoError(t, state.ResumeError)
					assert.Equal(t, first.identity, server.identity)
					assert.Equal(t, first.subject, server.subject)
					assert.Equal(t, first.state.PSK, server.state.PSK)
					assert.Equal(t, first.state.PSK, state.PSK)
				}
			})
		}
	})
}

// ask dials, makes a request and closes, when there is a session to resume. It returns what
// the handshake has settled, for the client.
func ask(t testing.TB, config *Config, addr netip.AddrPort, proto Protocol) gnutls.ConnectionState {
	t.Helper()
	s, err := Dial(waitContext(t), uri(proto, addr, ""), config)
	require.NoError(t, err)
	defer s.Close()
	r, err := s.Get(waitContext(t), "/")
	require.NoError(t, err)
	require.Equal(t, CodeContent, r.Code)
	_, err = s.SessionData(waitContext(t))
	require.NoError(t, err)
	state, ok := s.TLS()
	require.True(t, ok)
	return state
}

// A fixedCache has the same session for every server.
type fixedCache struct {
	mu      sync.Mutex
	session *gnutls.SessionData
}

func (c *fixedCache) Get(string) *gnutls.SessionData {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.session
	c.session = nil
	return d
}

func (c *fixedCache) has(d *gnutls.SessionData) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session == d
}

func (c *fixedCache) Put(_ string, d *gnutls.SessionData) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = d
}

// session makes a session that can be resumed.
func session(t testing.TB, config Config, addr netip.AddrPort, proto Protocol) *gnutls.SessionData {
	t.Helper()
	config.ClientSessionCache = new(fixedCache)
	s, err := Dial(waitContext(t), uri(proto, addr, ""), &config)
	require.NoError(t, err)
	defer s.Close()
	d, err := s.SessionData(waitContext(t))
	require.NoError(t, err)
	return d
}

// older returns session data that came earlier, as a file might hold them.
func older(t testing.TB, d *gnutls.SessionData, by time.Duration) *gnutls.SessionData {
	t.Helper()
	const arrived = 9
	b, err := d.MarshalBinary()
	require.NoError(t, err)
	var fields []asn1.RawValue
	_, err = asn1.Unmarshal(b, &fields)
	require.NoError(t, err)
	fields[arrived].FullBytes, err = asn1.Marshal(d.Arrived().Add(-by).UnixMilli())
	require.NoError(t, err)
	var sum []byte
	for range 2 { // the sum is over all with an empty one
		fields[len(fields)-1].FullBytes, err = asn1.Marshal(sum)
		require.NoError(t, err)
		b, err = asn1.Marshal(fields)
		require.NoError(t, err)
		hash := sha256.Sum256(b)
		sum = hash[:]
	}
	d = new(gnutls.SessionData)
	require.NoError(t, d.UnmarshalBinary(b))
	return d
}

func TestSessionsThatCannotBeResumed(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		server := func(key *gnutls.TicketKey) netip.AddrPort {
			return listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: key}, proto,
				hello)
		}
		addr := server(ticketKey(t))
		config := Config{PKI: PKI{RootCAs: pool(t, "ca"), ServerName: "example.test"}}
		for _, tc := range []struct {
			name   string
			addr   netip.AddrPort
			age    time.Duration
			client PKI
			reason error
		}{
			{"expired", addr, 7 * time.Hour, config.PKI, gnutls.ErrSessionExpired},
			{"foreign", server(ticketKey(t)), 0, config.PKI, gnutls.ErrSessionDeclined},
			{"no tickets any more", server(nil), 0, config.PKI, gnutls.ErrSessionDeclined},
			{"other name", addr, 0, PKI{RootCAs: config.PKI.RootCAs, ServerName: "localhost"},
				gnutls.ErrSessionServerName},
			{"other trust", addr, 0, PKI{RootCAs: pool(t, "ca", "other-ca"), ServerName: "example.test"},
				gnutls.ErrSessionConfig},
			{"revocation list", addr, 0, PKI{RootCAs: without(t, "client"), ServerName: "example.test"},
				gnutls.ErrSessionConfig},
			{"no trust", addr, 0, PKI{RootCAs: config.PKI.RootCAs, ServerName: "example.test",
				InsecureSkipVerify: true}, gnutls.ErrSessionConfig},
			{"client certificate", addr, 0, PKI{RootCAs: config.PKI.RootCAs, ServerName: "example.test",
				Certificates: pairs(t, "client")}, gnutls.ErrSessionConfig},
		} {
			t.Run(tc.name, func(t *testing.T) {
				d := session(t, config, addr, proto)
				if tc.age != 0 {
					d = older(t, d, tc.age)
				}
				s, err := Dial(waitContext(t), uri(proto, tc.addr, ""),
					&Config{PKI: tc.client, ClientSessionCache: &fixedCache{session: d}})
				require.NoError(t, err)
				defer s.Close()
				r, err := s.Get(waitContext(t), "/")
				require.NoError(t, err)
				assert.Equal(t, "hello", string(r.Body))
				state, ok := s.TLS()
				require.True(t, ok)
				assert.False(t, state.DidResume)
				assert.ErrorIs(t, state.ResumeError, tc.reason)
			})
		}
		t.Run("other key", func(t *testing.T) {
			addr := listen(t,
				&Config{ServerPSK: ServerPSK{GetKey: func(string, string) ([]byte, error) {
					return testKey, nil
				}}, TicketKey: ticketKey(t)}, proto, hello)
			d := session(t, Config{PSK: PSK{Identity: "client1", Key: testKey}}, addr, proto)
			state := ask(t, &Config{PSK: PSK{Identity: "client2", Key: testKey},
				ClientSessionCache: &fixedCache{session: d}}, addr, proto)
			assert.False(t, state.DidResume)
			assert.ErrorIs(t, state.ResumeError, gnutls.ErrSessionConfig)
		})
	})
}

// A server does not go by what the client thinks of its ticket.
func TestTicketsThatHaveExpiredForTheServer(t *testing.T) {
	if !resumption(t) {
		return
	}
	const age = 7 * time.Hour
	server := func(proto Protocol) netip.AddrPort {
		return listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)},
			proto, hello)
	}
	t.Run("DTLS", func(t *testing.T) {
		addr := server(DTLS)
		config := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
		d := session(t, config, addr, DTLS)
		resume := func() gnutls.ConnectionState {
			config.ClientSessionCache = &fixedCache{session: d}
			return ask(t, &config, addr, DTLS)
		}
		assert.True(t, resume().DidResume)
		t.Run("later", func(t *testing.T) {
			cgnutls.AdvanceClock(age)
			defer cgnutls.AdvanceClock(0)
			state := resume()
			assert.False(t, state.DidResume)
			assert.ErrorIs(t, state.ResumeError, gnutls.ErrSessionDeclined)
		})
		assert.True(t, resume().DidResume, "it was the clock alone")
	})
	// Here the client tells how old the ticket is, and those with GnuTLS send none that is too old.
	t.Run("TLS", func(t *testing.T) {
		addr := server(TLS)
		roots := x509.NewCertPool()
		require.True(t, roots.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
		for _, tc := range []struct {
			age     time.Duration
			resumed bool
		}{{0, true}, {age - 2*time.Hour, true}, {age, false}} {
			cache := &agedCache{age: tc.age, came: make(chan struct{}, 10)}
			config := &tls.Config{RootCAs: roots, NextProtos: []string{"coap"}, ClientSessionCache: cache,
				MinVersion: tls.VersionTLS13}
			for i := range 2 {
				conn, err := tls.Dial("tcp", addr.String(), config)
				require.NoError(t, err)
				defer conn.Close()
				require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
				_, err = conn.Read(make([]byte, 1)) // tickets come first, and then the capabilities
				require.NoError(t, err)
				receive(t, cache.came)
				assert.Equal(t, i > 0 && tc.resumed, conn.ConnectionState().DidResume, tc.age)
			}
		}
	})
}

// An agedCache makes sessions of crypto/tls older than they are.
type agedCache struct {
	age  time.Duration
	came chan struct{}

	mu      sync.Mutex
	session *tls.ClientSessionState
}

func (c *agedCache) Get(string) (*tls.ClientSessionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.session != nil
}

func (c *agedCache) Put(_ string, s *tls.ClientSessionState) {
	if s == nil {
		return
	}
	ticket, state, err := s.ResumptionState()
	if err != nil {
		return
	}
	b, err := state.Bytes()
	if err != nil {
		return
	}
	created := b[5:13] // after version, kind and cipher suite
	binary.BigEndian.PutUint64(created, binary.BigEndian.Uint64(created)-uint64(c.age/time.Second))
	if state, err = tls.ParseSessionState(b); err != nil {
		return
	}
	if s, err = tls.NewResumptionState(ticket, state); err != nil {
		return
	}
	c.mu.Lock()
	c.session = s
	c.mu.Unlock()
	c.came <- struct{}{}
}

// Sessions over DTLS are none over TLS, even if a cache mixes them up.
func TestSessionsOfAnotherTransportAreNotOffered(t *testing.T) {
	if !resumption(t) {
		return
	}
	key := ticketKey(t)
	config := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
	addrs := map[Protocol]netip.AddrPort{}
	for _, proto := range secureProtocols {
		addrs[proto] = listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: key},
			proto, hello)
	}
	for proto, other := range map[Protocol]Protocol{DTLS: TLS, TLS: DTLS} {
		config := config
		config.ClientSessionCache = &fixedCache{session: session(t, config, addrs[other], other)}
		state := ask(t, &config, addrs[proto], proto)
		assert.False(t, state.DidResume)
		assert.ErrorIs(t, state.ResumeError, gnutls.ErrSessionConfig)
	}
}

// A server looks at resumed clients as if they had made a full handshake.
func TestResumedClientsThatAreRefused(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		key := ticketKey(t)
		certificates := Config{TicketKey: key, PKI: PKI{Certificates: pairs(t, "server")}}
		requiring := certificates
		requiring.PKI.ClientAuth, requiring.PKI.ClientCAs = gnutls.RequireAndVerifyClientCert, pool(t,
			"ca")
		otherClients := requiring
		otherClients.PKI.ClientCAs = pool(t, "other-ca")
		revokes := requiring
		revokes.PKI.ClientCAs = without(t, "client")
		picky := requiring
		picky.PKI.VerifyConnection = func(gnutls.ConnectionState) error {
			return errors.New("not on the list")
		}
		psk := Config{TicketKey: key, ServerPSK: pskServer}
		revoked := Config{TicketKey: key,
			ServerPSK: ServerPSK{GetKey: func(string, string) ([]byte, error) { return nil, nil }}}
		pskClient := Config{PSK: PSK{Identity: "client1", Key: testKey}}
		client := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
		withCertificate := Config{PKI: PKI{RootCAs: pool(t, "ca"), Certificates: pairs(t, "client")}}
		for _, tc := range []struct {
			name          string
			first, second Config
			client        Config
			log           string
		}{
			{"no certificate", certificates, requiring, client, "without a certificate"},
			{"certificate of another authority", requiring, otherClients, withCertificate, "certificate"},
			{"certificate that is revoked", requiring, revokes, withCertificate, "revoked"},
			{"certificate that VerifyConnection refuses", requiring, picky, withCertificate,
				"not on the list"},
			{"identity that is gone", psk, revoked, pskClient, "unknown identity"},
			{"pre-shared key where certificates are", psk, requiring, pskClient, "pre-shared key"},
			{"certificate where pre-shared keys are", certificates, psk, client, "pre-shared key"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				d := session(t, tc.client, listen(t, &tc.first, proto, hello), proto)
				logger, lines := logs()
				tc.second.Logger = logger
				handled := make(chan seen, 10)
				addr := listen(t, &tc.second, proto, watching(handled))
				tc.client.ClientSessionCache = &fixedCache{session: d}
				s, err := Dial(waitContext(t), uri(proto, addr, ""), &tc.client)
				if err == nil {
					defer s.Close()
					_, err = s.Get(prompt(t), "/")
				}
				require.Error(t, err)
				assert.Contains(t, receive(t, lines), tc.log)
				assert.Empty(t, handled)
			})
		}
		t.Run("certificates that nobody asked for are not told", func(t *testing.T) {
			d := session(t, withCertificate, listen(t, &requiring, proto, hello), proto)
			handled := make(chan seen, 1)
			addr := listen(t, &certificates, proto, watching(handled))
			config := withCertificate
			config.ClientSessionCache = &fixedCache{session: d}
			assert.True(t, ask(t, &config, addr, proto).DidResume)
			server := receive(t, handled)
			assert.True(t, server.state.DidResume)
			assert.Empty(t, server.subject)
		})
	})
}

// VerifyConnection has its say in every handshake, with the chain of the first.
func TestVerifyConnectionOfResumedSession(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, SessionTickets: 1}, proto,
			hello)
		boom := errors.New("not any more")
		var verdict error
		var states []gnutls.ConnectionState
		config := &Config{ClientSessionCache: gnutls.NewClientSessionCache(0),
			PKI: PKI{RootCAs: pool(t, "ca"), VerifyConnection: func(state gnutls.ConnectionState) error {
				states = append(states, state)
				return verdict
			}}}
		first := ask(t, config, addr, proto)
		second := ask(t, config, addr, proto)
		require.Len(t, states, 2)
		assert.False(t, states[0].DidResume)
		assert.True(t, states[1].DidResume)
		assert.Equal(t, "127.0.0.1", states[1].ServerName)
		require.Len(t, states[0].VerifiedChains, 1)
		assert.Equal(t, states[0].VerifiedChains, states[1].VerifiedChains)
		assert.Equal(t, first.VerifiedChains, second.VerifiedChains)
		assert.Equal(t, first.PeerCertificates[0].Raw, second.PeerCertificates[0].Raw)
		verdict = boom
		_, err := Dial(waitContext(t), uri(proto, addr, ""), config)
		assert.ErrorIs(t, err, boom)
		assert.ErrorIs(t, err, ErrHandshake)
	})
}

// Raw public keys are looked at again.
func TestResumptionWithRawPublicKeys(t *testing.T) {
	if lacks(t, FeatureRawPublicKeys,
		func() error { return newTestNode(t, nil).SetPKI(&PKI{RawPublicKey: rawKeyPair(t)}) }) {
		return
	}
	eachResuming(t, func(t *testing.T, proto Protocol) {
		own, peer := rawKeyPair(t), rawKeyPair(t)
		boom := errors.New("not any more")
		var serverSays, clientSays error
		accept := func(want crypto.Signer, verdict *error) func(crypto.PublicKey) error {
			return func(got crypto.PublicKey) error {
				if !want.Public().(*ecdsa.PublicKey).Equal(got) {
					return errors.New("another key")
				}
				return *verdict
			}
		}
		handled := make(chan crypto.PublicKey, 1)
		addr := listen(t, &Config{SessionTickets: 1,
			PKI: PKI{RawPublicKey: peer, VerifyRawPublicKey: accept(own, &serverSays)}}, proto,
			HandlerFunc(func(w ResponseWriter, r *Request) { handled <- r.Session.PeerPublicKey() }))
		config := &Config{ClientSessionCache: gnutls.NewClientSessionCache(0),
			PKI: PKI{RawPublicKey: own, VerifyRawPublicKey: accept(peer, &clientSays)}}
		for i := range 3 {
			assert.Equal(t, i > 0, ask(t, config, addr, proto).DidResume)
			assert.Equal(t, own.Public(), receive(t, handled))
		}
		clientSays = boom
		_, err := Dial(waitContext(t), uri(proto, addr, ""), config)
		assert.ErrorIs(t, err, boom)
	})
}

func rawKeyPair(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return key
}

// Tickets of the key that was first in the file before are good as well.
func TestTicketKeyFileOfServer(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		file := filepath.Join(t.TempDir(), "keys")
		old, next := ticketKey(t), ticketKey(t)
		require.NoError(t, gnutls.WriteTicketKeyFile(file, old))
		server := func() netip.AddrPort {
			keys, err := gnutls.OpenTicketKeyFile(file)
			require.NoError(t, err)
			return listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKeyFile: keys}, proto,
				hello)
		}
		client := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
		resumes := func(d *gnutls.SessionData, addr netip.AddrPort) bool {
			config := client
			config.ClientSessionCache = &fixedCache{session: d}
			return ask(t, &config, addr, proto).DidResume
		}
		first := server()
		d := session(t, client, first, proto)
		require.NoError(t, gnutls.WriteTicketKeyFile(file, next, old))
		second := server()
		assert.True(t, resumes(d, second), "the second key of the file")
		d = session(t, client, second, proto)
		require.Eventually(t, func() bool { return resumes(d, first) }, wait, 100*time.Millisecond,
			"the file is read again")
		require.NoError(t, gnutls.WriteTicketKeyFile(file, next))
		assert.True(t, resumes(d, server()))
	})
}

// A Client resumes the session that it had.
func TestClientResumesByItself(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, SessionTickets: 2}, proto,
			hello)
		c, err := NewClient(uri(proto, addr, ""), &Config{PKI: PKI{RootCAs: pool(t, "ca")}})
		require.NoError(t, err)
		defer c.Close()
		for i := range 3 {
			_, err := c.Do(waitContext(t), get())
			require.NoError(t, err)
			s, err := c.Session(waitContext(t))
			require.NoError(t, err)
			_, err = s.SessionData(waitContext(t))
			require.NoError(t, err)
			state, ok := s.TLS()
			require.True(t, ok)
			assert.Equal(t, i > 0, state.DidResume)
			s.Close()
		}
	})
}

// How many tickets come over TLS 1.3.
func TestTicketCounts(t *testing.T) {
	if !resumption(t) {
		return
	}
	for _, tc := range []struct {
		name    string
		server  Config
		request *gnutls.TicketRequest
		want    int
	}{
		{"by default", Config{}, nil, gnutls.DefaultSessionTickets},
		{"as configured", Config{SessionTickets: 5}, nil, 5},
		{"more than fit a batch", Config{SessionTickets: 40}, nil, 40},
		{"as asked for", Config{}, &gnutls.TicketRequest{New: 7}, 7},
		{"within the limit", Config{MaxSessionTickets: 3}, &gnutls.TicketRequest{New: 7}, 3},
		{"as LimitTickets says", Config{LimitTickets: func(gnutls.TicketRequestInfo) int { return 4 }},
			&gnutls.TicketRequest{New: 7}, 4},
		{"not more than LimitTickets was told", Config{LimitTickets: func(gnutls.TicketRequestInfo) int {
			return 9
		}}, &gnutls.TicketRequest{New: 7}, 7},
		{"of a client that does not ask", Config{LimitTickets: func(gnutls.TicketRequestInfo) int {
			return 1
		}}, nil, gnutls.DefaultSessionTickets},
		{"requests ignored", Config{SessionTickets: 3, TicketRequestsIgnored: true},
			&gnutls.TicketRequest{New: 7}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.server.PKI.Certificates = pairs(t, "server")
			tc.server.TicketKey = ticketKey(t)
			addr := listen(t, &tc.server, TLS, hello)
			cache := &countingCache{came: make(chan struct{}, 100)}
			s, err := Dial(waitContext(t), uri(TLS, addr, ""),
				&Config{PKI: PKI{RootCAs: pool(t, "ca")}, ClientSessionCache: cache, TicketRequest: tc.request})
			require.NoError(t, err)
			defer s.Close()
			_, err = s.Get(waitContext(t), "/")
			require.NoError(t, err)
			for range tc.want {
				receive(t, cache.came)
			}
			_, err = s.Get(waitContext(t), "/") // behind all tickets
			require.NoError(t, err)
			assert.Empty(t, cache.came)
			state, _ := s.TLS()
			assert.Equal(t, tc.request, state.TicketRequest)
			assert.Equal(t, tc.request != nil && !tc.server.TicketRequestsIgnored,
				state.TicketRequestAnswered)
		})
	}
	t.Run("none", func(t *testing.T) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t),
			SessionTickets: -1}, TLS, hello)
		s, err := Dial(waitContext(t), uri(TLS, addr, ""),
			&Config{PKI: PKI{RootCAs: pool(t, "ca")}, TicketRequest: &gnutls.TicketRequest{}})
		require.NoError(t, err)
		defer s.Close()
		_, err = s.SessionData(waitContext(t))
		assert.ErrorIs(t, err, gnutls.ErrNoTicket)
	})
}

// slowPuts is a cache that takes its time.
type slowPuts struct {
	gnutls.ClientSessionCache
	puts atomic.Int64
}

func (c *slowPuts) Put(key string, d *gnutls.SessionData) {
	time.Sleep(20 * time.Millisecond) // what does not wait for it comes first
	c.ClientSessionCache.Put(key, d)
	c.puts.Add(1)
}

func TestSessionDataIsInTheCache(t *testing.T) {
	if !resumption(t) {
		return
	}
	eachSecure(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)},
			proto, hello)
		cache := &slowPuts{ClientSessionCache: gnutls.NewClientSessionCache(0)}
		s, err := newTestNode(t, &Config{
			PKI: PKI{RootCAs: pool(t, "ca"), ServerName: "example.test"}, ClientSessionCache: cache,
		}).NewClientSession(netip.AddrPort{}, addr, proto)
		require.NoError(t, err)
		_, err = s.SessionData(waitContext(t))
		require.NoError(t, err)
		assert.Positive(t, cache.puts.Load())
	})
}

func TestLimitTicketsKnowsTheClient(t *testing.T) {
	if !resumption(t) {
		return
	}
	asked := make(chan gnutls.TicketRequestInfo, 2)
	addr := listen(t, &Config{
		PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t), MaxSessionTickets: 4,
		LimitTickets: func(info gnutls.TicketRequestInfo) int { asked <- info; return info.Tickets },
	}, TLS, hello)
	config := &Config{
		PKI:                PKI{RootCAs: pool(t, "ca"), ServerName: "example.test"},
		ClientSessionCache: gnutls.NewClientSessionCache(0),
		TicketRequest:      &gnutls.TicketRequest{New: 7, Resumed: 1},
	}
	for i, tickets := range []int{4, 1} {
		c := newTestNode(t, config)
		s, err := c.NewClientSession(netip.AddrPort{}, addr, TLS)
		require.NoError(t, err)
		_, err = s.SessionData(waitContext(t))
		require.NoError(t, err)
		assert.Equal(t, gnutls.TicketRequestInfo{
			Requested: *config.TicketRequest, Resumed: i > 0, Tickets: tickets, ServerName: "example.test",
			RemoteAddr: net.TCPAddrFromAddrPort(s.LocalAddr()),
		}, receive(t, asked))
	}
}

func TestLimitTicketsThatPanicsFailsTheHandshake(t *testing.T) {
	if !resumption(t) {
		return
	}
	logger, lines := logs()
	addr := listen(t, &Config{
		PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t), Logger: logger,
		LimitTickets: func(gnutls.TicketRequestInfo) int { panic("no limit") },
	}, TLS, hello)
	_, err := Dial(prompt(t), uri(TLS, addr, ""),
		&Config{PKI: PKI{RootCAs: pool(t, "ca")}, TicketRequest: &gnutls.TicketRequest{New: 1}})
	assert.Error(t, err)
	assert.Contains(t, receive(t, lines), "no limit")
	assert.Equal(t, "hello", getBody(t, addr))
}

// getBody makes a request in a session that asks for no tickets.
func getBody(t testing.TB, addr netip.AddrPort) string {
	t.Helper()
	r, err := connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}}, addr, TLS).Get(waitContext(t), "/")
	require.NoError(t, err)
	return string(r.Body)
}

// Which key a hint asks for is known only after the session would have to be offered.
func TestSessionsWithForHintDoNotResume(t *testing.T) {
	if !resumption(t) || !Supports(FeaturePSKHints) {
		return
	}
	psk := PSK{ForHint: func(string) (string, []byte, error) { return "client1", testKey, nil }}
	for _, config := range []Config{
		{PSK: psk, ClientSessionCache: gnutls.NewClientSessionCache(0)},
		{PSK: psk, TicketRequest: &gnutls.TicketRequest{New: 1}},
	} {
		_, err := NewNode(&config)
		assert.ErrorIs(t, err, ErrNotSupported)
		assert.ErrorContains(t, err, "ForHint")
	}
	handled := make(chan seen, 1)
	addr := listen(t, &Config{ServerPSK: pskServer, TicketKey: ticketKey(t)}, DTLS, watching(handled))
	c, err := NewClient(uri(DTLS, addr, ""), &Config{PSK: psk})
	require.NoError(t, err)
	defer c.Close()
	for range 2 {
		_, err := c.Do(waitContext(t), get())
		require.NoError(t, err)
		assert.False(t, receive(t, handled).state.DidResume)
		s, err := c.Session(waitContext(t))
		require.NoError(t, err)
		s.Close()
	}
}

type countingCache struct{ came chan struct{} }

func (c *countingCache) Get(string) *gnutls.SessionData  { return nil }
func (c *countingCache) Put(string, *gnutls.SessionData) { c.came <- struct{}{} }

// What a connection that is not made took from the cache goes back.
func TestSessionThatIsNotSentGoesBack(t *testing.T) {
	if !resumption(t) {
		return
	}
	config := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
	d := session(t, config, listen(t,
		&Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)}, TLS, hello), TLS)
	cache := &fixedCache{session: d}
	config.ClientSessionCache = cache
	c := newTestNode(t, &config)
	for range 2 {
		s, err := c.NewClientSession(netip.AddrPort{}, nobody, TLS)
		if err == nil {
			<-s.Done()
			err = s.Err()
		}
		assert.ErrorIs(t, err, ErrUnreachable)
		await(t, func() bool { return cache.has(d) })
	}
	_, err := c.NewClientSessionPSK(netip.AddrPort{}, loopback, TLS, "", nil)
	assert.Error(t, err)
	assert.True(t, cache.has(d))
	require.NoError(t, c.Close())
	_, err = c.NewClientSession(netip.AddrPort{}, loopback, TLS)
	assert.ErrorIs(t, err, net.ErrClosed)
	assert.True(t, cache.has(d))
}

func TestResumptionConfigsThatAreRefused(t *testing.T) {
	if !resumption(t) {
		return
	}
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, gnutls.WriteTicketKeyFile(file, ticketKey(t)))
	keys, err := gnutls.OpenTicketKeyFile(file)
	require.NoError(t, err)
	for want, config := range map[string]Config{
		"Config.TicketKey and TicketKeyFile are both set": {TicketKey: ticketKey(t),
			TicketKeyFile: keys},
		"300 tickets at once are not 1 to 255":               {SessionTickets: 300},
		"-1 tickets at once are not 1 to 255":                {MaxSessionTickets: -1},
		"Config.SessionTickets is 9 and MaxSessionTickets 4": {SessionTickets: 9, MaxSessionTickets: 4},
	} {
		_, err := NewNode(&config)
		assert.ErrorContains(t, err, want)
	}
}

func TestSessionDataOfSessionsThatDoNotResume(t *testing.T) {
	addr := listen(t, nil, UDP, hello)
	_, err := connect(t, nil, addr, UDP).SessionData(waitContext(t))
	assert.ErrorContains(t, err, "the session does not resume")
	eachResuming(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}}, proto, hello)
		s := connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")}}, addr, proto)
		_, err := s.SessionData(waitContext(t))
		assert.ErrorContains(t, err, "the session does not resume")
		s = connect(t, &Config{PKI: PKI{RootCAs: pool(t, "ca")},
			ClientSessionCache: gnutls.NewClientSessionCache(0)}, addr, proto)
		require.NoError(t, s.Ready(waitContext(t)))
		_, err = s.SessionData(within(t, 50*time.Millisecond))
		if proto == DTLS { // the server has sent a session ID, and may have kept the session
			assert.NoError(t, err)
			return
		}
		assert.ErrorIs(t, err, gnutls.ErrNoTicket)
		assert.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// A gateway that is off for a while has refused nothing: its clients resume when it is back.
func TestSessionThatNobodyAnsweredStays(t *testing.T) {
	if !resumption(t) {
		return
	}
	config := Config{PKI: PKI{RootCAs: pool(t, "ca")}, MaxRetransmit: 1}
	d := session(t, config, listen(t,
		&Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)}, DTLS, hello), DTLS)
	cache := gnutls.NewClientSessionCache(0)
	config.ClientSessionCache = cache
	silent := coappeer.NewUDP(t)
	key := uri(DTLS, silent.Addr(), "")
	cache.Put(key, d)
	_, err := Dial(waitContext(t), key, &config)
	assert.ErrorIs(t, err, ErrRetriesExhausted)
	assert.Same(t, d, cache.Get(key))
}

// A session that a handshake failed with is not offered again (RFC 5077, section 3.2).
func TestWhatAFailedHandshakeOfferedLeavesTheCache(t *testing.T) {
	alert := []byte{21, 3, 3, 0, 2, 2, 80}
	for version, proto := range map[uint16]Protocol{gnutls.VersionTLS12: TLS, gnutls.VersionTLS13: TLS,
		gnutls.VersionDTLS12: DTLS} {
		if !resumption(t) || version == gnutls.VersionTLS12 && !Supports(FeatureCredentials) {
			return
		}
		server := &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)}
		if version == gnutls.VersionTLS12 {
			server.MaxVersion = version
		}
		config := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
		d := session(t, config, listen(t, server, proto, hello), proto)
		for name, answer := range map[string][]byte{"closes": nil, "sends an alert": alert,
			"sends nonsense": []byte("SSH-2.0-none of that\r\n")} {
			if proto == DTLS && name != "sends an alert" {
				continue
			}
			t.Run(gnutls.VersionName(version)+"/"+name, func(t *testing.T) {
				var addr netip.AddrPort
				if proto == TLS {
					ln := coappeer.ListenTCP(t)
					addr = ln.Addr()
					go func() {
						if conn, err := ln.TCPListener.Accept(); err == nil {
							conn.Read(make([]byte, 5000))
							conn.Write(answer)
							conn.(*net.TCPConn).CloseWrite()
							io.Copy(io.Discard, conn)
							conn.Close()
						}
					}()
				} else {
					conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(loopback))
					require.NoError(t, err)
					t.Cleanup(func() { conn.Close() })
					addr = conn.LocalAddr().(*net.UDPAddr).AddrPort()
					go func() {
						if _, from, err := conn.ReadFromUDPAddrPort(make([]byte, 5000)); err == nil {
							conn.WriteToUDPAddrPort(append([]byte{21, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
								answer[3:]...), from)
						}
					}()
				}
				cache := gnutls.NewClientSessionCache(0)
				config.ClientSessionCache = cache
				key := uri(proto, addr, "")
				cache.Put(key, d)
				s, err := newTestNode(t, &config).NewClientSession(netip.AddrPort{}, addr, proto)
				require.NoError(t, err)
				require.ErrorIs(t, s.Ready(waitContext(t)), ErrHandshake)
				await(t, func() bool { return cache.Get(key) == nil })
			})
		}
	}
}

// A request for tickets goes out over TLS, where it means something.
func TestTicketRequestsOnTheWire(t *testing.T) {
	if !resumption(t) {
		return
	}
	const ticketRequest = 58 // RFC 9149, section 6
	cert, err := tls.LoadX509KeyPair(testenv.File("server.pem"), testenv.File("server.key"))
	require.NoError(t, err)
	for name, tc := range map[string]struct {
		config Config
		want   bool
	}{
		"asked for":     {Config{TicketRequest: &gnutls.TicketRequest{New: 3}}, true},
		"by a pool":     {Config{ClientSessionCache: new(gnutls.TicketPool)}, true},
		"not asked for": {Config{ClientSessionCache: gnutls.NewClientSessionCache(0)}, false},
		"without any":   {Config{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			hellos := make(chan []uint16, 1)
			ln, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
				Certificates: []tls.Certificate{cert}, NextProtos: []string{"coap"},
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					hellos <- hello.Extensions
					return nil, nil
				},
			})
			require.NoError(t, err)
			defer ln.Close()
			handshake := make(chan error, 1)
			go func() {
				conn, err := ln.Accept()
				if err == nil {
					defer conn.Close()
					err = conn.(*tls.Conn).HandshakeContext(waitContext(t))
				}
				handshake <- err
			}()
			tc.config.PKI = PKI{RootCAs: pool(t, "ca")}
			s := connect(t, &tc.config, netip.MustParseAddrPort(ln.Addr().String()), TLS)
			assert.NoError(t, receive(t, handshake))
			assert.Equal(t, tc.want, slices.Contains(receive(t, hellos), ticketRequest))
			s.Close()
		})
	}
}

// Sessions of package gnutls are none for CoAP, and the other way round, even if a cache
// mixes them up.
func TestSessionsOfPackageGnuTLSAreNotOffered(t *testing.T) {
	if !resumption(t) {
		return
	}
	addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)},
		TLS, hello)
	config := Config{PKI: PKI{RootCAs: pool(t, "ca")}}
	dial := func(d *gnutls.SessionData) *gnutls.Conn {
		conn, err := gnutls.Dial("tcp", addr.String(), &gnutls.Config{
			RootCAs: config.PKI.RootCAs, NextProtos: []string{"coap"},
			ClientSessionCache: &fixedCache{session: d},
		})
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(wait)))
		return conn
	}
	conn := dial(session(t, config, addr, TLS))
	state := conn.ConnectionState()
	assert.False(t, state.DidResume)
	assert.ErrorIs(t, state.ResumeError, gnutls.ErrSessionConfig)

	_, err := conn.Read(make([]byte, 1)) // tickets come first, and then the capabilities
	require.NoError(t, err)
	d, err := conn.SessionData(waitContext(t))
	require.NoError(t, err)
	config.ClientSessionCache = &fixedCache{session: d}
	state = ask(t, &config, addr, TLS)
	assert.False(t, state.DidResume)
	assert.ErrorIs(t, state.ResumeError, gnutls.ErrSessionConfig)
	assert.True(t, dial(d).ConnectionState().DidResume, "it is good where it comes from")
}

// Whatever is lost of it, a handshake that is given up leaves the session for the next one.
func TestResumptionThatIsGivenUp(t *testing.T) {
	if !resumption(t) {
		return
	}
	config := Config{PKI: PKI{RootCAs: pool(t, "ca"), ServerName: "example.test"}}
	addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, TicketKey: ticketKey(t)},
		DTLS, hello)
	d := session(t, config, addr, DTLS)
	for _, direction := range []coappeer.Direction{coappeer.ToServer, coappeer.ToClient} {
		for n := range lastFlight() { // ClientHello and its cookie, and then both finish
			t.Run(fmt.Sprint(direction, n), func(t *testing.T) {
				relay, cut := coappeer.NewRelay(t, addr), make(chan struct{})
				var once sync.Once
				relay.Rule(func(d coappeer.Datagram) coappeer.Verdict {
					if d.Direction == direction && d.N >= n {
						once.Do(func() { close(cut) })
						return coappeer.Drop
					}
					return coappeer.Forward
				})
				config := config
				config.ClientSessionCache = gnutls.NewClientSessionCache(0)
				config.ClientSessionCache.Put("coaps://example.test:"+fmt.Sprint(relay.Addr().Port()), d)
				s, err := newTestNode(t, &config).NewClientSession(netip.AddrPort{}, relay.Addr(), DTLS)
				require.NoError(t, err)
				receive(t, cut)
				require.NoError(t, s.Close())
				assert.ErrorIs(t, s.Ready(waitContext(t)), net.ErrClosed)
				relay.Rule(func(coappeer.Datagram) coappeer.Verdict { return coappeer.Forward })
				assert.True(t, ask(t, &config, relay.Addr(), DTLS).DidResume)
			})
		}
	}
}

// Tickets come while sessions are closed.
func TestSessionsThatCloseWhileTicketsCome(t *testing.T) {
	eachResuming(t, func(t *testing.T, proto Protocol) {
		addr := listen(t, &Config{PKI: PKI{Certificates: pairs(t, "server")}, SessionTickets: 8}, proto,
			hello)
		config := &Config{PKI: PKI{RootCAs: pool(t, "ca")}, ClientSessionCache: new(gnutls.TicketPool)}
		for range 20 {
			s, err := Dial(waitContext(t), uri(proto, addr, ""), config)
			require.NoError(t, err)
			got := make(chan error, 1)
			go func() {
				_, err := s.SessionData(waitContext(t))
				got <- err
			}()
			require.NoError(t, s.Close())
			if err := receive(t, got); err != nil {
				assert.ErrorIs(t, err, net.ErrClosed)
			}
		}
		ask(t, config, addr, proto) // the cache is as good as ever
	})
}

func TestArrivalsWakeThoseThatWait(t *testing.T) {
	var a arrivals
	assert.False(t, a.coming())
	next := a.next()
	assert.Equal(t, next, a.next(), "all wait for the same ones")
	a.begin()
	assert.True(t, a.coming())
	a.end()
	assert.False(t, a.coming())
	<-next
	assert.NotEqual(t, next, a.next())
}
