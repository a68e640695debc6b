package gnutls

import (
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/cshim/cgnutls"
)

// cacheCalls is a ClientSessionCache that notes what it is called for.
type cacheCalls struct {
	has   []*SessionData
	calls []string
}

func (c *cacheCalls) Get(key string) *SessionData {
	c.calls = append(c.calls, "get "+key)
	if len(c.has) == 0 {
		return nil
	}
	d := c.has[0]
	c.has = c.has[1:]
	return d
}

func (c *cacheCalls) Put(key string, d *SessionData) {
	c.calls = append(c.calls, "put "+key+" "+string(d.data))
}

func (c *cacheCalls) Decline(key string, d *SessionData) {
	c.calls = append(c.calls, "decline "+key+" "+string(d.data))
}

func (c *cacheCalls) TicketRequest(key string, resuming bool, racing int) TicketRequest {
	c.calls = append(c.calls, fmt.Sprintf("request %s %t %d", key, resuming, racing))
	return TicketRequest{New: 5, Resumed: 1}
}

func (c *cacheCalls) take() []string {
	calls := c.calls
	c.calls = nil
	return calls
}

// fakeNative is a resumableSession.
type fakeNative struct {
	code cgnutls.Code // of SetData
	set  []string     // what it got
	data string
	id   string
}

func (s *fakeNative) SetData(data []byte, tls13 bool) cgnutls.Code {
	s.set = append(s.set, fmt.Sprintf("%s %t", data, tls13))
	return s.code
}

func (s *fakeNative) Data() ([]byte, cgnutls.Code) {
	if s.data == "" {
		return nil, cgnutls.InvalidRequest
	}
	return []byte(s.data), cgnutls.OK
}

func (s *fakeNative) State() cgnutls.State { return cgnutls.State{SessionID: []byte(s.id)} }

func fakeData(version uint16, data string) *SessionData {
	return &SessionData{
		library:    cgnutls.Version(),
		version:    version,
		family:     sessionFamily{1, 2, 3},
		serverName: "server",
		lifetime:   time.Hour,
		arrived:    time.Now(),
		data:       []byte(data),
	}
}

func fakeResumption(cache ClientSessionCache) *resumption {
	return &resumption{
		scope: sessionScope{serverName: "server",
			allows: func(v uint16) bool { return v != VersionTLS11 }},
		cache: cache,
		key:   "key",
		log:   func(slog.Level, string, ...any) {},
	}
}

// begin brings a resumption of a cached session to a state.
func begin(t *testing.T, version uint16, state resumptionState) (*resumption, *cacheCalls) {
	t.Helper()
	cache := &cacheCalls{has: []*SessionData{fakeData(version, "a")}}
	r := fakeResumption(cache)
	if state == nothingOffered {
		return r, cache
	}
	r.choose(nil)
	if state >= sessionOffered {
		r.sent()
	}
	switch state {
	case sessionResumed:
		cs := &ConnectionState{Version: version, DidResume: true}
		require.NoError(t, r.judge(cs, false))
		r.settle(cs)
	case sessionDeclined:
		cs := &ConnectionState{Version: version}
		require.NoError(t, r.judge(cs, true))
		r.settle(cs)
	case sessionSpent:
		r.fail(faultElsewhere)
	}
	require.Equal(t, state, r.state)
	cache.take()
	return r, cache
}

func (r *resumption) tell() {
	for tell := r.tellCache(); tell != nil; tell = r.tellCache() {
		tell()
	}
}

func TestResumptionFails(t *testing.T) {
	const tls12, tls13 = VersionTLS12, VersionTLS13
	putBack, declined := []string{"put key a"}, []string{"decline key a"}
	for _, tc := range []struct {
		name    string
		version uint16
		state   resumptionState
		fault   fault
		then    resumptionState
		sent    bool
		told    []string
	}{
		{"nothing was offered", tls13, nothingOffered, faultSession, nothingOffered, false, nil},
		{"before anything was sent", tls13, sessionReady, faultElsewhere, nothingOffered, false, putBack},
		{"before anything was sent, TLS 1.2", tls12, sessionReady, faultElsewhere, nothingOffered, false,
			putBack},
		{"GnuTLS cannot send it", tls13, sessionReady, faultSession, sessionDeclined, false, declined},
		{"this side gives up", tls13, sessionOffered, faultElsewhere, sessionSpent, true, nil},
		{"this side gives up, TLS 1.2", tls12, sessionOffered, faultElsewhere, sessionSpent, true, nil},
		{"the server says nothing", tls13, sessionOffered, faultSilence, sessionSpent, true, nil},
		{"the server says nothing, TLS 1.2", tls12, sessionOffered, faultSilence, sessionDeclined, true,
			declined},
		{"the server fails", tls13, sessionOffered, faultSession, sessionDeclined, true, declined},
		{"the server is refused", tls13, sessionResumed, faultSession, sessionDeclined, true, declined},
		{"the session was declined before", tls13, sessionDeclined, faultSession, sessionDeclined, true,
			declined},
		{"twice", tls13, sessionSpent, faultSession, sessionSpent, true, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, cache := begin(t, tc.version, tc.state)
			assert.Equal(t, tc.sent, r.fail(tc.fault))
			assert.Equal(t, tc.then, r.state)
			assert.Empty(t, cache.take(), "before tellCache")
			r.tell()
			assert.Equal(t, tc.told, cache.take())
			r.tell()
			assert.Empty(t, cache.take(), "twice")
		})
	}
}

