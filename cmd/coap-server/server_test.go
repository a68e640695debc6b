package main

import (
	"bytes"
	"context"
	"crypto"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gnucoap/gnucoap/cmd/internal/toolstest"
	"github.com/gnucoap/gnucoap/coap"
	"github.com/gnucoap/gnucoap/gnutls"
	"github.com/gnucoap/gnucoap/internal/testenv"
)

func waitContext(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), toolstest.Wait)
	t.Cleanup(cancel)
	return ctx
}

// dial opens a session until the end of the test.
func dial(t testing.TB, uri string, config *coap.Config) *coap.Session {
	t.Helper()
	s, err := coap.Dial(waitContext(t), uri, config)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func refused(t testing.TB, uri string, config *coap.Config) {
	t.Helper()
	s, err := coap.Dial(waitContext(t), uri, config)
	if err == nil {
		s.Close()
	}
	assert.ErrorIs(t, err, coap.ErrHandshake)
}

func psk(identity, key, serverName string) *coap.Config {
	return &coap.Config{AckTimeout: 1e9, MaxRetransmit: 1,
		PSK: coap.PSK{Identity: identity, Key: []byte(key), ServerName: serverName}}
}

func TestBadInputIsNamedInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	short, empty, noKey := file("short", "name,hint\n"), file("empty", "# nothing\n"), file("nokey",
		"name,hint,\n")
	cert, key := testenv.File("server.pem"), testenv.File("server.key")
	names := file("names", "other.test,"+testenv.File("wronghost.pem")+","+testenv.File("ca.pem")+"\n")
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	_, port, err := net.SplitHostPort(taken.LocalAddr().String())
	require.NoError(t, err)
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"unknown flag":              {[]string{"-z"}, `'z'`},
		"no value":                  {[]string{"-p"}, `'p'`},
		"argument":                  {[]string{"now"}, `"now"`},
		"port":                      {[]string{"-p", "65535"}, `"65535"`},
		"taken port":                {[]string{"-A", "127.0.0.1", "-p", port}, port},
		"address":                   {[]string{"-A", "eth0"}, `"eth0"`},
		"dynamic resources":         {[]string{"-d", "many"}, `"many"`},
		"group":                     {[]string{"-g", "127.0.0.1"}, `"127.0.0.1"`},
		"interface without a group": {[]string{"-G", "lo"}, `-G "lo": it needs -g`},
		"unknown interface": {[]string{"-g", "224.0.1.187", "-G", "no-such-0"},
			`-G "no-such-0": there is no network interface of this name`},
		"verbosity":                   {[]string{"-v", "10"}, `"10"`},
		"block mode":                  {[]string{"-L", "0"}, `"0"`},
		"proxy without a comma":       {[]string{"-P", "coap://127.0.0.1"}, `"coap://127.0.0.1"`},
		"proxy":                       {[]string{"-P", "http://127.0.0.1,me"}, `http://127.0.0.1`},
		"empty key":                   {[]string{"-k", ""}, "-k"},
		"long key":                    {[]string{"-k", strings.Repeat("k", 65)}, "-k"},
		"long hint":                   {[]string{"-h", strings.Repeat("h", 128)}, "-h"},
		"identities without a key":    {[]string{"-i", short}, "-k"},
		"identities of two fields":    {[]string{"-k", "secret", "-i", short}, "line 1"},
		"identities that have no key": {[]string{"-k", "secret", "-i", noKey}, "entry 1"},
		"no hints":                    {[]string{"-k", "secret", "-s", empty}, empty},
		"hints that are not there":    {[]string{"-k", "secret", "-s", dir + "/none"}, dir + "/none"},
		"certificate":                 {[]string{"-c", key}, key},
		"key of another certificate":  {[]string{"-c", cert, "-j", testenv.File("client.key")}, cert},
		"key without certificate":     {[]string{"-j", key}, key},
		"authorities": {[]string{"-c", cert, "-j", key, "-C", dir + "/none"},
			dir + "/none"},
		"names without certificate":   {[]string{"-S", names}, names},
		"name of another certificate": {[]string{"-c", cert, "-j", key, "-S", names}, names},
		"token of hardware":           {[]string{"-c", "PKCS11:token=x"}, "PKCS11:token=x"},
		"raw key":                     {[]string{"-M", cert}, cert},
		"loss":                        {[]string{"-l", "some"}, `"some"`},
		"largest message":             {[]string{"-X", "63"}, `"63"`},
		"flag that 4.2 has not":       {[]string{"--compat=4.2", "-e"}, "-e"},
		"ticket key without a name":   {[]string{"-k", "secret", "--ticket-key", ""}, "--ticket-key"},
		"ticket key that is not used": {[]string{"--ticket-key", dir + "/keys"}, "-c"},
		"ticket key of 4 bytes": {[]string{"-k", "secret", "--ticket-key", file("keys", "1234")},
			"--ticket-key"},
		"ticket key in no directory": {[]string{"-k", "secret", "--ticket-key", dir + "/none/keys"},
			dir + "/none/keys"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			assert.Equal(t, 2, run(waitContext(t), test.args, &stdout, &stderr))
			assert.Empty(t, stdout.String())
			assert.Regexp(t, `^coap-server: [^\n]+\n$`, stderr.String())
			assert.Contains(t, stderr.String(), test.says)
			assert.NotContains(t, stderr.String(), "secret")
			assert.Equal(t, 1,
				run(waitContext(t), append([]string{"--legacy-exit"}, test.args...), &stdout, &stderr))
		})
	}
}

