package coap

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/internal/coappeer"
)

// badOptions are options that no message may have, by what an error says of them.
var badOptions = map[string]Options{
	"ETag has 9 bytes, not 1 to 8":                {{OptionETag, make([]byte, 9)}},
	"Uri-Host has 0 bytes, not 1 to 255":          {{OptionURIHost, nil}},
	"Uri-Host has 256 bytes, not 1 to 255":        {{OptionURIHost, make([]byte, 256)}},
	"Uri-Path has 256 bytes, not 0 to 255":        {{OptionURIPath, make([]byte, 256)}},
	"Uri-Query has 256 bytes, not 0 to 255":       {{OptionURIQuery, make([]byte, 256)}},
	"Proxy-Uri has 1035 bytes, not 1 to 1034":     {{OptionProxyURI, make([]byte, 1035)}},
	"Content-Format has 3 bytes, not 0 to 2":      {{OptionContentFormat, make([]byte, 3)}},
	"option 65000 has 65536 bytes, not 0 to 655":  {{65000, make([]byte, 65536)}},
	"option 65000 has 65541 bytes, not 0 to 655":  {{65000, make([]byte, 65541)}},
	"option 65000 has 1048576 bytes, not 0 to 65": {{65000, make([]byte, 1<<20)}},
	"ETag comes after Uri-Path":                   {{OptionURIPath, nil}, {OptionETag, []byte{1}}},
	"more than one Content-Format": {{OptionContentFormat, nil},
		{OptionContentFormat, nil}},
	`Uri-Path is ".."`: {{OptionURIPath, []byte("..")}},
}

func TestRequestsWithBadOptionsAreNotSent(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	for want, options := range badOptions {
		for _, r := range []*Request{
			{Method: MethodGet, Options: options},
			{Method: MethodPut, Options: options, Body: randomBytes(5000)},
			{Method: MethodPut, Options: options, Source: strings.NewReader("body")},
		} {
			_, err := s.Do(waitContext(t), r)
			assert.ErrorIs(t, err, ErrOption, want)
			assert.ErrorContains(t, err, want)
			assert.ErrorContains(t, err, "coap: "+r.Method.String()+" coap://"+peer.Addr().String()+
				": bad option: ")
		}
		for _, err := range s.Observe(waitContext(t), &Request{Method: MethodGet, Options: options}) {
			assert.ErrorIs(t, err, ErrOption, want)
			assert.ErrorContains(t, err, want)
		}
	}
	assert.Empty(t, peer.Captured())
}

func TestRequestsNeedAMethod(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	for _, code := range []Code{CodeEmpty, CodeContent, CodePing, 255} {
		_, err := s.Do(waitContext(t), &Request{Method: code})
		assert.ErrorContains(t, err, "code "+code.String()+" is not a method")
	}
	assert.Empty(t, peer.Captured())
}

func TestBadResponsesBecomeInternalServerErrors(t *testing.T) {
	type bad struct {
		want   string
		answer func(w ResponseWriter)
	}
	answers := []bad{
		{"code GET is not one of a response", func(w ResponseWriter) { w.SetCode(MethodGet) }},
		{"is not one of a response", func(w ResponseWriter) { w.SetCode(CodePing) }},
		{"is not one of a response", func(w ResponseWriter) { w.SetCode(1 << 5) }},
		{"Block2, which is the library's to add",
			func(w ResponseWriter) { w.Options().Add(OptionBlock2, nil) }},
		{"Block1, which is the library's to add",
			func(w ResponseWriter) { w.Options().Add(OptionBlock1, nil) }},
		{"of which option 65000 has 1200",
			func(w ResponseWriter) { w.Options().Add(65000, make([]byte, 1200)) }},
	}
	for want, options := range badOptions {
		answers = append(answers, bad{want, func(w ResponseWriter) { *w.Options() = options }})
	}
	for _, tc := range answers {
		t.Run(tc.want, func(t *testing.T) {
			eachUnsecured(t, func(t *testing.T, proto Protocol) {
				if proto == TCP && strings.Contains(tc.want, "has 1200") { // they fit there
					return
				}
				logger, lines := logs()
				addr := listen(t, &Config{Logger: logger}, proto,
					HandlerFunc(func(w ResponseWriter, r *Request) {
						w.Write(randomBytes(len(r.Body)))
						tc.answer(w)
					}))
				s := connect(t, nil, addr, proto)
				for _, size := range []int{0, 3000} {
					r, err := s.Post(waitContext(t), "/here", OctetStream, randomBytes(size))
					require.NoError(t, err)
					assert.Equal(t, CodeInternalServerError, r.Code)
					assert.Empty(t, r.Body)
					line := receive(t, lines)
					assert.Contains(t, line, "response refused")
					assert.Contains(t, strings.ReplaceAll(line, `\"`, `"`), tc.want)
				}
			})
		})
	}
}