func TestResumptionOfTheProgramsSessionDoesNotFillTheCache(t *testing.T) {
	cache := &cacheCalls{}
	r := fakeResumption(cache)
	require.NoError(t, r.offer(fakeData(VersionTLS13, "own"), nil))
	r.choose(nil)
	r.fail(faultElsewhere)
	r.tell()
	assert.Empty(t, cache.take())
}

func TestResumptionChooses(t *testing.T) {
	old := fakeData(VersionTLS13, "old")
	old.arrived = time.Now().Add(-2 * time.Hour)
	other := fakeData(VersionTLS13, "other")
	other.trust[0] = 1
	version := fakeData(VersionTLS11, "version")
	good := fakeData(VersionTLS13, "good")
	damaged := fakeData(VersionTLS13, "damaged")
	lost := errors.New("the connection is lost")
	set := func(d *SessionData) error {
		switch d {
		case damaged:
			return refused(ErrSessionDamaged, "")
		case good:
			return nil
		}
		return lost
	}
	for _, tc := range []struct {
		name    string
		has     []*SessionData
		state   resumptionState
		refusal error
		calls   []string
	}{
		{"an empty cache", nil, nothingOffered, ErrNoSession, []string{"get key"}},
		{"the first that suits", []*SessionData{good, old}, sessionReady, nil, []string{"get key"}},
		{"after one that is of no use", []*SessionData{old, good}, sessionReady, nil,
			[]string{"get key", "get key"}},
		{"after one that GnuTLS does not take", []*SessionData{damaged, good}, sessionReady, nil,
			[]string{"get key", "get key"}},
		{"after one for another configuration", []*SessionData{other, good}, sessionReady, nil,
			[]string{"get key", "get key", "put key other"}},
		{"none that suits", []*SessionData{other, old}, nothingOffered, ErrSessionExpired,
			[]string{"get key", "get key", "get key", "put key other"}},
		{"one that Get returns again", []*SessionData{version, good}, nothingOffered, ErrSessionConfig,
			[]string{"get key"}},
		{"a connection that is lost", []*SessionData{fakeData(VersionTLS13, "b"), good}, nothingOffered,
			lost,
			[]string{"get key", "put key b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cache := &cacheCalls{has: tc.has}
			r := fakeResumption(cache)
			r.choose(set)
			assert.Equal(t, tc.state, r.state)
			assert.ErrorIs(t, r.refusal, tc.refusal)
			assert.Equal(t, tc.calls, cache.take())
			if tc.state == sessionReady {
				assert.Same(t, good, r.session)
			}
		})
	}
}

func TestResumptionAsksTheCacheAtMostSoOften(t *testing.T) {
	cache := &cacheCalls{}
	for range 2 * maxCachedTries {
		d := fakeData(VersionTLS13, "other")
		d.trust[0] = 1
		cache.has = append(cache.has, d)
	}
	r := fakeResumption(cache)
	r.choose(nil)
	calls := cache.take()
	require.Len(t, calls, 2*maxCachedTries)
	assert.Equal(t, "get key", calls[maxCachedTries-1])
	assert.Equal(t, "put key other", calls[maxCachedTries])
}

func TestResumptionOfTheProgramComesFirst(t *testing.T) {
	cache := &cacheCalls{has: []*SessionData{fakeData(VersionTLS13, "cached")}}
	r := fakeResumption(cache)
	own := fakeData(VersionTLS12, "own")
	require.NoError(t, r.offer(own, nil))
	r.choose(nil)
	assert.Same(t, own, r.session)
	assert.Empty(t, cache.take())

	r = fakeResumption(&cacheCalls{})
	r.refusal = r.offer(fakeData(VersionTLS11, "own"), nil)
	r.choose(nil)
	assert.ErrorIs(t, r.refusal, ErrSessionConfig, "and not that the cache has none")
}