func TestTheHelpGoesToStandardOutput(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	assert.Zero(t, run(waitContext(t), []string{"--help"}, &stdout, &stderr))
	assert.Contains(t, stdout.String(), "-d, --dynamic")
	assert.Empty(t, stderr.String())
}

func TestTheClockCanBeSet(t *testing.T) {
	t.Parallel()
	s := dial(t, start(t)("coap"), nil)
	put := func(body string) *coap.Response {
		t.Helper()
		r, err := s.Put(waitContext(t), "/time", coap.TextPlain, []byte(body))
		require.NoError(t, err)
		return r
	}
	get := func(path string) *coap.Response {
		t.Helper()
		r, err := s.Get(waitContext(t), path)
		require.NoError(t, err)
		return r
	}
	assert.Equal(t, coap.CodeChanged, put("86400").Code)
	assert.Regexp(t, `^8640\d$`, string(get("/time?ticks").Body))
	assert.Regexp(t, `^Jan 02 00:00:0\d$`, string(get("/time").Body))

	r, err := s.Delete(waitContext(t), "/time")
	require.NoError(t, err)
	assert.Equal(t, coap.CodeDeleted, r.Code)
	assert.Equal(t, coap.CodeNotFound, get("/time").Code)

	assert.Equal(t, coap.CodeCreated, put("").Code)
	assert.Regexp(t, `^\d{10}$`, string(get("/time?ticks").Body))
	for _, bad := range []string{"5x", "-1", "99999999999999999999", "253402300800"} {
		r := put(bad)
		assert.Equal(t, coap.CodeBadRequest, r.Code, bad)
		assert.Equal(t, "Invalid set time value", string(r.Body))
	}
}

func TestClientsMakeResourcesThatOthersObserve(t *testing.T) {
	t.Parallel()
	uri := start(t, "-d", "1", "-e")("coap")
	maker, observer := dial(t, uri, nil), dial(t, uri, nil)
	r, err := maker.Put(waitContext(t), "/new", coap.JSON, []byte("1"))
	require.NoError(t, err)
	assert.Equal(t, coap.CodeCreated, r.Code)
	assert.Equal(t, "1", string(r.Body), "-e sends it back")
	format, ok := r.Options.ContentFormat()
	assert.True(t, ok && format == coap.JSON, r.Options)

	request, err := coap.NewRequest(coap.MethodGet, "/new")
	require.NoError(t, err)
	var seen []string
	for r, err := range observer.Observe(waitContext(t), request) {
		require.NoError(t, err)
		seen = append(seen, r.Code.String()+" "+string(r.Body))
		switch len(seen) {
		case 1:
			_, err = maker.Put(waitContext(t), "/new", coap.JSON, []byte("2"))
		case 2:
			_, err = maker.Delete(waitContext(t), "/new")
		}
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"2.05 Content 1", "2.05 Content 2", "4.04 Not Found "}, seen)

	r, err = maker.Put(waitContext(t), "/another", coap.JSON, nil)
	require.NoError(t, err)
	assert.Equal(t, coap.CodeCreated, r.Code, "there is room again")
}