func TestBadNotificationsEndTheObservation(t *testing.T) {
	logger, lines := logs()
	resource := NewResource(HandlerFunc(func(w ResponseWriter, r *Request) {
		if r.Session.AppData() != nil {
			w.Options().Set(OptionETag, make([]byte, 9))
		}
		r.Session.SetAppData("registered")
	}))
	s := connect(t, nil, listen(t, &Config{Logger: logger}, UDP, resource), UDP)
	var codes []Code
	for r, err := range s.Observe(waitContext(t), get()) {
		require.NoError(t, err)
		codes = append(codes, r.Code)
		resource.Notify()
	}
	assert.Equal(t, []Code{CodeContent, CodeInternalServerError}, codes)
	assert.Contains(t, receive(t, lines), "ETag has 9 bytes")
	assert.Zero(t, resource.Observers())
}

func TestOptionsTooLongForAMessageAreNamed(t *testing.T) {
	peer := coappeer.NewUDP(t)
	s := connect(t, nil, peer.Addr(), UDP)
	long := Options{{OptionURIPath, []byte("a")}, {65000, make([]byte, 2000)}}
	for _, r := range []*Request{
		{Method: MethodGet, Options: long},
		{Method: MethodPut, Options: long, Body: randomBytes(500)},
		{Method: MethodPut, Options: long, Body: randomBytes(5000)},
		{Method: MethodPut, Options: long, Source: strings.NewReader("body")},
	} {
		_, err := s.Do(waitContext(t), r)
		assert.ErrorIs(t, err, ErrTooLarge)
		assert.ErrorContains(t, err, "the options have 2007, of which option 65000 has 2000")
	}
	// One that is sent as it is has no way to go in blocks.
	_, err := s.Do(waitContext(t),
		&Request{Method: MethodPut, Options: Options{{OptionBlock1, nil}}, Body: randomBytes(2000)})
	assert.ErrorIs(t, err, ErrTooLarge)
	assert.ErrorContains(t, err, "the body has 2000 bytes")
	assert.Empty(t, peer.Captured())
}

// The format has room for 65804 bytes of an option.
func TestLongOptionsOverTCP(t *testing.T) {
	addr := listen(t, nil, TCP, HandlerFunc(func(w ResponseWriter, r *Request) {
		value, _ := r.Options.Get(65000)
		w.Options().Add(65000, value[:min(len(value), maxOption)])
		w.Options().Add(65000, []byte("behind"))
	}))
	s := connect(t, nil, addr, TCP)
	for _, size := range []int{12, 13, 268, 269, 1035, 65535} {
		sent := randomBytes(size)
		r, err := s.Do(waitContext(t), &Request{Method: MethodGet, Options: Options{{65000, sent}}})
		require.NoError(t, err)
		assert.Equal(t, Options{{65000, sent}, {65000, []byte("behind")}}, r.Options)
	}
	if oldTools { // libcoap 4.2.1 counts lengths in 16 bits
		return
	}
	peer := coappeer.DialTCP(t, addr)
	peer.ExchangeCSM(t, coappeer.Uint(coappeer.MaxMessageSize, 1<<20))
	for _, size := range []int{65536, 65540, 65804} {
		peer.Send(coappeer.Message{Code: coappeer.GET,
			Options: []coappeer.Option{{Number: 65000, Value: randomBytes(size)}}})
		m := peer.Expect(t, coappeer.Content)
		value, _ := m.Option(65000)
		assert.Equal(t, randomBytes(size)[:65535], value)
		assert.Len(t, m.Options, 2)
	}
}

func TestOwnSizeOptionsStay(t *testing.T) {
	addr := listen(t, nil, UDP, HandlerFunc(func(w ResponseWriter, r *Request) {
		size, _ := r.Options.Uint(OptionSize1)
		w.Options().AddUint(OptionSize2, size)
		w.Write(randomBytes(3000))
	}))
	s := connect(t, nil, addr, UDP)
	r := &Request{Method: MethodPost, Body: randomBytes(3000)}
	r.Options.AddUint(OptionSize1, 3000)
	response, err := s.Do(waitContext(t), r)
	require.NoError(t, err)
	assert.Equal(t, randomBytes(3000), response.Body)
}