func TestResumptionGivesGnuTLSTheData(t *testing.T) {
	s := &fakeNative{}
	require.NoError(t, setData(s, fakeData(VersionTLS13, "a")))
	require.NoError(t, setData(s, fakeData(VersionTLS12, "b")))
	require.NoError(t, setData(s, fakeData(VersionDTLS12, "c")))
	assert.Equal(t, []string{"a true", "b false", "c false"}, s.set)
	s.code = cgnutls.DecryptionFailed
	assert.ErrorIs(t, setData(s, fakeData(VersionTLS13, "d")), ErrSessionDamaged)
}

func TestResumptionRequestsTickets(t *testing.T) {
	cache := &cacheCalls{has: []*SessionData{fakeData(VersionTLS13, "a")}}
	r := fakeResumption(cache)
	fixed := &TicketRequest{New: 3}
	assert.Same(t, fixed, r.ticketRequest(fixed, 2))
	assert.Empty(t, cache.take())
	assert.Equal(t, &TicketRequest{New: 5, Resumed: 1}, r.ticketRequest(nil, 2))
	assert.Equal(t, []string{"request key false 2"}, cache.take())
	r.choose(nil)
	r.ticketRequest(nil, 1)
	assert.Equal(t, []string{"get key", "request key true 1"}, cache.take())
	assert.Nil(t, fakeResumption(nil).ticketRequest(nil, 1))
	assert.Nil(t, fakeResumption(NewClientSessionCache(0)).ticketRequest(nil, 1))
}

func TestResumptionJudgesTheServer(t *testing.T) {
	chain := []*x509.Certificate{{}}
	for _, tc := range []struct {
		name        string
		state       resumptionState
		resumed     bool
		certificate bool
		version     uint16
		wantResumed bool
		reason      error
		fails       bool
	}{
		{"it takes the session", sessionOffered, true, false, VersionTLS13, true, nil, false},
		{"it has a certificate and the ID", sessionOffered, true, true, VersionTLS13, false,
			ErrSessionDeclined, false},
		{"it does not take the session", sessionOffered, false, true, VersionTLS13, false,
			ErrSessionDeclined, false},
		{"it chooses another version", sessionOffered, false, true, VersionTLS12, false,
			ErrSessionVersion, false},
		{"nothing was offered", nothingOffered, false, true, VersionTLS13, false, ErrNoSession, false},
		{"it resumes what was not offered", nothingOffered, true, false, VersionTLS13, true, ErrNoSession,
			true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, _ := begin(t, VersionTLS13, tc.state)
			if tc.state == nothingOffered {
				r.cache = &cacheCalls{}
				r.choose(nil)
			} else {
				r.session.verified = chain
			}
			cs := &ConnectionState{Version: tc.version, DidResume: tc.resumed}
			err := r.judge(cs, tc.certificate)
			if tc.fails {
				require.EqualError(t, err,
					"gnutls: handshake: the server resumes a session that was not offered")
				assert.ErrorIs(t, err, CodeInvalidSession)
			} else {
				require.NoError(t, err)
			}
			assert.Equal(t, tc.wantResumed, cs.DidResume)
			assert.ErrorIs(t, cs.ResumeError, tc.reason)
			if tc.wantResumed && !tc.fails {
				assert.Equal(t, [][]*x509.Certificate{chain}, cs.VerifiedChains)
			} else {
				assert.Empty(t, cs.VerifiedChains)
			}
			assert.Equal(t, tc.state, r.state, "judge changes nothing")
		})
	}
}

func TestResumptionSettles(t *testing.T) {
	r, cache := begin(t, VersionTLS13, sessionResumed)
	assert.Equal(t, sessionFamily{1, 2, 3}, r.family)
	r.tell()
	assert.Empty(t, cache.take())

	r, cache = begin(t, VersionTLS13, sessionDeclined)
	assert.NotEqual(t, sessionFamily{1, 2, 3}, r.family)
	assert.NotZero(t, r.family)
	r.tell()
	r.tell()
	assert.Equal(t, []string{"decline key a"}, cache.take())

	r = fakeResumption(nil)
	r.settle(&ConnectionState{Version: VersionTLS13})
	assert.Equal(t, nothingOffered, r.state)
	assert.NotZero(t, r.family)
}

// ticketMessage is a NewSessionTicket of TLS 1.3 that lives for an hour.
var ticketMessage = []byte{0, 0, 14, 16, 0, 0, 0, 0, 0, 0, 1, 'x', 0, 0}