func TestOldServerHasLess(t *testing.T) {
	t.Parallel()
	s := dial(t, start(t, "--compat=4.2", "-d1")("coap"), nil)
	r, err := s.Get(waitContext(t), "/example_data")
	require.NoError(t, err)
	assert.Equal(t, coap.CodeNotFound, r.Code)
	r, err = s.Fetch(waitContext(t), "/time", coap.TextPlain, []byte("ticks"))
	require.NoError(t, err)
	assert.Equal(t, coap.CodeMethodNotAllowed, r.Code)
	r, err = s.Get(waitContext(t), "/async?0")
	require.NoError(t, err)
	assert.Equal(t, "done", string(r.Body))
	r, err = s.Get(waitContext(t), "/")
	require.NoError(t, err)
	assert.Contains(t, string(r.Body), "2010--2019")
}

func TestKeysGoByIdentityAndName(t *testing.T) {
	t.Parallel()
	if !coap.Supports(coap.FeaturePSKHints) {
		t.Skip("libcoap has no hints, and no names for pre-shared keys")
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	uris := start(t, "-k", "default", "-h", "main",
		"-i", file("identities", "main,eve,one\nside,eve,two\n"),
		"-s", file("names", "Side.Example,side,three\n"))
	for _, scheme := range []string{"coaps", "coaps+tcp"} {
		uri := uris(scheme)
		for _, good := range []*coap.Config{
			psk("anybody", "default", ""), psk("eve", "one", ""), psk("eve", "two", "side.example"),
			psk("anybody", "three", "side.example"),
		} {
			r, err := dial(t, uri, good).Get(waitContext(t), "/")
			require.NoError(t, err)
			assert.Equal(t, coap.CodeContent, r.Code)
		}
	}
	refused(t, uris("coaps+tcp"), psk("eve", "default", ""))
	refused(t, uris("coaps+tcp"), psk("eve", "one", "side.example"))
}

func TestCertificatesOfClientsAreVerified(t *testing.T) {
	t.Parallel()
	pool := gnutls.NewCertPool()
	require.NoError(t, pool.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	with := func(name string) *coap.Config {
		c := &coap.Config{PKI: coap.PKI{RootCAs: pool}}
		if name != "" {
			pair, err := gnutls.LoadX509KeyPair(testenv.File(name+".pem"), testenv.File(name+".key"))
			require.NoError(t, err)
			c.PKI.Certificates = []gnutls.Certificate{pair}
		}
		return c
	}
	pki := []string{"-c", testenv.File("server.pem"), "-j", testenv.File("server.key")}
	strict, open := start(t, append(pki, "-C", testenv.File("ca.pem"))...), start(t,
		append(pki, "-nC", testenv.File("ca.pem"))...)
	for _, scheme := range []string{"coaps", "coaps+tcp"} {
		for uri, config := range map[string]*coap.Config{strict(scheme): with("client"),
			open(scheme): with("")} {
			r, err := dial(t, uri, config).Get(waitContext(t), "/")
			require.NoError(t, err)
			assert.Equal(t, coap.CodeContent, r.Code)
		}
	}
	refused(t, strict("coaps"), with(""))
	refused(t, strict("coaps"), with("client-other"))
}

func TestProxyForwards(t *testing.T) {
	t.Parallel()
	const key = "sesame"
	behind := start(t, "-k", key, "-d", "1")
	direct := start(t, "-P", ",proxy.example", "-u", "me", "-k", key)
	chained := start(t, "-P", direct("coap+tcp")+",")
	next := start(t, "-P", direct("coap+tcp")+",elsewhere.example")
	get := func(from string, options ...coap.Option) *coap.Response {
		t.Helper()
		r, err := dial(t, from, nil).Do(waitContext(t),
			&coap.Request{Method: coap.MethodGet, Options: options})
		require.NoError(t, err)
		return r
	}
	text := func(id coap.OptionID, value string) coap.Option {
		return coap.Option{ID: id, Value: []byte(value)}
	}
	hops := func(n byte) coap.Option { return coap.Option{ID: coap.OptionHopLimit, Value: []byte{n}} }

	for _, scheme := range toolstest.Schemes {
		for _, proxy := range []string{direct("coap"), next("coap+tcp")} {
			r := get(proxy, hops(16), text(coap.OptionProxyURI, behind(scheme)+"/time?ticks"))
			assert.Regexp(t, `^\d{10}$`, string(r.Body), scheme)
		}
	}
	assert.Equal(t, coap.CodeHopLimitReached,
		get(direct("coap"), hops(1), text(coap.OptionProxyURI, behind("coap")+"/")).Code)
	port := strings.TrimPrefix(behind("coap"), "coap://127.0.0.1:")
	n, err := strconv.Atoi(port)
	require.NoError(t, err)
	r := get(direct("coap"), text(coap.OptionURIHost, "127.0.0.1"),
		coap.Option{ID: coap.OptionURIPort, Value: []byte{byte(n >> 8), byte(n)}},
		text(coap.OptionURIPath, "example_data"), text(coap.OptionProxyScheme, "coap"))
	assert.Len(t, r.Body, exampleSize)

	assert.Contains(t,
		string(get(direct("coap"), text(coap.OptionProxyURI, "coap://proxy.example/")).Body),
		"test server")
	assert.Contains(t,
		string(get(chained("coap"), text(coap.OptionProxyURI, "coap://any.example/")).Body),
		"test server")
	assert.Equal(t, coap.CodeProxyingNotSupported,
		get(direct("coap"), text(coap.OptionProxyURI, "http://127.0.0.1/")).Code)
	assert.Equal(t, coap.CodeProxyingNotSupported,
		get(behind("coap"), text(coap.OptionProxyURI, "coap://127.0.0.1/")).Code)
	assert.Equal(t, coap.CodeBadGateway,
		get(direct("coap"), text(coap.OptionProxyURI, "coap://none.invalid/")).Code)
}

func TestAsyncWaitsForAMinuteAtMost(t *testing.T) {
	for query, want := range map[string]time.Duration{"": 4 * time.Second, "7": 7 * time.Second,
		"2147483647": time.Minute, "0": 0, "x": -1, "4294967296": -1} {
		var queries []string
		if query != "" {
			queries = []string{query}
		}
		delay, ok := asyncDelay(queries)
		if !ok {
			delay = -1
		}
		assert.Equal(t, want, delay, query)
	}
}

// -n takes any raw public key, as it takes any certificate.
func TestRawPublicKeysAreNotVerified(t *testing.T) {
	t.Parallel()
	if !coap.Supports(coap.FeatureRawPublicKeys) {
		t.Skip("this libcoap has no raw public keys")
	}
	key, err := gnutls.LoadX509KeyPair(testenv.File("client.pem"), testenv.File("client.key"))
	require.NoError(t, err)
	signer, ok := key.PrivateKey.(crypto.Signer)
	require.True(t, ok)
	config := &coap.Config{PKI: coap.PKI{RawPublicKey: signer,
		VerifyRawPublicKey: func(crypto.PublicKey) error { return nil }}}
	for _, flags := range [][]string{nil, {"-n"}} {
		server := start(t, append(flags, "-M", testenv.File("server.key"))...)
		for _, scheme := range []string{"coaps", "coaps+tcp"} {
			r, err := dial(t, server(scheme), config).Get(waitContext(t), "/")
			require.NoError(t, err, scheme)
			assert.Equal(t, coap.CodeContent, r.Code)
		}
	}
}

// RFC 7252, section 5.7.1.
func TestProxyForwardsOptionsThatAreSafe(t *testing.T) {
	t.Parallel()
	origin := &coap.Server{
		Config: &coap.Config{CriticalOptions: []coap.OptionID{2049}},
		Handler: coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
			for _, option := range r.Options {
				if option.ID >= 2048 {
					w.Options().Add(option.ID, option.Value)
				}
			}
			if r.Options.Path() == "/unsafe" {
				w.Options().Add(2050, nil)
			}
		}),
	}
	t.Cleanup(func() { origin.Close() })
	endpoints, err := origin.Listen("coap://127.0.0.1:0")
	require.NoError(t, err)
	s := dial(t, start(t, "-P", ",proxy.example")("coap"), nil)
	get := func(uri string, id coap.OptionID) *coap.Response {
		var options coap.Options
		options.AddString(coap.OptionProxyURI, uri)
		options.Add(id, []byte("x"))
		r, err := s.Do(waitContext(t), &coap.Request{Method: coap.MethodGet, Options: options})
		require.NoError(t, err)
		return r
	}
	assert.Equal(t, coap.CodeBadOption, get("coap://proxy.example/", 2049).Code,
		"the proxy is the server itself")
	for _, id := range []coap.OptionID{2048, 2049} {
		r := get(endpoints[0].String(), id)
		assert.Equal(t, coap.CodeContent, r.Code)
		assert.True(t, r.Options.Has(id), "it goes both ways")
	}
	for _, id := range []coap.OptionID{2050, 2051} {
		assert.Equal(t, coap.CodeBadOption, get(endpoints[0].String(), id).Code)
	}
	assert.Equal(t, coap.CodeBadGateway, get(endpoints[0].String()+"/unsafe", 2048).Code)
	assert.Equal(t, coap.CodeContent, get("coap://proxy.example/", 2048).Code)
}

func TestCertificatesAreReadAgain(t *testing.T) {
	if !coap.Supports(coap.FeatureCredentials) {
		t.Skip("libcoap keeps those of the start")
	}
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	put := func(name string) {
		require.NoError(t, os.WriteFile(cert, testenv.Read(t, name+".pem"), 0o600))
		require.NoError(t, os.WriteFile(key, testenv.Read(t, name+".key"), 0o600))
	}
	put("server")
	server, uris := startProcess(t, "-c", cert, "-j", key, "-n")
	uri := uris("coaps")
	roots := gnutls.NewCertPool()
	require.NoError(t, roots.AppendCertsFromPEM(testenv.Read(t, "ca.pem")))
	named := func(name string) error {
		s, err := coap.Dial(waitContext(t), uri,
			&coap.Config{PKI: coap.PKI{RootCAs: roots, ServerName: name}})
		if err == nil {
			s.Close()
		}
		return err
	}
	require.NoError(t, named("example.test"))
	put("alpha")
	require.NoError(t, server.Signal(syscall.SIGHUP))
	require.Eventually(t, func() bool { return named("alpha.test") == nil }, toolstest.Wait,
		10*time.Millisecond)
}

// RFC 9175, section 2.3: the client says whether its request is fresh.
func TestProxyLeavesEchoOptionsToItsClient(t *testing.T) {
	t.Parallel()
	echoes := make(chan string, 3)
	origin := &coap.Server{Handler: coap.HandlerFunc(func(w coap.ResponseWriter, r *coap.Request) {
		value, ok := r.Options.Get(coap.OptionEcho)
		if echoes <- string(value); !ok {
			w.SetCode(coap.CodeUnauthorized)
			w.Options().Add(coap.OptionEcho, []byte("value"))
		}
	})}
	t.Cleanup(func() { origin.Close() })
	endpoints, err := origin.Listen("coap://127.0.0.1:0")
	require.NoError(t, err)
	s := dial(t, start(t, "-P", ",proxy.example")("coap"), nil)
	for _, own := range []bool{true, false} {
		r := &coap.Request{Method: coap.MethodPut, NoEcho: own}
		r.Options.AddString(coap.OptionProxyURI, endpoints[0].String())
		response, err := s.Do(waitContext(t), r)
		require.NoError(t, err)
		assert.Empty(t, <-echoes)
		if own {
			assert.Equal(t, coap.CodeUnauthorized, response.Code)
			assert.Empty(t, echoes)
			continue
		}
		assert.Equal(t, coap.CodeChanged, response.Code)
		assert.Equal(t, "value", <-echoes)
	}
}