func TestResumptionCollectsTickets(t *testing.T) {
	r, cache := begin(t, VersionTLS13, sessionResumed)
	r.inbox.delivers = true
	assert.NoError(t, r.expecting())
	d := r.collect([]cgnutls.Ticket{
		{Session: []byte("one"), Message: ticketMessage},
		{Session: []byte("useless"), Message: make([]byte, len(ticketMessage))},
		{Session: []byte("two"), Message: ticketMessage},
	})
	require.Len(t, d, 2)
	assert.Equal(t, "one", string(d[0].data))
	assert.Equal(t, "two", string(d[1].data))
	assert.Equal(t, time.Hour, d[0].Lifetime())
	assert.Equal(t, sessionFamily{1, 2, 3}, d[1].family)
	assert.Same(t, d[1], r.inbox.latest())
	var unusable *UnusableTicketError
	require.ErrorAs(t, r.inbox.noTicket(errNoneToCome), &unusable)
	assert.Equal(t, "its lifetime is 0", unusable.Detail)

	r.forget()
	assert.Nil(t, r.inbox.latest())
	r.inbox.deliver(func(*SessionData) { t.Error("it was forgotten") })
	assert.Equal(t, []string{"decline key "}, cache.take(), "the others of the session")
}

func TestResumptionKeepsTheSessionOfTLS12(t *testing.T) {
	ticket := []byte{0, 0, 14, 16, 0, 1, 'x'}
	empty := []byte{0, 0, 14, 16, 0, 0}
	for _, tc := range []struct {
		name     string
		state    resumptionState
		tickets  [][]byte
		session  fakeNative
		want     string // what SessionData is given
		isNew    bool
		unusable string
	}{
		{"a ticket", sessionDeclined, [][]byte{ticket}, fakeNative{data: "d"}, "d", true, ""},
		{"the last ticket", sessionDeclined, [][]byte{empty, ticket}, fakeNative{data: "d"}, "d", true,
			""},
		{"an ID", sessionDeclined, nil, fakeNative{data: "d", id: "id"}, "d", true, ""},
		{"an ID and a useless ticket", sessionDeclined, [][]byte{empty}, fakeNative{data: "d", id: "id"},
			"d", true, ""},
		{"a useless ticket", sessionDeclined, [][]byte{empty}, fakeNative{data: "d"}, "", false,
			"it is empty"},
		{"neither", sessionDeclined, nil, fakeNative{data: "d"}, "", false, ""},
		{"GnuTLS gives nothing", sessionDeclined, [][]byte{ticket}, fakeNative{id: "id"}, "", false, ""},
		{"what was resumed", sessionResumed, [][]byte{ticket}, fakeNative{data: "d", id: "id"}, "a",
			false, ""},
	} {
		for _, version := range []uint16{VersionTLS12, VersionDTLS12} {
			t.Run(tc.name+"/"+VersionName(version), func(t *testing.T) {
				r, _ := begin(t, version, tc.state)
				for _, message := range tc.tickets {
					r.collect([]cgnutls.Ticket{{Message: message}})
				}
				d := r.session12(&tc.session)
				assert.Equal(t, tc.isNew, d != nil)
				if tc.want == "" {
					assert.Nil(t, r.inbox.latest())
				} else {
					require.NotNil(t, r.inbox.latest())
					assert.Equal(t, tc.want, string(r.inbox.latest().data))
				}
				var unusable *UnusableTicketError
				if errors.As(r.inbox.noTicket(errNotResuming), &unusable) {
					assert.Equal(t, tc.unusable, unusable.Detail)
				} else {
					assert.Empty(t, tc.unusable)
				}
				assert.Empty(t, r.tickets12)
			})
		}
	}
}

func TestResumptionExpectsTickets(t *testing.T) {
	for _, tc := range []struct {
		cs   ConnectionState
		want error
	}{
		{ConnectionState{Version: VersionTLS13}, nil},
		{ConnectionState{Version: VersionTLS13, TicketRequestAnswered: true, ExpectedTickets: 1}, nil},
		{ConnectionState{Version: VersionTLS13, TicketRequestAnswered: true}, errNoneToCome},
		{ConnectionState{Version: VersionTLS12}, errNotResuming},
		{ConnectionState{Version: VersionDTLS12}, errNotResuming},
	} {
		r := fakeResumption(nil)
		r.settle(&tc.cs)
		assert.Equal(t, tc.want, r.expecting(), "%+v", tc.cs)
	}
}
